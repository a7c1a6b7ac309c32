"""Films in folds by patient: what is fitted on some is judged on others."""

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

FOLDS = 5

Fold = tuple[np.ndarray, np.ndarray]


def by_patient(labels_n: np.ndarray, patients_n: np.ndarray, classes: int) -> list[Fold]:
    """
    Films to fit on and films to judge, each film judged once; none where a class has too few
    patients for it.
    """
    _, patient_n = np.unique(patients_n, return_inverse=True)
    carriers = [len(np.unique(patient_n[labels_n == label])) for label in range(classes)]
    folds = min(FOLDS, *carriers)
    if folds < 2:
        return []
    divided = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    parts = list(divided.split(labels_n[:, None], labels_n, patient_n))
    if any(len(np.unique(labels_n[learned])) < classes for learned, _ in parts):
        return []
    return parts
