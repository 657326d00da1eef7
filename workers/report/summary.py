"""The report in plain sentences, for a reader who wants to know whether the set will do; and what not to conclude."""

from collections.abc import Iterator

from app.dataset.calibration import Contract
from app.dataset.reference import REFERENCE_FMR
from app.dataset.report import Counts, JudgeReport, Leakage, Report
from workers.report.wording import fmr_text, number, percent, plural, rate_text

AUC_OF_LEAKAGE = 0.55
"""Of the membership attack: above it, with all of its interval above 0.5, the summary speaks of leakage."""

SHARE_OF_LEAKAGE = 0.1
"""So many samples beyond 99% of strangers are ten times what strangers do."""

FAR = 10
"""So many times the share of real strangers that match is called far from a real operating point."""


def summarize(report: Report) -> tuple[str, ...]:
    """Sentences, the most important first; only of what was measured."""
    return tuple(_sentences(report))


def limits(report: Report) -> tuple[str, ...]:
    """What must not be concluded."""
    return tuple(_limits(report))


def headline(report: Report) -> JudgeReport | None:
    """The judge that the summary goes by: one that did not filter the set, where there is one."""
    measured = [judge for judge in report.judges if judge.mated or judge.non_mated]
    return next((judge for judge in measured if judge.matcher.independent), measured[0] if measured else None)


def _sentences(report: Report) -> Iterator[str]:
    yield _what(report)
    if report.contract:
        yield _contract(report.contract)
    judge = headline(report)
    if judge is None:
        yield f"How hard the set is was not measured: {_why_not(report)}."
    else:
        yield from _difficulty(report, judge)
        yield from _identities(judge)
        yield from _at_real_thresholds(report)
        yield from _leakage(judge)
    yield _came_out(report.counts, report)


def _why_not(report: Report) -> str:
    if not report.judges:
        return report.absent["judges"]
    absent = report.judges[0].absent
    return absent.get("difficulty") or absent["points"]


def _what(report: Report) -> str:
    counts, dataset = report.counts, report.dataset
    distractors = f" and {plural(counts.distractors, 'distractor')}" if counts.distractors else ""
    return (
        f"{plural(counts.subjects, 'subject')}{distractors}, {plural(counts.samples, 'sample')} of {dataset.width} × "
        f"{dataset.height} pixels: faces of people who do not exist, made by the model {report.model.name} "
        f"{report.model.version}."
    )


def _contract(contract: Contract) -> str:
    verdict = "the contract is met" if contract.met else "the contract is NOT met"
    asked, delivered = contract.asked, contract.delivered.fnmr
    return (
        f"Asked for was an FNMR of {fmr_text(asked.fnmr)} at FMR {fmr_text(asked.fmr)} on {asked.matcher.name}, give "
        f"or take {asked.tolerance:.0%} of it. The finished set measures {rate_text(delivered)}: {verdict}."
    )


def _difficulty(report: Report, judge: JudgeReport) -> Iterator[str]:
    point = next((point for target in (1e-3, 1e-2, 1e-4) if (point := judge.at_fmr(target)) and point.fnmr), None)
    if point and point.fnmr:
        others = [
            f"{other.matcher.name} {percent(there.fnmr.value)}"
            for other in report.judges
            if other is not judge and (there := other.at_fmr(point.target_fmr)) and there.fnmr
        ]
        also = f" By {' and '.join(others)}." if others else ""
        yield (
            f"At a threshold that at most {fmr_text(point.target_fmr)} of non-mated comparisons reach, "
            f"{judge.matcher.name} misses {rate_text(point.fnmr)} of the mated ones.{also}"
        )
    else:
        first = judge.points[0]
        why = judge.absent.get("points") or f"FMR {fmr_text(first.target_fmr)} needs {first.needs}"
        yield f"{judge.matcher.name} resolves no FNMR on this set: {why}."
    failed = sum(item.count for item in judge.failures)
    if failed:
        yield f"From {plural(failed, 'sample')} {judge.matcher.name} got no template; they are in none of the rates."


def _identities(judge: JudgeReport) -> Iterator[str]:
    found = judge.uniqueness
    if found:
        yield (
            f"{percent(found.u_class)} of {found.identities:,} identities have no look-alike in the set by "
            f"{judge.matcher.name} at FMR {fmr_text(found.target_fmr)}; "
            f"{percent(found.by_chance)} is what chance alone would leave."
        )


