"""
Sensitivity and specificity where not every film was labelled, and positive ones more often.

Begg and Greenes, 1983, https://doi.org/10.2307/2530820: whether a film gets a label may depend on
what the model said of it. Then the labelled films alone flatter sensitivity, for missed ones are
seldom looked at again; but among films of one decision the labelled ones stand for the others, so
each counts for as many as its decision's labelling rate says. Where labelling depends on more, as
on how ill the patient looks, this does not mend it.
"""

import math
from dataclasses import dataclass

import numpy as np

from lucency.evaluation import intervals
from lucency.evaluation.intervals import UNKNOWN, Interval

# Rates that differ by less weigh alike: one label in ten is chance.
_ALIKE = 1.1
_DRAWS = 20_000


@dataclass(frozen=True)
class Counts:
    """Films that were answered, and of them those with a label, by what was called."""

    called_positive: int
    called_negative: int
    labelled_positive: int
    labelled_negative: int

    @property
    def rates(self) -> tuple[float, float]:
        """Labelling rates of films called positive and negative; NaN of none."""
        return (
            _share(self.labelled_positive, self.called_positive),
            _share(self.labelled_negative, self.called_negative),
        )

    @property
    def alike(self) -> bool:
        """Whether labelled films may be counted as they are."""
        rates = [rate for rate in self.rates if not math.isnan(rate)]
        if len(rates) < 2:
            return True
        return min(rates) > 0 and max(rates) / min(rates) <= _ALIKE


@dataclass(frozen=True)
class Accuracy:
    """
    Figures of a group of films.

    Attributes:
        weighted: Whether labelling rates had to be made up for.
    """

    sensitivity: Interval
    specificity: Interval
    weighted: bool


def accuracy(
    ill_n: np.ndarray,
    called_n: np.ndarray,
    patients_n: np.ndarray,
    counts: Counts,
    confidence: float,
) -> Accuracy:
    """
    Sensitivity and specificity of labelled films.

    Where rates are alike the intervals are those of the gate. Else they are the quantiles of Begg
    and Greenes' estimate over Jeffreys' posteriors of its three shares, at effective sizes by
    patient: when no missed film was found among few labelled negatives, that is no proof of none,
    and the bound falls accordingly. A decision without any labels leaves both unknown.

    Args:
        ill_n: bool, the late label.
        called_n: bool, what the model said.
        patients_n: Of each film.
        counts: Of all films that were answered, from which these come.
    """
    if counts.alike:
        return Accuracy(
            intervals.proportion(called_n[ill_n], patients_n[ill_n], confidence),
            intervals.proportion(~called_n[~ill_n], patients_n[~ill_n], confidence),
            weighted=False,
        )
    if not (counts.labelled_positive and counts.labelled_negative):
        return Accuracy(UNKNOWN, UNKNOWN, weighted=True)
    right, right_size = _share_of(ill_n[called_n], patients_n[called_n])
    missed, missed_size = _share_of(ill_n[~called_n], patients_n[~called_n])
    share = _share(counts.called_positive, counts.called_positive + counts.called_negative)
    # A generator of its own: equal films have equal bounds.
    draw = np.random.default_rng(0)
    share_d = _posterior(draw, share, counts.called_positive + counts.called_negative)
    right_d = _posterior(draw, right, right_size)
    missed_d = _posterior(draw, missed, missed_size)
    found, healthy = share * right, (1 - share) * (1 - missed)
    found_d, healthy_d = share_d * right_d, (1 - share_d) * (1 - missed_d)
    return Accuracy(
        _interval(
            _share(found, found + (1 - share) * missed),
            found_d / (found_d + (1 - share_d) * missed_d),
            confidence,
        ),
        _interval(
            _share(healthy, healthy + share * (1 - right)),
            healthy_d / (healthy_d + share_d * (1 - right_d)),
            confidence,
        ),
        weighted=True,
    )


def _share_of(ill_n: np.ndarray, patients_n: np.ndarray) -> tuple[float, float]:
    """A share and the number of independent films that its films are worth."""
    _, index = np.unique(patients_n, return_inverse=True)
    share = float(ill_n.mean())
    ill_k, films_k = np.bincount(index, weights=ill_n), np.bincount(index).astype(float)
    return share, intervals.effective_size(ill_k, films_k, share)


def _posterior(draw: np.random.Generator, share: float, size: float) -> np.ndarray:
    """Jeffreys': Beta with half a film on either side."""
    return draw.beta(share * size + 0.5, (1 - share) * size + 0.5, _DRAWS)


def _interval(value: float, drawn_d: np.ndarray, confidence: float) -> Interval:
    if math.isnan(value):
        return UNKNOWN
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(drawn_d, (tail, 1 - tail))
    return Interval(value, min(value, float(lower)), max(value, float(upper)))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
