"""From templates to scores: every two of one table compared once, as a matcher of the plan compares them."""

from app.config import WorkerSettings
from app.dataset.plan import PlannedMatcher
from app.errors import Misconfigured
from workers.biometrics.crossed import CrossedScores, compare_crossed
from workers.biometrics.templates import Metric, TemplateTable
from workers.matchers.base import Matcher
from workers.matchers.comparison import COSINE, MINUS_EUCLIDEAN
from workers.matchers.registry import load_matcher

METRICS: dict[str, Metric] = {COSINE.name: "cosine", MINUS_EUCLIDEAN.name: "euclidean"}

LONGEST_TAIL = 1_000_000
"""Non-mated scores kept one by one at the most; beyond, the threshold's own uncertainty is not resampled."""


def load_planned(planned: PlannedMatcher, settings: WorkerSettings) -> Matcher:
    """Load a matcher that a plan is pinned to; raises Misconfigured for another or with other weights."""
    matcher = load_matcher(planned.name, settings)
    if matcher.digest != planned.digest:
        raise Misconfigured(
            f"the plan names matcher {planned.name!r} with weights {planned.digest[:12]} and this worker's has "
            f"{matcher.digest[:12]}; request it anew, or install the old one"
        )
    metric_of(matcher)
    return matcher


def metric_of(matcher: Matcher) -> Metric:
    """How tables of a matcher's templates are compared; raises Misconfigured for a score of the matcher's own."""
    if matcher.score.name not in METRICS:
        raise Misconfigured(
            f"matcher {matcher.name!r} makes scores by {matcher.score.name!r}; sets are judged by {', '.join(METRICS)}"
        )
    return METRICS[matcher.score.name]


def compare_all(table: TemplateTable, *, subjects: int, metric: Metric, fmr: float = 0.0) -> CrossedScores:
    """Every two templates of a table once; enough of the non-mated tail is kept to resample an FMR of interest."""
    wanted = int(3 * fmr * len(table) ** 2 / 2)
    return compare_crossed(table, subjects=subjects, metric=metric, keep_tail=min(max(100_000, wanted), LONGEST_TAIL))
