"""What parity says of recorded predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnistkit.data.sampling import proportional
from mnistkit.verify import paired, parity


def one_hot(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.eye(10, dtype=np.float32)[labels]


def with_broken(count: int, images: int = 10_000) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """A perfect original, an artifact that breaks so many images of the class 0, and the labels."""
    true = np.zeros(images, np.int64)
    answers = true.copy()
    answers[:count] = 1
    return one_hot(true), one_hot(answers), true


labelled = st.tuples(*[st.integers(0, 9)] * 3)
triples: st.SearchStrategy[NDArray[np.int64]] = st.lists(labelled, min_size=1, max_size=50).map(np.array)


@given(triples)
def test_figures_are_those_of_a_plain_count(triples: NDArray[np.int64]) -> None:
    expected, answered, true = triples.T
    found = parity.compare(one_hot(expected), one_hot(answered), true, margin=100)
    count = len(true)
    rows = triples.tolist()
    regressions = sum(before == label != after for before, after, label in rows)
    fixes = sum(before != label == after for before, after, label in rows)
    assert (found.images, found.regressions, found.fixes) == (count, regressions, fixes)
    assert found.accuracy == pytest.approx(sum(answered == true) / count)
    assert found.original_accuracy == pytest.approx(sum(expected == true) / count)
    assert found.difference == pytest.approx(100 * (fixes - regressions) / count)
    assert found.agreement == pytest.approx(sum(answered == expected) / count)
    assert found.p_value == paired.mcnemar(regressions, fixes)
    assert found.max_difference == (expected != answered).any()
    assert found.mean_difference == pytest.approx(2 * sum(expected != answered) / (10 * count), rel=1e-5)
    assert np.sum(found.confusion) == count
    for label in range(10):
        of_class = [row for row in rows if row[2] == label]
        assert found.confusion[label] == tuple(sum(row[1] == answer for row in of_class) for answer in range(10))
        if of_class:
            gained = sum(row[1] == label for row in of_class) - sum(row[0] == label for row in of_class)
            assert found.recall_differences[label] == pytest.approx(100 * gained / len(of_class))
        else:
            assert found.recall_differences[label] is None


@given(triples)
def test_flips_are_the_images_that_only_one_has_right(triples: NDArray[np.int64]) -> None:
    expected, answered, true = triples.T
    indices = 10 + 2 * np.arange(len(true))
    found = parity.flips(one_hot(expected), one_hot(answered), true, indices)
    counted = parity.compare(one_hot(expected), one_hot(answered), true, margin=1)
    assert sum(flip.is_regression for flip in found) == counted.regressions
    assert sum(not flip.is_regression for flip in found) == counted.fixes
    for flip in found:
        place = (flip.index - 10) // 2
        assert (flip.original, flip.artifact, flip.label) == tuple(triples[place])
        assert (flip.original_confidence, flip.artifact_confidence) == (1, 1)


@pytest.mark.parametrize(
    ("broken", "verdict"), [(0, "PASS"), (9, "PASS"), (13, "INCONCLUSIVE"), (20, "INCONCLUSIVE"), (40, "FAIL")]
)
def test_the_whole_interval_decides(regressions: int, verdict: str) -> None:
    found = parity.compare(*with_broken(regressions), margin=0.2)
    assert found.verdict == verdict
    assert (found.reason == "") == (verdict == "PASS")


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.05, 1))
def test_a_verdict_says_where_the_interval_lies(regressions: int, fixes: int, margin: float) -> None:
    reference, answers, true = with_broken(regressions, 3000)
    reference[-fixes or len(reference) :] = one_hot(np.array(1))
    found = parity.compare(reference, answers, true, margin)
    low, high = found.interval.low, found.interval.high
    assert found.verdict == ("PASS" if low > -margin else "FAIL" if high < -margin else "INCONCLUSIVE")
    assert low < found.difference < high
    if found.verdict != "INCONCLUSIVE":
        assert found.required_images is None


def test_fewer_images_with_the_same_rates_are_inconclusive_and_say_how_many_would_do() -> None:
    few, many = (parity.compare(*with_broken(images // 2000, images), margin=0.2) for images in (2000, 10_000))
    assert (few.verdict, many.verdict) == ("INCONCLUSIVE", "PASS")
    assert few.interval.low < many.interval.low
    assert few.required_images
    assert 2000 < few.required_images <= 10_000


def test_float32_that_differs_by_more_than_rounding_fails() -> None:
    reference, answers, true = with_broken(0)
    answers[5, 7] = 5e-5
    assert parity.compare(reference, answers, true, margin=0.2, tolerance=1e-4).verdict == "PASS"
    answers[5, 7] = 2e-4
    found = parity.compare(reference, answers, true, margin=0.2, tolerance=1e-4)
    assert found.verdict == "FAIL"
    assert "differs by 0.0002" in found.reason
    assert parity.compare(reference, answers, true, margin=0.2).verdict == "PASS"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_answers_that_are_not_finite_fail_and_have_finite_figures(value: float) -> None:
    reference, answers, true = with_broken(0, 10)
    answers[3, 5] = value
    found = parity.compare(reference, answers, true, margin=100)
    assert found.verdict == "FAIL"
    assert "not finite" in found.reason
    assert np.isfinite([found.max_difference, found.mean_difference, found.accuracy]).all()


@pytest.mark.parametrize(("value", "verdict"), [(1.5, "FAIL"), (-0.5, "FAIL"), (1.005, "PASS")])
def test_answers_that_are_no_probabilities_fail(value: float, verdict: str) -> None:
    reference, answers, true = with_broken(0)
    answers[3, 0] = value
    assert parity.compare(reference, answers, true, margin=100).verdict == verdict


@pytest.mark.parametrize(
    ("reference", "answers", "labels"),
    [((5, 10), (4, 10), 5), ((5, 10), (5, 9), 5), ((5, 10), (5, 10), 4), ((0, 10),) * 2 + (0,)],
)
def test_answers_and_labels_of_different_length_are_refused(
    reference: tuple[int, int], answers: tuple[int, int], labels: int
) -> None:
    arrays = np.zeros(reference, np.float32), np.zeros(answers, np.float32), np.zeros(labels, np.int64)
    with pytest.raises(ValueError, match="can't be compared"):
        parity.compare(*arrays, margin=1)


@settings(max_examples=500)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=300), st.data())
def test_a_sample_has_the_classes_in_their_shares(labels: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(labels)))
    seed = data.draw(st.integers(0, 2**32))
    array = np.array(labels)
    found = proportional(array, count, seed)
    assert len(found) == count
    assert (np.diff(found) > 0).all()
    assert (found == proportional(array, count, seed)).all()
    shares = np.bincount(array, minlength=5) * count / len(array)
    assert (np.abs(np.bincount(array[found], minlength=5) - shares) < 1).all()
