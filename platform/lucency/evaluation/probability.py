"""Logits -> probabilities, in numpy alone: serving and evaluation use the same functions."""

import numpy as np


def sigmoid(logits_n: np.ndarray) -> np.ndarray:
    """Logistic function that overflows for no input; float64."""
    wide = np.asarray(logits_n, dtype=np.float64)
    odds = np.exp(-np.abs(wide))
    return np.where(wide >= 0, 1 / (1 + odds), odds / (1 + odds))


def of_classes(logits_nk: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """
    Probabilities of all classes, one column each; float64.

    Args:
        logits_nk: One column for two classes (the second one's logit), else one a class.
        temperature: Logits are divided by it.
    """
    scaled_nk = np.asarray(logits_nk, dtype=np.float64) / temperature
    if scaled_nk.shape[1] == 1:
        return np.concatenate([sigmoid(-scaled_nk), sigmoid(scaled_nk)], axis=1)
    odds_nk = np.exp(scaled_nk - scaled_nk.max(axis=1, keepdims=True))
    return np.asarray(odds_nk / odds_nk.sum(axis=1, keepdims=True))
