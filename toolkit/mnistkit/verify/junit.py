"""A verify report as JUnit XML, which CI systems show."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from mnistkit.verify.parity import Parity
from mnistkit.verify.report import VerifyReport

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0


def to_xml(report: VerifyReport, *, allow_inconclusive: bool) -> bytes:
    """One test case an artifact and runtime: what is INCONCLUSIVE fails or is skipped, what did not run is skipped.

    What did not run fails where it was asked for by name, or nothing ran at all.
    """
    suite = ET.Element("testsuite", name="mnistkit verify")
    for row in report.rows:
        case = ET.SubElement(suite, "testcase", classname=row.runtime, name=_text(row.artifact))
        case.set("time", f"{row.seconds:.3f}")
        if row.parity.verdict != "PASS":
            skipped = allow_inconclusive and row.parity.verdict == "INCONCLUSIVE"
            ET.SubElement(
                case, "skipped" if skipped else "failure", type=row.parity.verdict, message=_text(row.parity.reason)
            )
        ET.SubElement(case, "system-out").text = _figures(row.parity)
    for missing in report.not_run:
        case = ET.SubElement(suite, "testcase", classname=missing.runtime, name=_text(missing.artifact), time="0")
        message = _text(f"{missing.problem}; {missing.remedy}")
        ET.SubElement(case, "failure" if missing.requested or not report.rows else "skipped", message=message)
    for count, tag in (("tests", "testcase"), ("failures", "testcase/failure"), ("skipped", "testcase/skipped")):
        suite.set(count, str(len(suite.findall(tag))))
    suite.set("errors", "0")
    suite.set("time", f"{sum(row.seconds for row in report.rows):.3f}")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _figures(parity: Parity) -> str:
    return (
        f"accuracy {parity.accuracy:.4f}, original {parity.original_accuracy:.4f}, on {parity.images} images; "
        f"difference {parity.difference:+.3f} points, 95% interval {parity.interval.low:+.3f} to "
        f"{parity.interval.high:+.3f}; {parity.regressions} broken, {parity.fixes} mended, p = {parity.p_value:.3g}"
    )


def _text(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)
