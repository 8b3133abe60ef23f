"""A Raspberry Pi with a 32-bit system: another runtime, Debian's numpy, and 32-bit integers."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from pi.cases import MAX_DIFFERENCE, BoardFactory, Case, ComparePredictions

from mnistkit_bench import samples, statistics
from mnistkit_bench.samples import Round

BOARD = "pi4", "bookworm-armhf"
CASES = [Case(*BOARD, images=300), pytest.param(Case(*BOARD), marks=pytest.mark.full)]
SUMMARIZE = """
import json, sys
from mnistkit.bench_report import RawSamples
from mnistkit_bench import samples, statistics
raw = RawSamples(**json.loads(sys.argv[1]))
print(statistics.summarize(samples.unpack(raw)))
"""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_predictions_match_this_machine(case: Case, compare_predictions: ComparePredictions) -> None:
    pairs = compare_predictions(case)
    assert [pair.runtime for pair in pairs] == ["tflite-runtime"] * 4
    for pair in pairs:
        if pair.quantization != "int8":
            assert pair.label_changes == 0, pair.artifact
            assert pair.differences.max() <= MAX_DIFFERENCE[pair.quantization], pair.artifact
        else:  # its kernels round differently: few images differ, but by more than one quantization step
            assert pair.label_changes <= 1
            assert (pair.differences > 0).mean() <= 0.01


def test_statistics_match_this_machine(board: BoardFactory) -> None:
    random = np.random.default_rng(1)
    batches = [random.integers(5, 20, 8) for _ in range(24)]
    rounds = [
        Round(
            nanoseconds=random.integers(40_000, 60_000, sizes.sum()),
            batches=sizes,
            switches=random.integers(0, 2, len(sizes)),
            probes=random.integers(9_000, 9_400, len(sizes) + 1),
        )
        for sizes in batches
    ]
    raw = samples.pack([rounds[:12], rounds[12:]])
    latency = statistics.summarize(samples.unpack(raw))
    result = board(*BOARD).run("python3", "-P", "-c", SUMMARIZE, json.dumps(asdict(raw)))
    assert result.stdout.strip() == str(latency), result.stderr
    assert latency.idle.p50_interval
