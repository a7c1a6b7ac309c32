"""Intervals of any figure by drawing patients, not films, with replacement."""

import math
from collections.abc import Callable

import numpy as np

from lucency import seed
from lucency.evaluation.intervals import Interval

# Weights of films, one row a draw, to one value a draw; NaN where a draw has no such value.
Statistic = Callable[[np.ndarray], np.ndarray]

ROUNDS = 2000
# Weights held at once: 8 bytes each.
_WEIGHTS = 4_000_000


def interval(
    statistic: Statistic,
    patients_n: np.ndarray,
    *,
    confidence: float = 0.95,
    rounds: int = ROUNDS,
    seed_number: int = 0,
) -> Interval:
    """
    The figure of all films and the percentile interval of a bootstrap over patients.

    Patients are drawn with replacement and all their films with them (Field and Welsh, 2007,
    https://doi.org/10.1111/j.1467-9868.2007.00593.x). The same seed draws the same patients for
    every statistic. Draws without a value are left out.

    Args:
        statistic: Films are weighted by how often their patient was drawn, so that no film is
            ever copied; weights are r x n, values r.
    """
    _, patient_n = np.unique(patients_n, return_inverse=True)
    patients, films = int(patient_n.max()) + 1, patient_n.size
    generator = seed.generator(seed_number, "patient bootstrap")
    shares = np.full(patients, 1 / patients)
    # In parts: all weights at once would be gigabytes for a large test split.
    parts = np.array_split(np.arange(rounds), max(1, rounds * films // _WEIGHTS))
    values_r = np.concatenate(
        [
            statistic(generator.multinomial(patients, shares, size=part.size)[:, patient_n] * 1.0)
            for part in parts
        ]
    )
    value = float(statistic(np.ones((1, films)))[0])
    if np.isnan(values_r).all():
        return Interval(value, math.nan, math.nan)
    tail = (1 - confidence) / 2
    lower, upper = np.nanquantile(values_r, [tail, 1 - tail])
    return Interval(value, float(lower), float(upper))
