"""What a study finds of each film."""

import numpy as np
import torch

from lucency.explain.study import CHANCE, Films, Study, study
from tests.lucency.explain.networks import bright, halves


def test_every_film_has_every_map(small_study: Study, films: Films) -> None:
    """Batches that don't divide the films leave none out."""
    assert set(small_study.maps) == set(small_study.methods)
    assert {each.shape for each in small_study.maps.values()} == {(len(films), 16, 16)}


def test_only_films_with_an_answer_have_curves(small_study: Study) -> None:
    """Nothing can be taken away from a film that is not called positive, nor brought back."""
    called = np.flatnonzero(small_study.probabilities_n >= 0.5)

    assert small_study.answered.tolist() == called.tolist()
    assert set(small_study.curves) == {*small_study.methods, *CHANCE.values()}
    for each in small_study.curves.values():
        assert len(each.deletion_ns) == len(called)


def test_background_is_free_of_the_class(small_study: Study) -> None:
    """The curves end, and begin, in the background with the least of the class."""
    least = min(small_study.backgrounds.values())

    for each in small_study.curves.values():
        np.testing.assert_allclose(each.deletion_ns[:, -1].mean(), least, rtol=1e-5)
        np.testing.assert_allclose(each.insertion_ns[:, 0].mean(), least, rtol=1e-5)


def test_positive_class_is_explained_of_two(small_study: Study) -> None:
    """With one logit the map is for the positive class, whatever the film is called."""
    assert small_study.classes_n.tolist() == [1] * 8


def test_called_class_is_explained_of_several() -> None:
    """With several logits each film is explained for what it is called, and has curves."""
    images = torch.zeros(2, 1, 16, 16)
    images[0, :, :, :8] = 1.0
    images[1, :, :, 8:] = 1.0
    films = Films(images, np.array([0, 1]), np.array(["a", "b"]), {})

    found = study(halves(), films, batch_size=2, randomised_films=2, seed_number=0)

    assert found.classes_n.tolist() == [0, 1]
    assert found.answered.tolist() == [0, 1]
    assert "cam" not in found.maps


def test_nothing_called_positive_is_no_error(films: Films) -> None:
    """A network that finds nothing has maps and no curves."""
    network = bright()
    with torch.no_grad():
        network.model.head.linear.bias.fill_(-99.0)  # type: ignore[union-attr,operator]

    found = study(network, films, batch_size=8, randomised_films=2, seed_number=0)

    assert found.answered.size == 0
    assert found.backgrounds == {}
    assert all(each.deletion_n.size == 0 for each in found.curves.values())


def test_cascade_gives_a_likeness_a_step(small_study: Study) -> None:
    """Films by steps, each between nothing and the same."""
    for each in small_study.randomised.values():
        assert each.shape == (4, len(small_study.steps))
        assert ((each >= 0) & (each <= 1 + 1e-9)).all()
