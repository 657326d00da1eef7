"""Which way is more alike: distances must not be taken for scores, or the worst matcher would have the best verdict."""

from app.dataset.evaluation import PointFound, Rule, ScoresFound
from workers.biometrics.errors import ScoresRefused
from workers.verdict.compared import ComparedScores

UPSIDE_DOWN = 0.4
"""A chance of a mated score above a non-mated one that is below this is no matcher's: its numbers mean the opposite."""

FAINT = 0.6
"""Below this a matcher hardly tells who is who."""


def check_order(scores: ComparedScores, baseline: ComparedScores | None, *, distances: bool) -> None:
    """Raise ScoresRefused where mated comparisons score below non-mated ones."""
    wrong = [(who, one.order) for who, one in _named(scores, baseline) if one.order < UPSIDE_DOWN]
    if not wrong:
        return
    told = " and ".join(
        f"in {who} a mated comparison is above a non-mated one in only {order:.1%} of cases" for who, order in wrong
    )
    if distances:
        raise ScoresRefused(
            f"NO VERDICT: read as distances, {told}; these are scores, higher for the more alike. Leave out "
            "--distances (rule.distances)"
        )
    both = baseline is None or len(wrong) == 2
    fix = (
        "if they are distances, say so: --distances (rule.distances)"
        if both
        else "one of the two files is upside down: hand in both as scores, higher for the more alike, or both as "
        "distances with --distances (rule.distances)"
    )
    raise ScoresRefused(f"NO VERDICT: these look like DISTANCES, not scores: {told}; {fix}")


def faint(scores: ComparedScores, baseline: ComparedScores | None) -> list[str]:
    """A sentence for each matcher that hardly tells mated from non-mated."""
    return [
        f"{who} hardly tell mated from non-mated comparisons: a mated one is above a non-mated one in {one.order:.1%} "
        "of cases, and 50% is a coin's toss. Are these the matcher's scores, and of this set?"
        for who, one in _named(scores, baseline)
        if one.order < FAINT
    ]


def as_handed_in(found: ScoresFound, rule: Rule) -> ScoresFound:
    """Thresholds in the unit of what was handed in: of distances, distances."""
    if not rule.distances:
        return found
    eer = found.eer.model_copy(update={"threshold": _turned(found.eer.threshold)})
    points = tuple(_turned_point(point) for point in found.points)
    return found.model_copy(update={"points": points, "eer": eer})


def _turned_point(point: PointFound) -> PointFound:
    if point.threshold is None:
        return point
    return point.model_copy(update={"threshold": _turned(point.threshold)})


def _turned(threshold: float) -> float:
    return -threshold + 0.0  # never −0


def _named(scores: ComparedScores, baseline: ComparedScores | None) -> list[tuple[str, ComparedScores]]:
    return [("the new scores", scores)] + ([("the baseline", baseline)] if baseline is not None else [])
