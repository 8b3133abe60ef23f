"""Statistics of paired predictions, checked against SciPy, statsmodels, a published example and first principles."""

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
def test_p_value_equals_that_of_scipy_and_statsmodels(regressions: int, fixes: int) -> None:
    p_value = paired.mcnemar(regressions, fixes)
    if regressions + fixes:
        assert p_value == pytest.approx(stats.binomtest(regressions, regressions + fixes).pvalue, rel=1e-9)
    assert p_value == pytest.approx(mcnemar([[7, fixes], [regressions, 9]], exact=True).pvalue, rel=1e-9)


def test_p_value_of_a_million_flips_does_not_overflow() -> None:
    assert paired.mcnemar(500_000, 499_000) == pytest.approx(stats.binomtest(500_000, 999_000).pvalue, rel=1e-6)
    assert paired.mcnemar(10_000, 0) == 0


def test_interval_equals_a_published_example() -> None:
    """Bentur et al. 2009, as in Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables, ch. 8."""
    interval = paired.tango_interval(regressions=7, fixes=1, images=21)
    assert (round(interval.low, 3), round(interval.high, 3)) == (-0.517, -0.026)


def score(regressions: int, fixes: int, images: int, delta: float) -> float:
    """The score statistic from first principles: SciPy maximizes the likelihood for a true difference of `delta`."""

    def negative_log_likelihood(p: float) -> float:  # p: probability of a regression; that of a fix is p + delta
        others = images - regressions - fixes
        terms = (regressions, p), (fixes, p + delta), (others, 1 - 2 * p - delta)
        return -sum(count * math.log(max(probability, 1e-300)) for count, probability in terms if count)

    bounds = (max(0.0, -delta), (1 - delta) / 2)
    p = optimize.minimize_scalar(negative_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return float((fixes - regressions - images * delta) / math.sqrt(images * (2 * p + delta - delta**2)))


@settings(max_examples=50)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 500))
def test_score_at_the_bounds_is_the_normal_quantile(regressions: int, fixes: int, others: int) -> None:
    images = regressions + fixes + others
    interval = paired.tango_interval(regressions, fixes, images)
    assert score(regressions, fixes, images, interval.low) == pytest.approx(stats.norm.ppf(0.975), abs=1e-3)
    assert score(regressions, fixes, images, interval.high) == pytest.approx(stats.norm.ppf(0.025), abs=1e-3)


@given(counts, counts, st.integers(1, 10_000))
def test_interval_contains_the_difference_and_is_antisymmetric(regressions: int, fixes: int, others: int) -> None:
    images = regressions + fixes + others
    interval = paired.tango_interval(regressions, fixes, images)
    mirrored = paired.tango_interval(fixes, regressions, images)
    assert -1 <= interval.low < (fixes - regressions) / images < interval.high <= 1
    assert mirrored.low == pytest.approx(-interval.high, abs=1e-12)


@pytest.mark.parametrize(("regressions", "fixes"), [(5, 0), (0, 5), (5, 5), (0, 0), (1, 0)])
def test_interval_is_finite_and_has_a_width_without_flips_and_with_flips_only(regressions: int, fixes: int) -> None:
    for images in {max(1, regressions + fixes), 10_000}:
        interval = paired.tango_interval(regressions, fixes, images)
        assert -1 <= interval.low <= (fixes - regressions) / images <= interval.high <= 1
        assert interval.low < interval.high


@pytest.mark.parametrize(
    ("regression_rate", "fix_rate", "images"), [(0.004, 0.003, 10_000), (0.02, 0.01, 1000), (0.001, 0.001, 2000)]
)
def test_interval_covers_the_true_difference_in_95_percent_of_experiments(
    regression_rate: float, fix_rate: float, images: int
) -> None:
    """Random experiments with as few flips as artifacts have."""
    random = np.random.default_rng(5)
    experiments = random.multinomial(images, [regression_rate, fix_rate, 1 - regression_rate - fix_rate], size=2000)
    intervals = [paired.tango_interval(regressions, fixes, images) for regressions, fixes, _ in experiments.tolist()]
    coverage = np.mean([interval.low <= fix_rate - regression_rate <= interval.high for interval in intervals])
    assert 0.935 <= coverage <= 0.97


@given(counts, counts, st.integers(1, 10_000), st.floats(0.0005, 0.05))
def test_required_images_is_the_smallest_sample_size_that_decides(
    regressions: int, fixes: int, others: int, margin: float
) -> None:
    images = regressions + fixes + others

    def decides(count: int) -> bool:
        interval = paired.tango_interval(regressions * count / images, fixes * count / images, count)
        return interval.low > -margin or interval.high < -margin

    required = paired.required_images(regressions, fixes, images, margin)
    if required is None:
        assert not decides(paired.MAX_REQUIRED_IMAGES // 2)
    elif required > images:
        assert decides(required)
        assert not decides(required - 1)
    else:
        assert required == images
        assert decides(images)


def test_no_sample_size_decides_a_drop_equal_to_the_margin() -> None:
    assert paired.required_images(regressions=20, fixes=0, images=10_000, margin=0.002) is None
