"""A model at another site: labels, reliability, and a suggestion judged on films apart."""

import numpy as np
import pytest

from lucency.errors import DataError
from lucency.evaluation import external, probability
from lucency.evaluation.rule import ClinicalRule

RULE = ClinicalRule(sensitivity_floor=0.5, specificity_floor=0.5)
WANTED = ("NORMAL", "PNEUMONIA")


def site(films: int = 400, *, slope: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, ...]:
    """Log-odds of a model, one column, truth drawn at ``slope`` times them plus ``shift``."""
    generator = np.random.default_rng(4)
    logits_nk = generator.normal(0, 2, (films, 1))
    chances_n = probability.sigmoid(slope * logits_nk[:, 0] + shift)
    labels_n = (generator.random(films) < chances_n).astype(int)
    return logits_nk, labels_n, np.arange(films) // 2


def test_classes_of_the_site_get_the_models_names() -> None:
    """Three classes of the site are two of the model, in whatever order they stand."""
    names = {"VIRUS": "PNEUMONIA", "BACTERIA": "PNEUMONIA"}

    found = external.counterparts(("VIRUS", "NORMAL", "BACTERIA"), WANTED, names)

    assert found.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("classes", "names", "message"),
    [
        (("NORMAL", "VIRUS"), {}, r"say which of these \['VIRUS'\] are, as labels.VIRUS="),
        (("NORMAL", "VIRUS"), {"VIRUS": "PNEUMOMIA"}, "tells apart"),
        (WANTED, {"VIRUS": "PNEUMONIA"}, r"labels names \['VIRUS'\]"),
    ],
)
def test_class_without_a_counterpart_is_refused(
    classes: tuple[str, ...], names: dict[str, str], message: str
) -> None:
    """Nobody guesses which class is meant."""
    with pytest.raises(DataError, match=message):
        external.counterparts(classes, WANTED, names)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.5, 0.8)])
def test_logistic_recalibration_finds_slope_and_intercept(slope: float, shift: float) -> None:
    """What the truth was drawn with lies inside both intervals."""
    logits_nk, labels_n, patients_n = site(slope=slope, shift=shift)

    found = external.reliability(labels_n, probability.of_classes(logits_nk), patients_n)

    assert found["slope"]["lower"] < slope < found["slope"]["upper"]
    assert found["intercept"]["lower"] < shift < found["intercept"]["upper"]
    assert found["slope"]["upper"] - found["slope"]["lower"] < 0.5
    assert found["ece"] < (0.06 if slope == 1 else 0.2)


def test_model_that_is_sure_of_everything_has_a_slope() -> None:
    """Near 0: log-odds of twenty and more that say nothing."""
    generator = np.random.default_rng(5)
    labels_n, logits_nk = np.arange(60) % 2, generator.normal(22, 1, (60, 1))

    found = external.reliability(labels_n, probability.of_classes(logits_nk), np.arange(60))

    assert found["slope"]["lower"] < 0 < found["slope"]["upper"]


def test_films_told_apart_without_error_have_no_slope() -> None:
    """No finite slope fits; the figure is unknown, not a large number."""
    labels_n = np.arange(40) % 2
    given_n = np.where(labels_n == 1, 0.9, 0.1)

    found = external.reliability(labels_n, np.stack([1 - given_n, given_n], axis=1), np.arange(40))

    assert found["slope"]["value"] is None


def test_suggestion_mends_overconfidence() -> None:
    """Where log-odds are twice what they should be, the temperature is two and the error less."""
    logits_nk, labels_n, patients_n = site(slope=0.5)

    found = external.suggest(logits_nk, labels_n, patients_n, RULE, 2)

    assert found is not None
    assert found.calibrator.temperature == pytest.approx(2, abs=0.4)
    before = external.reliability(labels_n, probability.of_classes(logits_nk), patients_n)
    assert found.record(labels_n)["calibration"]["brier"] < before["brier"]


def test_suggestion_is_by_the_method_in_force() -> None:
    """Too few positives foretold: a temperature can't mend it, Platt's sigmoid does."""
    logits_nk, labels_n, patients_n = site(shift=2.0)

    alone = external.suggest(logits_nk, labels_n, patients_n, RULE, 2)
    found = external.suggest(logits_nk, labels_n, patients_n, RULE, 2, "platt")

    assert alone is not None
    assert found is not None
    record = found.record(labels_n)
    assert record["calibrator"].startswith("Platt's sigmoid")
    assert record["calibration"]["ece"] < alone.record(labels_n)["calibration"]["ece"] / 2


def test_suggestion_is_judged_on_films_apart() -> None:
    """Scores without any meaning are not made to look useful by fitting to them."""
    generator = np.random.default_rng(1)
    logits_nk, labels_n = generator.normal(size=(60, 1)), np.arange(60) % 2
    patients_n = np.arange(60)

    found = external.suggest(logits_nk, labels_n, patients_n, RULE, 2)
    _, point = external.fit(logits_nk, labels_n, patients_n, RULE)

    assert found is not None
    fitted = point.sensitivity.value + point.specificity.value
    assert found.sensitivity.value + found.specificity.value < min(fitted, 1.05)


def test_patients_stay_in_one_fold() -> None:
    """
    Scores that know the patient and nothing else: every film is as its patient's others are, so
    only a division by patient shows that they say nothing of a new one.
    """
    generator = np.random.default_rng(2)
    patients_n = np.repeat(np.arange(40), 10)
    logits_nk = generator.normal(size=40)[patients_n][:, None]
    labels_n = (np.arange(40) % 2)[patients_n]

    found = external.suggest(logits_nk, labels_n, patients_n, RULE, 2)

    assert found is not None
    shares = [len(np.unique(found.probabilities[patients_n == one, 1])) for one in range(40)]
    assert shares == [1] * 40  # one fold, one temperature, one probability


def test_many_classes_have_a_temperature_and_no_threshold() -> None:
    """The most probable class is called before and after."""
    generator = np.random.default_rng(3)
    labels_n = np.arange(300) % 3
    logits_nk = 4 * (np.eye(3)[labels_n] + generator.normal(0, 0.4, (300, 3)))

    found = external.suggest(logits_nk, labels_n, np.arange(300), RULE, 3)

    assert found is not None
    assert found.threshold is None
    right = (logits_nk.argmax(axis=1) == labels_n).mean()
    assert found.sensitivity.value == pytest.approx(right, abs=0.1)


def test_one_patient_of_a_class_is_too_few() -> None:
    """Nothing can be fitted on some and judged on others."""
    logits_nk, labels_n = np.arange(6.0)[:, None], np.array([1, 0, 0, 0, 0, 0])

    assert external.suggest(logits_nk, labels_n, np.arange(6), RULE, 2) is None
