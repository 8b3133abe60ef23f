"""Holm's method: many tests at once, with one bound on the probability that any of them passes wrongly. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

from mnistkit.verify import paired
from mnistkit.verify.parity import Parity

ALPHA = 0.025  # probability that an artifact which is worse by the margin passes: one end of a 95% interval


def family_wise_error(tests: int, *, holm: bool) -> float:
    """The largest probability that any of so many artifacts passes although it is worse by the margin (Bonferroni)."""
    return ALPHA if holm else min(1.0, ALPHA * tests)


def adjusted_p_values(p_values: Sequence[float]) -> list[float]:
    """The p-values to compare with ALPHA (S. Holm, Scandinavian Journal of Statistics 6, 1979)."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def apply_holm(parities: Sequence[Parity], margin: float) -> list[Parity]:
    """The results, where a PASS that only holds for a single test is INCONCLUSIVE.

    Results of sequential tests, which have no p-value, are returned as they are.
    """
    tests = len(parities)
    p_values = [1.0 if row.non_inferiority_p is None else row.non_inferiority_p for row in parities]
    z = NormalDist().inv_cdf(1 - ALPHA / tests) if tests else 0.0
    return [
        replace(
            row,
            verdict="INCONCLUSIVE",
            reason=f"passes alone, but not as one of {tests} tests at once (Holm's p = {p_value:.2g})",
            required_images=paired.required_images(row.regressions, row.fixes, row.images, margin / 100, z),
        )
        if row.verdict == "PASS" and row.non_inferiority_p is not None and p_value > ALPHA
        else row
        for row, p_value in zip(parities, adjusted_p_values(p_values), strict=True)
    ]
