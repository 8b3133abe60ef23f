"""What parity says of recorded predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnistkit import parity


def one_hot(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.eye(10, dtype=np.float32)[labels]


labelled = st.tuples(*[st.integers(0, 9)] * 3)
triples: st.SearchStrategy[NDArray[np.int64]] = st.lists(labelled, min_size=1, max_size=50).map(np.array)


@given(triples)
def test_figures_are_those_of_a_plain_count(triples: NDArray[np.int64]) -> None:
    expected, given_labels, true = triples.T
    found = parity.compare(one_hot(expected), one_hot(given_labels), true, margin=100)
    count = len(true)
    right, was_right = sum(given_labels == true), sum(expected == true)
    assert found.accuracy == pytest.approx(right / count)
    assert found.difference == pytest.approx(100 * (right - was_right) / count)
    assert found.agreement == pytest.approx(sum(given_labels == expected) / count)
    assert found.images == count


@pytest.mark.parametrize(("broken", "verdict"), [(0, "PASS"), (20, "PASS"), (21, "FAIL")])
def test_a_loss_beyond_the_margin_fails_and_one_of_just_the_margin_passes(broken: int, verdict: str) -> None:
    true = np.zeros(10_000, np.int64)
    answers = true.copy()
    answers[:broken] = 1
    assert parity.compare(one_hot(true), one_hot(answers), true, margin=0.2).verdict == verdict


def test_a_gain_beyond_the_margin_passes() -> None:
    true, wrong = np.zeros(100, np.int64), np.ones(100, np.int64)
    assert parity.compare(one_hot(wrong), one_hot(true), true, margin=0.2).verdict == "PASS"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_not_finite_fail(value: float) -> None:
    true = np.zeros(10, np.int64)
    answers = one_hot(true)
    answers[3, 5] = value
    found = parity.compare(one_hot(true), answers, true, margin=100)
    assert found.verdict == "FAIL"
    assert "not finite" in found.reason
