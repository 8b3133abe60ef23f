"""Comparison of instruction counts with the recorded ones."""

import pytest

import pi_records
from pi_records import Count, InstructionCounts


def make_counts(*counts: int, runtime: str = "1") -> InstructionCounts:
    rows = (Count("pi4", f"model.{number}", "litert", count) for number, count in enumerate(counts))
    return InstructionCounts({"litert": runtime}, tuple(rows))


def test_less_than_one_percent_is_no_change() -> None:
    baseline, current = make_counts(1000, 1000), make_counts(1009, 991, runtime="2")
    assert list(pi_records.find_changes(baseline, current)) == []


@pytest.mark.parametrize(("count", "change"), [(1011, "+1.1%"), (989, "-1.1%")])
def test_change_is_reported_with_differing_versions(count: int, change: str) -> None:
    baseline, current = make_counts(1000, 1000), make_counts(1000, count, runtime="2")
    assert list(pi_records.find_changes(baseline, current)) == [
        f"model.1 on litert, pi4: 1,000 before, {count:,} now ({change})",
        "litert: 1 before, 2 now",
    ]


def test_missing_and_new_counts_are_reported() -> None:
    one, two = make_counts(5), make_counts(5, 6)
    assert list(pi_records.find_changes(two, one)) == ["model.1 on litert, pi4: 6 before, not counted now"]
    assert list(pi_records.find_changes(one, two)) == ["model.1 on litert, pi4: 6 now, not counted before"]


def test_max_deviation_is_that_of_the_worst_count() -> None:
    assert pi_records.max_deviation(make_counts(1000, 1000), make_counts(1001, 998)) == pytest.approx(0.002)


def test_recorded_baseline_is_complete() -> None:
    baseline = pi_records.load_baseline()
    counts = baseline.by_key()
    assert len(counts) == len(baseline.counts) == 21
    assert {board for board, *_ in counts} == set(pi_records.BOARDS)
    assert {"ai-edge-litert", "onnxruntime", "numpy", "qemu"} <= set(baseline.versions)
