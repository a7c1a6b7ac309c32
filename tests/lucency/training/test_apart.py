"""Films of one patient kept apart, without losing a film or mixing kinds."""

import numpy as np

from lucency.training import apart


def test_films_of_a_patient_stand_evenly() -> None:
    """Neighbours of one patient in the sorted epoch are all the same distance apart."""
    patients = np.array([0] * 5 + [1] * 2 + [2])

    keys = apart.evenly(patients, np.random.default_rng(0))

    for patient, films in ((0, 5), (1, 2), (2, 1)):
        own = np.sort(keys[patients == patient])
        assert own[0] >= 0
        assert own[-1] < 1
        np.testing.assert_allclose(np.diff(own), 1 / films)


def test_single_films_are_permuted_freely() -> None:
    """Patients with one film each come in an order that says nothing about the table's."""
    keys = apart.evenly(np.arange(2000), np.random.default_rng(0))

    assert abs(np.corrcoef(keys, np.arange(2000))[0, 1]) < 0.08


def test_films_that_meet_change_places() -> None:
    """Two neighbours of one patient are moved to different batches, and no film is lost."""
    patients = np.array([7, 7, 1, 2, 3, 4, 5, 6])

    moved = apart.exchanged(
        np.arange(8), patients, np.zeros(8, dtype=np.int64), 4, np.random.default_rng(0)
    )

    assert sorted(moved.tolist()) == list(range(8))
    assert [np.count_nonzero(patients[half] == 7) for half in moved.reshape(2, 4)] == [1, 1]


def test_films_change_places_within_their_kind() -> None:
    """What is of another kind stays, even where that leaves two films of one patient together."""
    patients = np.array([7, 7, 1, 2, 3, 4, 5, 6])
    kind = np.array([0, 1, 2, 2, 2, 2, 2, 2])

    moved = apart.exchanged(np.arange(8), patients, kind, 4, np.random.default_rng(0))

    assert moved.tolist() == list(range(8))


def test_exchange_makes_no_new_pair() -> None:
    """The only partners whose patient is not yet in the batch are found among many that are."""
    patients = np.array([7, 7, 1, 2, 1, 2, 3, 1, 2, 1, 2, 1])

    moved = apart.exchanged(
        np.arange(12), patients, np.zeros(12, dtype=np.int64), 4, np.random.default_rng(0)
    )

    assert np.count_nonzero(patients[moved[:4]] == 7) == 1
    assert max(np.bincount(patients[moved[:4]])) <= 2
