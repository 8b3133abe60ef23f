"""How good predicted probabilities are, beyond the predicted classes. Pure."""

import numpy as np
from numpy.typing import NDArray

ECE_BINS = 15
MIN_PROBABILITY = 1e-7  # as in Keras's cross-entropy: quantized probabilities may be 0


def expected_calibration_error(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The mean difference between confidence and accuracy, over 15 bins of equal width of the confidence.

    C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017. `probabilities` are [N, classes], `labels` [N].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * ECE_BINS) - 1, 0, ECE_BINS - 1).astype(np.intp)
    gaps = np.bincount(bins, correct, ECE_BINS) - np.bincount(bins, confidence, ECE_BINS)
    return float(abs(gaps).sum() / len(labels))


def brier_score(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The mean squared distance of the probabilities from the true class, 0 to 2 (G. W. Brier, 1950)."""
    values = probabilities.astype(np.float64)
    of_label = values[np.arange(len(labels)), labels]
    return float((values**2).sum(axis=1).mean() - 2 * of_label.mean() + 1)


def kl_divergence(reference: NDArray[np.float32], probabilities: NDArray[np.float32]) -> float:
    """The mean Kullback-Leibler divergence of the probabilities from the reference, both [N, classes], in nats."""
    p, q = (np.clip(values.astype(np.float64), MIN_PROBABILITY, 1) for values in (reference, probabilities))
    return max(0.0, float((p * np.log(p / q)).sum(axis=1).mean()))
