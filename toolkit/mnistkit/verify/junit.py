"""A verify report as JUnit XML, for CI systems."""

import re
from xml.etree import ElementTree as ET

from mnistkit.verify.parity import Parity
from mnistkit.verify.report import VerifyReport

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML 1.0 excludes


def to_xml(report: VerifyReport, *, allow_inconclusive: bool) -> bytes:
    """One test case for each artifact and runtime.

    An INCONCLUSIVE verdict is a failure, or skipped with `allow_inconclusive`. An artifact that did not run is skipped,
    or a failure if its runtime was requested or no artifact ran.
    """
    suite = ET.Element("testsuite", name="mnistkit verify")
    for row in report.rows:
        case = _add_case(suite, row.artifact, row.runtime, row.seconds)
        if row.parity.verdict != "PASS":
            skipped = allow_inconclusive and row.parity.verdict == "INCONCLUSIVE"
            outcome = ET.SubElement(case, "skipped" if skipped else "failure", type=row.parity.verdict)
            outcome.set("message", _remove_forbidden(row.parity.reason))
        ET.SubElement(case, "system-out").text = _figures(row.parity)
    for missing in report.not_run:
        case = _add_case(suite, missing.artifact, missing.runtime, 0)
        outcome = ET.SubElement(case, "failure" if missing.requested or not report.rows else "skipped")
        outcome.set("message", _remove_forbidden(f"{missing.problem}; {missing.remedy}"))
    for count, tag in (("tests", "testcase"), ("failures", "testcase/failure"), ("skipped", "testcase/skipped")):
        suite.set(count, str(len(suite.findall(tag))))
    suite.set("errors", "0")
    suite.set("time", f"{sum(row.seconds for row in report.rows):.3f}")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _add_case(suite: ET.Element, artifact: str, runtime: str, seconds: float) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=runtime, name=_remove_forbidden(artifact), time=f"{seconds:.3f}")


def _figures(parity: Parity) -> str:
    return (
        f"accuracy {parity.accuracy:.4f}, original {parity.original_accuracy:.4f}, on {parity.images} images; "
        f"difference {parity.difference:+.3f} points, 95% CI {parity.interval.low:+.3f} to "
        f"{parity.interval.high:+.3f}; regressions {parity.regressions}, fixes {parity.fixes}, "
        f"McNemar p = {parity.p_value:.3g}"
    )


def _remove_forbidden(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)
