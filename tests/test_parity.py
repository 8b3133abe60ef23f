"""Accuracy parity of predictions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnistkit.data.sampling import stratified_sample
from mnistkit.verify import calibration, holm, paired, parity
from mnistkit.verify.parity import Limits


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
    result = parity.compute_parity(one_hot(expected), one_hot(predicted), labels, Limits(100))
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
    result = parity.compute_parity(one_hot(expected), one_hot(predicted), labels, Limits(1))
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
    result = parity.compute_parity(*with_regressions(regressions), Limits(0.2))
    assert result.verdict == verdict
    assert (result.reason == "") == (verdict == "PASS")


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.05, 1))
def test_verdict_matches_the_position_of_the_interval(regressions: int, fixes: int, margin: float) -> None:
    reference, probabilities, labels = with_regressions(regressions, 3000)
    reference[-fixes or len(reference) :] = one_hot(np.array(1))
    result = parity.compute_parity(reference, probabilities, labels, Limits(margin))
    low, high = result.interval.low, result.interval.high
    assert result.verdict == ("PASS" if low > -margin else "FAIL" if high < -margin else "INCONCLUSIVE")
    assert low < result.difference < high
    if result.verdict != "INCONCLUSIVE":
        assert result.required_images is None


def test_smaller_sample_is_inconclusive_and_the_larger_one_suffices_as_required() -> None:
    small, large = (
        parity.compute_parity(*with_regressions(images // 2000, images), Limits(0.2)) for images in (2000, 10_000)
    )
    assert (small.verdict, large.verdict) == ("INCONCLUSIVE", "PASS")
    assert small.interval.low < large.interval.low
    assert small.required_images
    assert 2000 < small.required_images <= 10_000


def test_reasons_quote_the_bound_the_margin_and_the_p_value() -> None:
    failed = parity.compute_parity(*with_regressions(40), Limits(0.2))
    assert failed.reason == (
        f"accuracy drop is at least {-failed.interval.high:.3f} points, more than the margin of 0.2 "
        f"(McNemar p = {failed.p_value:.2g})"
    )
    undecided = parity.compute_parity(*with_regressions(20), Limits(0.2))
    assert undecided.reason.startswith(f"accuracy drop may be up to {-undecided.interval.low:.3f} points, more than")


def test_float32_difference_beyond_rounding_fails() -> None:
    reference, probabilities, labels = with_regressions(0)
    probabilities[5, 7] = 5e-5
    assert parity.compute_parity(reference, probabilities, labels, Limits(0.2, 1e-4)).verdict == "PASS"
    probabilities[5, 7] = 2e-4
    result = parity.compute_parity(reference, probabilities, labels, Limits(0.2, 1e-4))
    assert result.verdict == "FAIL"
    assert "differs by 0.0002" in result.reason
    assert parity.compute_parity(reference, probabilities, labels, Limits(0.2)).verdict == "PASS"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_predictions_fail_with_finite_figures(value: float) -> None:
    reference, probabilities, labels = with_regressions(0, 10)
    probabilities[3, 5] = value
    result = parity.compute_parity(reference, probabilities, labels, Limits(100))
    assert result.verdict == "FAIL"
    assert "not finite" in result.reason
    assert np.isfinite([result.max_difference, result.mean_difference, result.accuracy]).all()


@pytest.mark.parametrize(("value", "verdict"), [(1.5, "FAIL"), (-0.5, "FAIL"), (1.005, "PASS")])
def test_predictions_outside_0_to_1_fail(value: float, verdict: str) -> None:
    reference, probabilities, labels = with_regressions(0)
    probabilities[3, 0] = value
    assert parity.compute_parity(reference, probabilities, labels, Limits(100)).verdict == verdict


@pytest.mark.parametrize(
    ("reference", "probabilities", "labels"),
    [((5, 10), (4, 10), 5), ((5, 10), (5, 9), 5), ((5, 10), (5, 10), 4), ((0, 10),) * 2 + (0,)],
)
def test_arrays_of_different_length_are_rejected(
    reference: tuple[int, int], probabilities: tuple[int, int], labels: int
) -> None:
    arrays = np.zeros(reference, np.float32), np.zeros(probabilities, np.float32), np.zeros(labels, np.int64)
    with pytest.raises(ValueError, match="cannot compare"):
        parity.compute_parity(*arrays, Limits(1))


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


# --- several tests at once --------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_p_values_are_those_of_the_definition(p_values: list[float]) -> None:
    adjusted = holm.adjusted_p_values(p_values)
    order = np.argsort(p_values, kind="stable")
    expected = np.maximum.accumulate([(len(p_values) - i) * p_values[j] for i, j in enumerate(order)])
    np.testing.assert_allclose(np.array(adjusted)[order], np.minimum(expected, 1))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(200, 20_000), st.floats(0.05, 3))
def test_non_inferiority_p_value_agrees_with_the_interval(
    regressions: int, fixes: int, images: int, margin: float
) -> None:
    p = paired.non_inferiority_p(regressions, fixes, images, margin / 100)
    low = 100 * paired.tango_interval(regressions, fixes, images).low
    if abs(low + margin) > 1e-9:
        assert (p < 0.025) == (low > -margin)


def test_holm_keeps_what_is_clear_and_doubts_what_passes_by_a_hair() -> None:
    clear, close = (parity.compute_parity(*with_regressions(count, 10_000), Limits(0.2)) for count in (0, 11))
    assert (clear.verdict, close.verdict) == ("PASS", "PASS")
    adjusted = holm.apply_holm([clear, close, close], 0.2)
    assert [row.verdict for row in adjusted] == ["PASS", "INCONCLUSIVE", "INCONCLUSIVE"]
    assert "not as one of 3 tests at once" in adjusted[1].reason
    assert adjusted[1].required_images
    assert adjusted[1].required_images > 10_000
    assert holm.apply_holm([close], 0.2) == [close]


def test_family_wise_error_is_stated() -> None:
    assert holm.family_wise_error(11, holm=False) == pytest.approx(0.275)
    assert holm.family_wise_error(100, holm=False) == 1
    assert holm.family_wise_error(100, holm=True) == 0.025


@pytest.mark.parametrize(("images", "margin", "can_pass"), [(500, 0.2, False), (1000, 0.2, False), (1918, 0.2, True)])
def test_margin_that_so_many_images_can_settle(images: int, margin: float, can_pass: bool) -> None:
    smallest = 100 * paired.smallest_settled_margin(images)
    assert (smallest < margin) == can_pass
    result = parity.compute_parity(*with_regressions(0, images), Limits(margin))
    assert (result.verdict == "PASS") == can_pass
    assert result.smallest_margin == pytest.approx(smallest)


# --- probabilities ----------------------------------------------------------------------------------------------


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.3, 0.7]] * 10, np.float32)
    labels = np.array([0] * 8 + [1] * 2 + [1] * 7 + [0] * 3)
    assert calibration.expected_calibration_error(probabilities, labels) == pytest.approx((0.1 + 0.0) / 2, abs=1e-6)


def test_brier_score_and_divergence_of_certain_and_uncertain_predictions() -> None:
    labels = np.array([0, 1])
    assert calibration.brier_score(np.eye(2, dtype=np.float32), labels) == 0
    assert calibration.brier_score(np.eye(2, dtype=np.float32)[::-1], labels) == 2
    even = np.full((2, 2), 0.5, np.float32)
    assert calibration.brier_score(even, labels) == pytest.approx(0.5)
    assert calibration.kl_divergence(even, even) == 0
    assert calibration.kl_divergence(np.eye(2, dtype=np.float32), even) == pytest.approx(np.log(2), abs=1e-4)
    assert np.isfinite(calibration.kl_divergence(even, np.eye(2, dtype=np.float32)))


def test_rise_of_the_calibration_error_fails_only_beyond_its_limit() -> None:
    labels = np.arange(5000) % 2
    certain, modest = np.eye(2, dtype=np.float32)[labels], np.array([[0.8, 0.2], [0.2, 0.8]], np.float32)[labels]
    for limit, verdict in ((None, "PASS"), (25, "PASS"), (15, "FAIL")):
        result = parity.compute_parity(certain, modest, labels, Limits(0.2, max_ece=limit))
        assert result.verdict == verdict
        assert result.ece_difference == pytest.approx(0.2, abs=1e-6)
        assert (result.label_changes, result.regressions) == (0, 0)
    assert "calibration error rises by 20.00 points, more than 15" in result.reason


def test_changes_between_wrong_labels_count_too() -> None:
    labels = np.zeros(10, np.int64)
    reference, changed = np.eye(3, dtype=np.float32)[[1] * 10], np.eye(3, dtype=np.float32)[[1] * 6 + [2] * 4]
    result = parity.compute_parity(reference, changed, labels, Limits(50))
    assert (result.label_changes, result.regressions, result.fixes) == (4, 0, 0)
