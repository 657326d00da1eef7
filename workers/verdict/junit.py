"""The verdict as JUnit XML, as GitLab, GitHub's reporters and Jenkins read it: a test case a limit.

FAIL is a failure. UNDECIDED is an error: the test could not tell, and a pipeline must not take that for success.
"""

from xml.etree import ElementTree as ET

from app.dataset.evaluation import Evaluation, LimitFound, Verdict
from workers.report.wording import plain
from workers.verdict.wording import summary_lines, worse_lines
from workers.verdict.worse import PAIRS, SUBJECTS

SUITE = "facsimile evaluate"


def junit_xml(found: Evaluation, *, seconds: float = 0.0, timestamp: str | None = None) -> bytes:
    """Build the document, UTF-8; control characters that XML cannot carry become U+FFFD."""
    failures = sum(limit.verdict is Verdict.FAIL for limit in found.limits)
    errors = sum(limit.verdict is Verdict.UNDECIDED for limit in found.limits)
    counts = {
        "tests": str(max(len(found.limits), 1)),
        "failures": str(failures),
        "errors": str(errors),
        "skipped": "0",
        "time": f"{seconds:.3f}",
    }
    root = ET.Element("testsuites", {"name": SUITE, **counts})
    about = {"name": _clean(f"{SUITE} {_set_name(found)}"), **counts}
    suite = ET.SubElement(root, "testsuite", about if timestamp is None else {**about, "timestamp": timestamp})
    if not found.limits:
        ET.SubElement(suite, "testcase", {"name": "metrics", "classname": _class(found), "time": counts["time"]})
    for limit in found.limits:
        _case(suite, found, limit, counts["time"])
    output = ET.SubElement(suite, "system-out")
    output.text = _clean("\n".join(summary_lines(found)))
    ET.indent(root)
    return bytes(ET.tostring(root, "utf-8", xml_declaration=True)) + b"\n"


def _case(suite: ET.Element, found: Evaluation, limit: LimitFound, seconds: str) -> None:
    name = f"{limit.limit} {limit.allowed} at " + (
        f"FMR {found.rule.at_fmr:g}" if found.rule.threshold is None else f"threshold {plain(found.rule.threshold)}"
    )
    case = ET.SubElement(suite, "testcase", {"name": _clean(name), "classname": _class(found), "time": seconds})
    kind = {Verdict.FAIL: "failure", Verdict.UNDECIDED: "error"}.get(limit.verdict)
    if kind is not None:
        attributes = {"message": _clean(limit.reason), "type": str(limit.verdict)}
        ET.SubElement(case, kind, attributes).text = _clean(
            "\n".join([limit.reason, *worse_lines(found, SUBJECTS, PAIRS)])
        )


def _class(found: Evaluation) -> str:
    return _clean(f"facsimile.{_set_name(found)}")


def _set_name(found: Evaluation) -> str:
    return found.set.release or found.set.dataset


def _clean(text: str) -> str:
    return "".join(
        letter
        if letter in "\t\n\r" or " " <= letter <= "\ud7ff" or "\ue000" <= letter <= "\ufffd" or letter > "\uffff"
        else "\ufffd"
        for letter in text
    )


def junit_error(text: str) -> bytes:
    """A document for an evaluation that could not be made at all."""
    counts = {"tests": "1", "failures": "0", "errors": "1", "skipped": "0"}
    root = ET.Element("testsuites", {"name": SUITE, **counts})
    suite = ET.SubElement(root, "testsuite", {"name": SUITE, **counts})
    case = ET.SubElement(suite, "testcase", {"name": "evaluate", "classname": "facsimile"})
    ET.SubElement(case, "error", {"message": _clean(text.splitlines()[0]), "type": "error"}).text = _clean(text)
    ET.indent(root)
    return bytes(ET.tostring(root, "utf-8", xml_declaration=True)) + b"\n"
