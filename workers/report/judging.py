"""All that one judge found, section by section; a section that cannot be measured says why."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from app.dataset.measures import Counted, Rate
from app.dataset.report import Absent, JudgeReport
from workers.biometrics.rates import failure_to_enrol, failure_to_extract
from workers.biometrics.scores import Failures
from workers.report import difficulty, figures
from workers.report.evidence import Evidence, JudgedBy
from workers.report.extremes import most_alike, worst_mated
from workers.report.grouping import differentials
from workers.report.identities import capacity, consistent, unique
from workers.report.leaking import leaked
from workers.report.searches import identify


def judge(
    evidence: Evidence, by: JudgedBy, *, trained_on: int = 0, should_cancel: Callable[[], bool] = lambda: False
) -> JudgeReport:
    """Measure everything by one judge; `trained_on` is how many identities the model was trained on."""
    absent: Absent = {}
    enrolment, extraction = _failures(evidence, by)
    extracted = ~np.isnan(by.templates[:, 0]) if len(by.templates) else np.zeros(0, bool)
    if not (extracted & evidence.mated).any():
        absent["difficulty"] = (
            "no template could be made of any judged subject's sample" if evidence.mated.any() else "nothing was judged"
        )
        return JudgeReport(
            matcher=by.facts,
            enrolment=enrolment,
            extraction=extraction,
            failures=_reasons(by),
            mated=None,
            non_mated=None,
            points=(),
            det=(),
            eer=None,
            tail=(),
            uniqueness=None,
            consistency=None,
            capacity=None,
            identification=(),
            groups=(),
            leakage=None,
            absent=absent,
        )
    scores = difficulty.compare(evidence, by, should_cancel)
    mated, non_mated = difficulty.distributions(scores)
    points, working = difficulty.operating_points(scores, evidence, absent)
    if working is None:
        low = min(point.needs for point in points if point.target_fmr == max(difficulty.WORKING))
        for section in ("uniqueness", "consistency", "capacity", "groups"):
            absent[section] = f"no threshold has a resolved FMR: FMR {100 * max(difficulty.WORKING):g}% needs {low}"
    return JudgeReport(
        matcher=by.facts,
        enrolment=enrolment,
        extraction=extraction,
        failures=_reasons(by),
        mated=mated,
        non_mated=non_mated,
        points=points,
        det=difficulty.det(scores, evidence, absent),
        eer=difficulty.equal_error_rate(scores, evidence, absent),
        real=difficulty.real_points(scores, by, evidence, absent),
        tail=difficulty.tail(scores, absent),
        worst_mated=worst_mated(evidence, by),
        most_alike=most_alike(evidence, by, scores),
        uniqueness=unique(evidence, by, scores, working, absent) if working else None,
        consistency=consistent(evidence, by, working, absent) if working else None,
        capacity=capacity(evidence, by, working, absent) if working else None,
        identification=identify(evidence, by, absent, should_cancel),
        groups=differentials(evidence, by, scores, working, absent) if working else (),
        leakage=leaked(evidence, by, trained_on, absent),
        absent=absent,
    )


def _failures(evidence: Evidence, by: JudgedBy) -> tuple[Rate | None, Rate | None]:
    """Failure to enrol over the reference side, failure to extract over probes."""
    failed = np.zeros(len(evidence), bool)
    failed[list(by.failures)] = True
    gallery = evidence.gallery
    counted = Failures(
        enrolments=int(gallery.sum()),
        enrolments_failed=int((failed & gallery).sum()),
        extractions=int((~gallery).sum()),
        extractions_failed=int((failed & ~gallery).sum()),
    )
    found = failure_to_enrol(counted), failure_to_extract(counted)
    enrolment, extraction = (figures.rate(rate) if rate else None for rate in found)
    return enrolment, extraction


def _reasons(by: JudgedBy) -> tuple[Counted, ...]:
    counted = Counter(by.failures.values())
    return tuple(
        Counted(reason=reason, count=count)
        for reason, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    )
