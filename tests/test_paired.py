"""Statistics of paired answers, against scipy, statsmodels, a worked example and first principles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar

from mnistkit.verify import paired

counts = st.integers(0, 400)


@given(counts, counts)
def test_the_p_value_is_scipys_and_statsmodels(lost: int, gained: int) -> None:
    found = paired.mcnemar(lost, gained)
    if lost + gained:
        assert found == pytest.approx(stats.binomtest(lost, lost + gained).pvalue, rel=1e-9)
    assert found == pytest.approx(mcnemar([[7, gained], [lost, 9]], exact=True).pvalue, rel=1e-9)


def test_the_p_value_of_a_million_images_is_no_overflow() -> None:
    assert paired.mcnemar(500_000, 499_000) == pytest.approx(stats.binomtest(500_000, 999_000).pvalue, rel=1e-6)
    assert paired.mcnemar(10_000, 0) == 0


def test_the_interval_is_that_of_a_worked_example() -> None:
    """Bentur et al. 2009, as in Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables, ch. 8."""
    found = paired.tango_interval(lost=7, gained=1, images=21)
    assert (round(found.low, 3), round(found.high, 3)) == (-0.517, -0.026)


def score(lost: int, gained: int, images: int, delta: float) -> float:
    """The score statistic from first principles: the likelihood given delta, maximised by scipy."""

    def unlikely(share: float) -> float:  # of losses; that of gains is delta more
        others = images - lost - gained
        parts = (lost, share), (gained, share + delta), (others, 1 - 2 * share - delta)
        return -sum(count * math.log(max(p, 1e-300)) for count, p in parts if count)

    low, high = max(0.0, -delta), (1 - delta) / 2
    share = optimize.minimize_scalar(unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return float((gained - lost - images * delta) / math.sqrt(images * (2 * share + delta - delta**2)))


@settings(max_examples=50)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 500))
def test_at_the_bounds_the_observed_difference_is_just_significant(lost: int, gained: int, agreed: int) -> None:
    images = lost + gained + agreed
    found = paired.tango_interval(lost, gained, images)
    assert score(lost, gained, images, found.low) == pytest.approx(stats.norm.ppf(0.975), abs=1e-3)
    assert score(lost, gained, images, found.high) == pytest.approx(stats.norm.ppf(0.025), abs=1e-3)


@given(counts, counts, st.integers(1, 10_000))
def test_the_interval_holds_the_difference_and_is_odd(lost: int, gained: int, more: int) -> None:
    images = lost + gained + more
    found, mirrored = paired.tango_interval(lost, gained, images), paired.tango_interval(gained, lost, images)
    assert -1 <= found.low < (gained - lost) / images < found.high <= 1
    assert mirrored.low == pytest.approx(-found.high, abs=1e-12)


@pytest.mark.parametrize(("lost", "gained"), [(5, 0), (0, 5), (5, 5), (0, 0), (1, 0)])
def test_an_interval_where_all_or_no_answers_differ_is_finite(lost: int, gained: int) -> None:
    for images in {max(1, lost + gained), 10_000}:
        found = paired.tango_interval(lost, gained, images)
        assert -1 <= found.low <= (gained - lost) / images <= found.high <= 1
        assert found.low < found.high


@pytest.mark.parametrize(("loss", "gain", "images"), [(0.004, 0.003, 10_000), (0.02, 0.01, 1000), (0.001, 0.001, 2000)])
def test_the_interval_covers_the_truth_in_19_of_20(loss: float, gain: float, images: int) -> None:
    """Experiments drawn at random: the level holds where images that differ are few, as they are here."""
    random = np.random.default_rng(5)
    drawn = random.multinomial(images, [loss, gain, 1 - loss - gain], size=2000)
    found = [paired.tango_interval(lost, gained, images) for lost, gained, _ in drawn.tolist()]
    covered = np.mean([interval.low <= gain - loss <= interval.high for interval in found])
    assert 0.935 <= covered <= 0.97


@given(counts, counts, st.integers(1, 10_000), st.floats(0.0005, 0.05))
def test_the_number_that_settles_it_is_the_least(lost: int, gained: int, more: int, margin: float) -> None:
    images = lost + gained + more

    def settled(count: int) -> bool:
        found = paired.tango_interval(lost * count / images, gained * count / images, count)
        return found.low > -margin or found.high < -margin

    found = paired.required_images(lost, gained, images, margin)
    if found is None:
        assert not settled(paired.MAX_REQUIRED_IMAGES // 2)
    elif found > images:
        assert settled(found)
        assert not settled(found - 1)
    else:
        assert found == images
        assert settled(images)


def test_a_loss_of_just_the_margin_is_never_settled() -> None:
    assert paired.required_images(lost=20, gained=0, images=10_000, margin=0.002) is None
