"""Score files: what their columns are called, what is taken for a score, and how one is written.

Bob's columns are probe_template_id, probe_subject_id, bio_ref_template_id, bio_ref_subject_id, score, in any order;
further columns (Bob's metadata) are skipped. The simple form is reference,probe,score. An empty score, or NaN, is a
comparison that failed. Files are read by `workers.verdict`.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.numerals import NUMBER
from workers.biometrics.errors import ScoresRefused

BOB = ("probe_template_id", "probe_subject_id", "bio_ref_template_id", "bio_ref_subject_id", "score")
SIMPLE = ("reference", "probe", "score")

LARGEST = 1e150
"""No comparison score is larger; beyond it, differences of scores overflow."""

_NUMBER = re.compile(rf"\s*{NUMBER}\s*", re.ASCII)
_FAILED = re.compile(r"\s*(?:[+-]?nan)?\s*", re.ASCII | re.IGNORECASE)


class ScoredPair(NamedTuple):
    """One line of a score file."""

    reference: str
    reference_subject: str
    probe: str
    probe_subject: str
    score: float | None
    """None if the comparison failed."""


def parse_score(text: str, line: int) -> float:
    """The score in a field, NaN for a comparison that failed; raises ScoresRefused for anything else.

    Python would read 1_0 and digits of other scripts too; a file that holds them was not written by a matcher.
    """
    if _FAILED.fullmatch(text):
        return np.nan
    if not _NUMBER.fullmatch(text):
        raise ScoresRefused(
            f"the score is {text[:50]!r}; it must be a finite number in plain digits with a decimal point, "
            "or empty if the comparison failed",
            line,
        )
    return float(check_scores(np.array([float(text)]), line)[0])


def check_scores(scores: NDArray[Any], first: int) -> NDArray[np.float64]:
    """Scores as float64; raises ScoresRefused for one that is infinite or no score of any matcher. NaN is a failure.

    `first` is the line or row of the first.
    """
    values = np.asarray(scores, np.float64)
    wrong = np.flatnonzero(np.abs(values) > LARGEST)
    if wrong.size:
        raise ScoresRefused(
            f"the score is {values[wrong[0]]:g}; scores must be finite and within ±{LARGEST:g}, "
            "empty or NaN if the comparison failed",
            first + int(wrong[0]),
        )
    return values


def write_scores(comparisons: Iterable[ScoredPair], form: Literal["bob", "simple"] = "bob") -> Iterator[bytes]:
    """Write a score file, chunk by chunk; what is written reads back to the same scores, bit for bit.

    Raises ScoresRefused for an infinite score.
    """
    yield (",".join(BOB if form == "bob" else SIMPLE) + "\n").encode()
    for number, row in enumerate(comparisons, 2):
        if row.score is not None:
            check_scores(np.array([row.score]), number)
        score = "nan" if row.score is None else repr(float(row.score))
        names = [row.reference, row.probe]
        if form == "bob":
            names = [row.probe, row.probe_subject, row.reference, row.reference_subject]
        yield (",".join([*map(_quoted, names), score]) + "\n").encode()


def _quoted(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ScoresRefused(f"{text[:50]!r} holds a line break; a name must be on one line")
    if '"' in text or "," in text:
        return '"' + text.replace('"', '""') + '"'
    return text
