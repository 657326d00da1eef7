"""The verdict as JUnit XML, as GitLab, GitHub's reporters and Jenkins read it: a test case a limit.

FAIL is a failure. UNDECIDED is an error: the test could not tell, and a pipeline must not take that for success.
"""

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from app.dataset.evaluation import Evaluation, LimitFound, Verdict
from workers.report.wording import plain
from workers.verdict.false_matches import PAIRS as FALSE_MATCHES
from workers.verdict.wording import false_match_lines, summary_lines, worse_lines
from workers.verdict.worse import PAIRS, SUBJECTS

SUITE = "facsimile evaluate"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A limit as a test case."""

    limit: LimitFound
    name: str
    further: tuple[str, ...] = ()
    """Lines below the reason, where the limit was not kept."""


def junit_xml(found: Evaluation, *, seconds: float = 0.0, timestamp: str | None = None) -> bytes:
    """Build the document, UTF-8; control characters that XML cannot carry become U+FFFD."""
    at = f"FMR {found.rule.at_fmr:g}" if found.rule.threshold is None else f"threshold {plain(found.rule.threshold)}"
    further = (*worse_lines(found, SUBJECTS, PAIRS), *false_match_lines(found, FALSE_MATCHES))
    cases = [
        Case(limit=limit, name=f"{limit.limit} {limit.allowed} at {at}", further=further) for limit in found.limits
    ]
    text = "\n".join(summary_lines(found))
    return junit_of(found.set.release or found.set.dataset, cases, text, seconds=seconds, timestamp=timestamp)


def junit_of(of: str, cases: list[Case], text: str, *, seconds: float, timestamp: str | None) -> bytes:
    """A document of test cases, about the set `of`; `text` is what the terminal shows."""
    counts = {
        "tests": str(max(len(cases), 1)),
        "failures": str(sum(case.limit.verdict is Verdict.FAIL for case in cases)),
        "errors": str(sum(case.limit.verdict is Verdict.UNDECIDED for case in cases)),
        "skipped": "0",
        "time": f"{seconds:.3f}",
    }
    root = ET.Element("testsuites", {"name": SUITE, **counts})
    about = {"name": _clean(f"{SUITE} {of}"), **counts}
    suite = ET.SubElement(root, "testsuite", about if timestamp is None else {**about, "timestamp": timestamp})
    of_class = {"classname": _clean(f"facsimile.{of}"), "time": counts["time"]}
    if not cases:
        ET.SubElement(suite, "testcase", {"name": "metrics", **of_class})
    for case in cases:
        _add(suite, case, of_class)
    output = ET.SubElement(suite, "system-out")
    output.text = _clean(text)
    ET.indent(root)
    return bytes(ET.tostring(root, "utf-8", xml_declaration=True)) + b"\n"


def _add(suite: ET.Element, case: Case, of_class: dict[str, str]) -> None:
    element = ET.SubElement(suite, "testcase", {"name": _clean(case.name), **of_class})
    kind = {Verdict.FAIL: "failure", Verdict.UNDECIDED: "error"}.get(case.limit.verdict)
    if kind is not None:
        attributes = {"message": _clean(case.limit.reason), "type": str(case.limit.verdict)}
        ET.SubElement(element, kind, attributes).text = _clean("\n".join([case.limit.reason, *case.further]))


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
