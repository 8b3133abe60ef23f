"""Accuracy parity of predictions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnistkit.data.sampling import stratified_sample
from mnistkit.verify import paired, parity


def one_hot(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.eye(10, dtype=np.float32)[labels]


def with_regressions(
    count: int, images: int = 10_000
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """A perfect reference, probabilities with `count` regressions, and the labels, all 0."""
    labels = np.zeros(images, np.int64)
    predicted = labels.copy()
    predicted[:count] = 1
    return one_hot(labels), one_hot(predicted), labels


triple = st.tuples(*[st.integers(0, 9)] * 3)  # class predicted by the reference and by the artifact, true class
triples: st.SearchStrategy[NDArray[np.int64]] = st.lists(triple, min_size=1, max_size=50).map(np.array)


@given(triples)
def test_figures_equal_plain_counts(triples: NDArray[np.int64]) -> None:
    expected, predicted, labels = triples.T
    result = parity.compute_parity(one_hot(expected), one_hot(predicted), labels, margin=100)
    count = len(labels)
    rows = triples.tolist()
    regressions = sum(before == label != after for before, after, label in rows)
    fixes = sum(before != label == after for before, after, label in rows)
    assert (result.images, result.regressions, result.fixes) == (count, regressions, fixes)
    assert result.accuracy == pytest.approx(sum(predicted == labels) / count)
    assert result.original_accuracy == pytest.approx(sum(expected == labels) / count)
    assert result.difference == pytest.approx(100 * (fixes - regressions) / count)
    assert result.agreement == pytest.approx(sum(predicted == expected) / count)
    assert result.p_value == paired.mcnemar(regressions, fixes)
    assert result.max_difference == (expected != predicted).any()
    assert result.mean_difference == pytest.approx(2 * sum(expected != predicted) / (10 * count), rel=1e-5)
    assert np.sum(result.confusion) == count
    for label in range(10):
        of_class = [row for row in rows if row[2] == label]
        assert result.confusion[label] == tuple(sum(row[1] == column for row in of_class) for column in range(10))
        if of_class:
            change = sum(row[1] == label for row in of_class) - sum(row[0] == label for row in of_class)
            assert result.recall_differences[label] == pytest.approx(100 * change / len(of_class))
        else:
            assert result.recall_differences[label] is None


@given(triples)
def test_flips_are_the_images_that_only_one_classifies_correctly(triples: NDArray[np.int64]) -> None:
    expected, predicted, labels = triples.T
    indices = 10 + 2 * np.arange(len(labels))
    flips = parity.find_flips(one_hot(expected), one_hot(predicted), labels, indices)
    result = parity.compute_parity(one_hot(expected), one_hot(predicted), labels, margin=1)
    assert sum(flip.is_regression for flip in flips) == result.regressions
    assert sum(not flip.is_regression for flip in flips) == result.fixes
    for flip in flips:
        position = (flip.index - 10) // 2
        assert (flip.original_label, flip.artifact_label, flip.label) == tuple(triples[position])
        assert (flip.original_confidence, flip.artifact_confidence) == (1, 1)


@pytest.mark.parametrize(
    ("regressions", "verdict"), [(0, "PASS"), (9, "PASS"), (13, "INCONCLUSIVE"), (20, "INCONCLUSIVE"), (40, "FAIL")]
)
def test_verdict_depends_on_the_whole_interval(regressions: int, verdict: str) -> None:
    result = parity.compute_parity(*with_regressions(regressions), margin=0.2)
    assert result.verdict == verdict
    assert (result.reason == "") == (verdict == "PASS")


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.05, 1))
def test_verdict_matches_the_position_of_the_interval(regressions: int, fixes: int, margin: float) -> None:
    reference, probabilities, labels = with_regressions(regressions, 3000)
    reference[-fixes or len(reference) :] = one_hot(np.array(1))
    result = parity.compute_parity(reference, probabilities, labels, margin)
    low, high = result.interval.low, result.interval.high
    assert result.verdict == ("PASS" if low > -margin else "FAIL" if high < -margin else "INCONCLUSIVE")
    assert low < result.difference < high
    if result.verdict != "INCONCLUSIVE":
        assert result.required_images is None


def test_smaller_sample_is_inconclusive_and_the_larger_one_suffices_as_required() -> None:
    small, large = (
        parity.compute_parity(*with_regressions(images // 2000, images), margin=0.2) for images in (2000, 10_000)
    )
    assert (small.verdict, large.verdict) == ("INCONCLUSIVE", "PASS")
    assert small.interval.low < large.interval.low
    assert small.required_images
    assert 2000 < small.required_images <= 10_000


def test_reasons_quote_the_bound_the_margin_and_the_p_value() -> None:
    failed = parity.compute_parity(*with_regressions(40), margin=0.2)
    assert failed.reason == (
        f"accuracy drop is at least {-failed.interval.high:.3f} points, more than the margin of 0.2 "
        f"(McNemar p = {failed.p_value:.2g})"
    )
    undecided = parity.compute_parity(*with_regressions(20), margin=0.2)
    assert undecided.reason.startswith(f"accuracy drop may be up to {-undecided.interval.low:.3f} points, more than")


def test_float32_difference_beyond_rounding_fails() -> None:
    reference, probabilities, labels = with_regressions(0)
    probabilities[5, 7] = 5e-5
    assert parity.compute_parity(reference, probabilities, labels, margin=0.2, tolerance=1e-4).verdict == "PASS"
    probabilities[5, 7] = 2e-4
    result = parity.compute_parity(reference, probabilities, labels, margin=0.2, tolerance=1e-4)
    assert result.verdict == "FAIL"
    assert "differs by 0.0002" in result.reason
    assert parity.compute_parity(reference, probabilities, labels, margin=0.2).verdict == "PASS"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_predictions_fail_with_finite_figures(value: float) -> None:
    reference, probabilities, labels = with_regressions(0, 10)
    probabilities[3, 5] = value
    result = parity.compute_parity(reference, probabilities, labels, margin=100)
    assert result.verdict == "FAIL"
    assert "not finite" in result.reason
    assert np.isfinite([result.max_difference, result.mean_difference, result.accuracy]).all()


@pytest.mark.parametrize(("value", "verdict"), [(1.5, "FAIL"), (-0.5, "FAIL"), (1.005, "PASS")])
def test_predictions_outside_0_to_1_fail(value: float, verdict: str) -> None:
    reference, probabilities, labels = with_regressions(0)
    probabilities[3, 0] = value
    assert parity.compute_parity(reference, probabilities, labels, margin=100).verdict == verdict


@pytest.mark.parametrize(
    ("reference", "probabilities", "labels"),
    [((5, 10), (4, 10), 5), ((5, 10), (5, 9), 5), ((5, 10), (5, 10), 4), ((0, 10),) * 2 + (0,)],
)
def test_arrays_of_different_length_are_rejected(
    reference: tuple[int, int], probabilities: tuple[int, int], labels: int
) -> None:
    arrays = np.zeros(reference, np.float32), np.zeros(probabilities, np.float32), np.zeros(labels, np.int64)
    with pytest.raises(ValueError, match="cannot compare"):
        parity.compute_parity(*arrays, margin=1)


@settings(max_examples=500)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=300), st.data())
def test_stratified_sample_keeps_the_shares_of_the_classes(labels: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(labels)))
    seed = data.draw(st.integers(0, 2**32))
    array = np.array(labels)
    indices = stratified_sample(array, count, seed)
    assert len(indices) == count
    assert (np.diff(indices) > 0).all()
    assert (indices == stratified_sample(array, count, seed)).all()
    shares = np.bincount(array, minlength=5) * count / len(array)
    assert (np.abs(np.bincount(array[indices], minlength=5) - shares) < 1).all()
