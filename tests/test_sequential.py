"""The sequential test of parity: valid however often it looks, and on real artifacts."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import FAST, Cli, use_perfect_reference

from mnistkit.verify.sequential import MAX_STAKE, ConfidenceSequence, Counts, best_stakes

MARGIN = 0.002
FEW = np.linspace(-0.1, 0.1, 21)  # candidates besides the margin: fast, and the verdict is the same


def simulate(regressions: float, fixes: float, rng: np.random.Generator, images: int = 10_000) -> tuple[str, int]:
    """The verdict on images with these rates of flips, and the images that it took."""
    sequence = ConfidenceSequence(MARGIN, FEW)
    for seen in range(100, images + 1, 100):
        outcome = rng.multinomial(100, [regressions, fixes, 1 - regressions - fixes])
        interval = sequence.add(Counts(100, int(outcome[0]), int(outcome[1])))
        if interval.low > -MARGIN:
            return "PASS", seen
        if interval.high < -MARGIN:
            return "FAIL", seen
    return "INCONCLUSIVE", images


@pytest.mark.parametrize(("regressions", "fixes"), [(0.002, 0.0), (0.004, 0.002), (0.03, 0.028)])
def test_artifact_that_is_worse_by_the_margin_rarely_passes(regressions: float, fixes: float) -> None:
    """benchmarks/verify.py runs 4,000 of these."""
    rng = np.random.default_rng(1)
    verdicts = [simulate(regressions, fixes, rng)[0] for _ in range(400)]
    assert verdicts.count("PASS") <= 10  # 2.5%
    assert verdicts.count("FAIL") <= 10


def test_equal_artifact_passes_early_and_a_bad_one_fails_early() -> None:
    rng = np.random.default_rng(2)
    equal = [simulate(0.0003, 0.0003, rng) for _ in range(50)]
    assert {verdict for verdict, _ in equal} == {"PASS"}
    assert np.median([images for _, images in equal]) <= 3000
    bad = [simulate(0.05, 0.01, rng) for _ in range(50)]
    assert {verdict for verdict, _ in bad} == {"FAIL"}
    assert np.median([images for _, images in bad]) <= 1000


flips = st.tuples(st.integers(0, 60), st.integers(0, 40))


@settings(deadline=None, max_examples=50)
@given(st.lists(flips, min_size=1, max_size=20))
def test_confidence_sequence_only_shrinks_and_stays_an_interval(batches: list[tuple[int, int]]) -> None:
    sequence, before = ConfidenceSequence(MARGIN), (-1.0, 1.0)
    for regressions, fixes in batches:
        interval = sequence.add(Counts(100, regressions, fixes))
        assert before[0] <= interval.low <= interval.high <= before[1]
        before = interval.low, interval.high


@settings(deadline=None)
@given(st.floats(-0.99, 0.99), st.integers(0, 5000), flips)
def test_stake_maximizes_the_growth_expected_from_what_was_seen(
    mean: float, images: int, flips: tuple[int, int]
) -> None:
    seen = Counts(images + 100, *flips)
    (stake,) = best_stakes(np.array([mean]), seen)
    total = seen.images + 1000
    rates = np.array([seen.regressions + 0.5, 0, seen.fixes + 0.5]) / total
    rates[1] = 1 - rates.sum()
    outcomes = np.array([-1, 0, 1]) - mean
    limit = MAX_STAKE / (1 + mean)
    grid = np.linspace(0, limit, 1001)
    growth = (rates * np.log1p(np.outer(grid, outcomes))).sum(axis=1)
    assert 0 <= stake <= limit + 1e-9
    assert (rates * np.log1p(stake * outcomes)).sum() >= growth.max() - 1e-9


def test_sequential_verify_takes_only_the_images_that_it_needs(mnistkit: Cli, workspace: Path) -> None:
    arguments = "verify", workspace / "bundle", *FAST[:2], "--sequential", "--margin", 1
    report = json.loads(mnistkit(*arguments, "--json", "-").out)
    assert (report["sequential"], report["verdict"]) == (True, "PASS")
    for row in report["rows"]:
        assert row["parity"]["images"] < 2000
        assert row["parity"]["p_value"] is None
        assert -1 < row["parity"]["interval"]["low"] <= row["parity"]["interval"]["high"]
    assert json.loads(mnistkit(*arguments, "--json", "-").out)["rows"][0]["parity"] == report["rows"][0]["parity"]
    table = mnistkit(*arguments, "--seed", 5).out
    assert "as many test images as needed (seed 5)" in table


def test_sequential_verify_fails_early(mnistkit: Cli, bundle: Path) -> None:
    use_perfect_reference(bundle)  # so that the artifacts are worse by 0.9 points
    result = mnistkit("verify", bundle, *FAST[:2], "--sequential", "--json", "-")
    rows = json.loads(result.out)["rows"]
    assert result.code == 1
    assert {row["parity"]["verdict"] for row in rows} == {"FAIL"}
    assert max(row["parity"]["images"] for row in rows) < 10_000


@pytest.mark.parametrize("option", [("--limit", 100), ("--holm",), ("--save-predictions", "p.npz")])
def test_options_that_need_a_fixed_sample_are_refused(
    mnistkit: Cli, workspace: Path, option: tuple[object, ...]
) -> None:
    result = mnistkit("verify", workspace / "bundle", "--sequential", *option)
    assert result.code == 2
    assert "leave out --limit, --holm and --save-predictions" in result.err