def _at_real_thresholds(report: Report) -> Iterator[str]:
    """How many of this set's strangers match where few real ones do, by the judge for which they are most."""
    points = [point for judge in report.judges for point in judge.real if point.at.target_fmr == REFERENCE_FMR]
    if points:
        worst = max(points, key=lambda point: point.fmr.value)
        times = worst.fmr.value / worst.at.target_fmr
        far = (
            f": {number(times)} times as many. No matcher can be tried at its real operating point on this set"
            if times > FAR
            else ""
        )
        yield (
            f"At the threshold of {worst.at.matcher} at which {fmr_text(worst.at.target_fmr)} of the comparisons of "
            f"different real people match, {rate_text(worst.fmr)} of this set's do{far}."
        )


def _leakage(judge: JudgeReport) -> Iterator[str]:
    found = judge.leakage
    if found:
        chance = (
            f"(membership AUC {number(found.membership_auc)}, 95%: {number(found.membership_interval.low)} to "
            f"{number(found.membership_interval.high)}; 0.5 is chance)"
        )
        nearness = f"{percent(found.beyond_p99)} of the samples come nearer to it than 99% of held-out identities do"
        if leaks(found):
            yield f"The set GIVES ITS TRAINING SET AWAY {chance}; {nearness}."
        else:
            yield f"Whether the model was trained on an identity cannot be told from the set {chance}; {nearness}."
    elif "not applicable" in judge.absent.get("leakage", ""):
        yield "The model is code only, so there is no training set that it could leak."


def leaks(found: Leakage) -> bool:
    """Whether the training set shows: by the membership attack, or by far too many samples that come too near."""
    told = found.membership_auc > AUC_OF_LEAKAGE and found.membership_interval.low > 0.5
    return told or found.beyond_p99_interval.low > SHARE_OF_LEAKAGE


def _came_out(counts: Counts, report: Report) -> str:
    missing = (
        f"{plural(counts.shortfall, 'sample')} could not be made"
        if counts.shortfall
        else ("nothing that was asked for is missing")
    )
    rejected = counts.rejected_samples + counts.rejected_identities
    again = "was" if rejected == 1 else "were"
    drawn = f"{plural(rejected, 'draw')} failed a check and {again} drawn again" if rejected else "no draw was rejected"
    return f"{drawn[0].upper()}{drawn[1:]}; {missing}."


def _limits(report: Report) -> Iterator[str]:
    if report.judges:
        yield (
            "Non-mated scores of synthetic faces run higher than those of photographs. A threshold found here has "
            "another FMR on real data: never set one in operation by it."
        )
        yield (
            "The set ranks matchers, and versions of a matcher; it does not say what their error rates on real people "
            "are."
        )
        trained = "; ".join(f"{judge.matcher.name}: {judge.matcher.provenance}" for judge in report.judges)
        yield f"The judges themselves were trained on photographs of real people ({trained})."
        yield from _limits_of_judging(report)
    if report.dataset.templates:
        yield (
            f"Templates of {report.dataset.templates} alone are kept, and no images: no other network can judge the "
            "set, and nobody can look at it."
        )
    else:
        yield "Every image is synthetic, says so in its metadata, and must not be passed off as a photograph."


def _limits_of_judging(report: Report) -> Iterator[str]:
    dependent = [judge.matcher.name for judge in report.judges if not judge.matcher.independent]
    if dependent:
        alone = "" if len(report.judges) > len(dependent) else " and is its only judge"
        yield (
            f"{' and '.join(dependent)} filtered the set for look-alikes{alone}: what it says of uniqueness is better "
            "than the truth."
        )
    judged, counts = report.judged, report.counts
    if judged.subjects < counts.asked_subjects or judged.distractors < counts.asked_distractors:
        yield (
            f"Judged were the first {plural(judged.subjects, 'subject')} of {counts.asked_subjects:,} and "
            f"{plural(judged.distractors, 'distractor')} of {counts.asked_distractors:,}: look-alikes among the others "
            "are not counted."
        )
    yield (
        "Intervals are of subjects drawn from the same model: they hold the chance of who was drawn, not how this "
        "model differs from the world."
    )
    if any(point.extrapolated for judge in report.judges for point in judge.identification):
        yield (
            "Synthetic images vary less than real ones. FNIR beyond the galleries that were searched is a line drawn "
            "on, and more uncertain than its interval."
        )
