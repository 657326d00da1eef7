"""Which non-mated comparisons match now and did not before: named as the missed mated ones are.

Legend: K non-mated scores kept one by one, the highest.
"""

import numpy as np

from app.dataset.evaluation import FalseMatchesFound, PairFound
from workers.verdict.album import Album
from workers.verdict.blocks import name_of
from workers.verdict.highest import Codes, Tail
from workers.verdict.listed import Listed
from workers.verdict.worse import At

PAIRS = 20
"""Comparisons named at the most, those with the highest scores."""


def find_false_matches(
    listed: Listed, new: At, old: At | None, album: Album, *, distances: bool
) -> FalseMatchesFound | None:
    """Name the strangers who match now and did not with the baseline; without one, those who match.

    None where it is not known which comparisons reach a threshold: it lies below the scores that are kept one by one,
    or the baseline's were kept without their comparisons.
    """
    matched, before = _reaching(new), (np.zeros(0, np.int64) if old is None else _reaching(old))
    if matched is None or before is None:
        return None
    fresh = np.flatnonzero(~np.isin(matched, before))
    sign = -1.0 if distances else 1.0
    references, probes = listed.pairs_at(matched[fresh[:PAIRS]])

    def pair_of(number: int) -> PairFound:
        reference, probe = name_of(references[number]), name_of(probes[number])
        earlier = None if old is None else _score_of(old.scores.tail, int(matched[fresh[number]]))
        return PairFound(
            reference=reference,
            probe=probe,
            reference_image=album.image(reference),
            probe_image=album.image(probe),
            score=sign * float(new.scores.tail.scores[fresh[number]]),
            baseline_score=None if earlier is None else sign * earlier,
        )

    return FalseMatchesFound(
        pairs=len(fresh),
        pairs_better=None if old is None else int((~np.isin(before, matched)).sum()),
        listed=tuple(pair_of(number) for number in range(len(references))),
    )


def _reaching(at: At) -> Codes | None:
    """Cells of the non-mated comparisons that match, the highest score first; None where they are not known."""
    tail = at.scores.tail
    if tail.cells is None or not at.scores.in_tail(at.threshold):
        return None
    return tail.cells[: int(np.searchsorted(-tail.scores, -np.float64(at.threshold), "right"))]


def _score_of(tail: Tail, cell: int) -> float | None:
    """The score of a comparison; None for one that failed, or that is not among those kept."""
    if tail.cells is None or not (at := np.flatnonzero(tail.cells == cell)).size:
        return None
    return float(tail.scores[at[0]])
