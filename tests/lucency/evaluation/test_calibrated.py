"""Calibration as a card has it: one answer wherever it is applied, and no film passes another."""

import subprocess
import sys

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy.special import expit

from lucency.evaluation.calibrated import Calibration, Calibrator, Isotonic, Platt, Temperature

CURVE = Isotonic(given=(0.0, 0.2, 0.9, 1.0), observed=(0.0, 0.05, 0.5, 1.0))
CALIBRATORS = (
    Calibrator(2.0),
    Calibrator(2.0, Platt(intercept=-1.5)),
    Calibrator(2.0, CURVE),
)
LOGITS_NK = np.linspace(-30, 30, 601)[:, None]


def test_platt_is_a_logistic_function_of_the_logit() -> None:
    """Slope is one over the temperature, the shift is added after it."""
    found = CALIBRATORS[1](LOGITS_NK)

    np.testing.assert_allclose(found[:, 1], expit(LOGITS_NK[:, 0] / 2 - 1.5), rtol=1e-12)
    np.testing.assert_allclose(found[:, 0], expit(1.5 - LOGITS_NK[:, 0] / 2), rtol=1e-12)


def test_isotonic_is_straight_between_its_points() -> None:
    """On a point its share; half way to the next, the middle of both shares."""
    given = np.array([0.2, 0.55, 0.95])
    logits_nk = 2 * np.log(given / (1 - given))[:, None]

    found = CALIBRATORS[2](logits_nk)

    assert found[:, 1] == pytest.approx([0.05, 0.275, 0.75])
    assert found.sum(axis=1) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda each: each.calibration.method)
def test_no_film_passes_another(calibrator: Calibrator) -> None:
    """Probabilities rise with the logit and never tie: ranks, and so AUROC, stay."""
    found = calibrator(LOGITS_NK)

    assert (np.diff(found[:, 1]) > 0).all()
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda each: each.calibration.method)
def test_card_gives_back_what_was_stored(calibrator: Calibrator) -> None:
    """Through JSON the method is known by its name, and every probability is the same."""
    stored = TypeAdapter(Calibration).dump_json(calibrator.calibration)

    again = Calibrator(calibrator.temperature, TypeAdapter(Calibration).validate_json(stored))

    assert again == calibrator
    assert np.array_equal(again(LOGITS_NK), calibrator(LOGITS_NK))


@pytest.mark.parametrize(
    ("given", "observed", "message"),
    [
        ((0.0, 1.0), (0.0, 0.5, 1.0), "2 given and 3 observed"),
        ((0.0, 0.5, 0.5, 1.0), (0.0, 0.1, 0.2, 1.0), "must rise"),
        ((0.0, 0.5, 1.0), (0.0, 0.0, 1.0), "must rise"),
        ((0.0, 1.5), (0.0, 1.0), "less than or equal to 1"),
        ((0.5,), (0.5,), "at least 2 items"),
    ],
)
def test_curve_that_does_not_rise_is_refused(
    given: tuple[float, ...], observed: tuple[float, ...], message: str
) -> None:
    """A card whose curve has a flat stretch, a fall or a loose end is no card."""
    with pytest.raises(ValidationError, match=message):
        Isotonic(given=given, observed=observed)


def test_words_say_what_is_in_force() -> None:
    """A reader of a page or a card learns the method and its values."""
    assert [str(each) for each in (*CALIBRATORS, Calibrator(1.25, Temperature()))] == [
        "temperature 2.000",
        "Platt's sigmoid, temperature 2.000, shift -1.500",
        "isotonic curve of 4 points over temperature 2.000",
        "temperature 1.250",
    ]


def test_applying_needs_no_fitting_library() -> None:
    """What serves answers without scikit-learn and SciPy."""
    script = (
        "import sys; from lucency.evaluation import calibrated\n"
        "assert not {'sklearn', 'scipy'} & set(sys.modules)"
    )

    ended = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)

    assert ended.returncode == 0, ended.stderr.decode()
