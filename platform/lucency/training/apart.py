"""
The films of one patient kept apart: a batch of near-twins teaches less than it seems to.

First a patient's films are spread evenly over the epoch, then those that still meet change places.
"""

import numpy as np

# How many films are looked at to find one to change places with.
_CANDIDATES = 512
# A film that found no partner may find one after others have moved.
_SWEEPS = 3


def evenly(patients: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """
    Numbers in 0..1 to sort films by: the f films of a patient 1/f apart, from a random start.

    Where every patient has one film that is a random permutation.
    """
    _, patient, counts = np.unique(patients, return_inverse=True, return_counts=True)
    shuffled = np.lexsort((rng.random(len(patients)), patient))
    rank = np.empty(len(patients), dtype=np.int64)
    rank[shuffled] = np.arange(len(patients)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = rng.random(len(counts))
    keys: np.ndarray = (rank + start[patient]) / counts[patient]
    return keys


def exchanged(
    places: np.ndarray,
    patients: np.ndarray,
    kind: np.ndarray,
    batch_size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """
    The same sequence of films with some exchanged, so that fewer of one patient meet in a batch.

    A patient with no more films than there are batches is due once a batch, one with more as
    often as they must be. Greedy: what finds no partner among the films looked at stays.

    Args:
        places: Films in order, whole batches of them.
        patients: By place.
        kind: By position in the sequence; only films of one kind are exchanged.
    """
    patient, films = np.unique(patients[places], return_inverse=True, return_counts=True)[1:]
    batch = np.arange(len(places)) // batch_size
    due = -(-films // (len(places) // batch_size))
    by_kind = np.argsort(kind, kind="stable")
    ends = np.cumsum(np.bincount(kind))
    places = places.copy()
    for _ in range(_SWEEPS):
        surplus = _surplus(batch, patient, due)
        for position in surplus:
            first = ends[kind[position] - 1] if kind[position] else 0
            alike = by_kind[rng.integers(first, ends[kind[position]], _CANDIDATES)]
            partner = _partner(position, alike, batch, patient, due)
            if partner is not None:
                pair, swapped = [position, partner], [partner, position]
                places[pair], patient[pair] = places[swapped], patient[swapped]
        if not surplus.size:
            break
    return places


def _surplus(batch: np.ndarray, patient: np.ndarray, due: np.ndarray) -> np.ndarray:
    """Positions whose patient has been in the batch as often as is due already."""
    meeting = batch * len(due) + patient
    order = np.argsort(meeting, kind="stable")
    _, counts = np.unique(meeting, return_counts=True)
    nth = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    surplus: np.ndarray = order[nth >= due[patient[order]]]
    return surplus


def _partner(
    position: int, alike: np.ndarray, batch: np.ndarray, patient: np.ndarray, due: np.ndarray
) -> int | None:
    """The first position to exchange with so that neither patient is in a batch too often."""
    own = patient[position]
    batches, times = np.unique(batch[patient == own], return_counts=True)
    full = batches[times >= due[own]]
    here, times = np.unique(patient[batch == batch[position]], return_counts=True)
    unwelcome = here[times >= due[here]]
    fits = ~np.isin(batch[alike], full) & ~np.isin(patient[alike], unwelcome)
    return int(alike[fits.argmax()]) if fits.any() else None
