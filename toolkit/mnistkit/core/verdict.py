"""The verdict of a test that may have too few data."""

from collections.abc import Iterable
from typing import Literal

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


def worst_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """FAIL before INCONCLUSIVE before PASS; PASS if there are none."""
    present = set(verdicts)
    return "FAIL" if "FAIL" in present else "INCONCLUSIVE" if "INCONCLUSIVE" in present else "PASS"
