"""A Raspberry Pi with a 32-bit system: another runtime, another numpy, and integers of half the width."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest
from pi.cases import MOST_OFF, Answered, Case

from emulated_pi.board import Board
from mnistkit_bench import samples, statistics
from mnistkit_bench.samples import Round

BOARD = "pi4", "bookworm-armhf"
CASES = [Case(*BOARD, images=300), pytest.param(Case(*BOARD), marks=pytest.mark.full)]
SUMMARISE = """
import json, sys
from mnistkit.bench_report import RawSamples
from mnistkit_bench import samples, statistics
raw = RawSamples(**json.loads(sys.argv[1]))
print(statistics.summarize(samples.accepted(samples.unpack(raw))[0]))
"""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_answers_as_this_machine_does(case: Case, answered: Callable[[Case], list[Answered]]) -> None:
    rows = answered(case)
    assert [row.runtime for row in rows] == ["tflite-runtime"] * 4
    for row in rows:
        if row.quantization != "int8":
            assert row.relabelled == 0, row.artifact
            assert row.differences.max() <= MOST_OFF[row.quantization], row.artifact
        else:  # its kernels round sums by another rule: that moves few images, but those by more than a step
            assert row.relabelled <= 1
            assert (row.differences > 0).mean() <= 0.01


def test_a_measurement_comes_to_the_same_figures(board: Callable[[str, str], Board]) -> None:
    random = np.random.default_rng(1)
    batches = [random.integers(5, 20, 8) for _ in range(24)]
    each = [
        Round(random.integers(40_000, 60_000, many.sum()), many, random.integers(9_000, 11_000, len(many) + 1))
        for many in batches
    ]
    raw = samples.pack([each[:12], each[12:]])
    here = statistics.summarize(samples.accepted(samples.unpack(raw))[0])
    done = board(*BOARD).run("python3", "-P", "-c", SUMMARISE, json.dumps(asdict(raw)))
    assert done.stdout.strip() == str(here), done.stderr
    assert here.p50_interval
