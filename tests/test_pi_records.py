"""Counts of instructions, held against those that were recorded."""

from __future__ import annotations

import pytest

import pi_records
from pi_records import Count, Instructions


def counted(*counts: int, runtime: str = "1") -> Instructions:
    rows = (Count("pi4", f"model.{number}", "litert", count) for number, count in enumerate(counts))
    return Instructions({"litert": runtime}, tuple(rows))


def test_less_than_a_percent_is_no_change() -> None:
    assert list(pi_records.changes(counted(1000, 1000), counted(1009, 991, runtime="2"))) == []


@pytest.mark.parametrize(("now", "change"), [(1011, "+1.1%"), (989, "-1.1%")])
def test_more_than_a_percent_is_told_with_the_versions_that_differ(now: int, change: str) -> None:
    assert list(pi_records.changes(counted(1000, 1000), counted(1000, now, runtime="2"))) == [
        f"model.1 on litert, pi4: 1,000 before, {now:,} now ({change})",
        "litert: 1 before, 2 now",
    ]


def test_what_only_one_side_has_is_a_change() -> None:
    assert list(pi_records.changes(counted(5, 6), counted(5))) == ["model.1 on litert, pi4: 6 before, not counted now"]
    assert list(pi_records.changes(counted(5), counted(5, 6))) == ["model.1 on litert, pi4: 6 now, not counted before"]


def test_two_runs_are_as_far_apart_as_their_worst_counts() -> None:
    assert pi_records.apart(counted(1000, 1000), counted(1001, 998)) == pytest.approx(0.002)


def test_the_record_is_whole() -> None:
    record = pi_records.recorded()
    found = pi_records.by_key(record)
    assert len(found) == len(record.counts) == 21
    assert {board for board, *_ in found} == set(pi_records.BOARDS)
    assert {"ai-edge-litert", "onnxruntime", "numpy", "qemu"} <= set(record.versions)
