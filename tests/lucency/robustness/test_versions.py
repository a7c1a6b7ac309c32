"""All versions of one film."""

import numpy as np
from ray import cloudpickle

from lucency import images
from lucency.robustness.base import corruptions, every
from lucency.robustness.probes import PROBES
from lucency.robustness.versions import Versions


def _versions(*names: str) -> Versions:
    options = tuple(corruptions.options(name).model_validate({}) for name in names)
    return Versions(corruptions=options, probes=("size only",), color="L", seed=0)


def test_one_film_for_each_setting_in_its_order(film: bytes) -> None:
    """Clean first, then every severity of every corruption, then the probes."""
    versions = _versions("inverted", "crop")

    made = [images.decode(data) for data in versions(film, "a")]

    assert versions.settings[:3] == (("clean", 0), ("inverted", 1), ("crop", 1))
    assert versions.settings[-1] == ("size only", 0)
    assert len(made) == len(versions.settings) == 8
    np.testing.assert_array_equal(made[1], 255 - made[0])
    assert len(np.unique(made[-1])) == 1


def test_the_clean_version_is_the_film(film: bytes) -> None:
    """Decoding and encoding again changes no pixel."""
    clean = next(iter(_versions()(film, "a")))

    np.testing.assert_array_equal(images.decode(clean), images.decode(film))


def test_versions_travel_between_processes(film: bytes) -> None:
    """What one of Ray's workers unpickles makes the same bytes."""
    versions = Versions(corruptions=every(), probes=tuple(PROBES), color="RGB", seed=1)

    sent = cloudpickle.loads(cloudpickle.dumps(versions))

    assert list(sent(film, "a")) == list(versions(film, "a"))
