"""From what is known of a set and what was measured of it to its report."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.dataset.calibration import Calibration, Contract
from app.dataset.measures import Counted
from app.dataset.model import ModelCard
from app.dataset.plan import FinalPlan, Plan
from app.dataset.report import (
    Absent,
    Counts,
    DatasetFacts,
    FilterFacts,
    Judged,
    Listed,
    ModelFacts,
    Report,
)
from app.dataset.shard import IdentityChoice
from workers.provenance.card import corpus_text, licence_of, marks_text, weights_text
from workers.report.drifting import drift
from workers.report.evidence import Evidence
from workers.report.faults import attributes_seen, faults_of, method_of
from workers.report.judging import judge
from workers.report.qualities import quality
from workers.report.summary import limits, summarize

_PARTICULAR = re.compile(r"S[0-9]{7}( \(score [^)]*\))?")
"""What differs between two reasons of one kind: whose copy, by which score."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out of generation, before anything was measured."""

    counts: Mapping[str, int]
    """As the manifest has them; see `app.dataset.manifest.Tally.counts`."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Reason to draws of samples."""
    missing: Counter[str] = field(default_factory=Counter)
    """Reason to samples that could not be made."""
    choice: IdentityChoice | None = None


def kind_of(reason: str) -> str:
    """A reason without what is particular to one draw, so that reasons can be counted."""
    return _PARTICULAR.sub("another identity", reason)


def build_report(
    plan: FinalPlan,
    card: ModelCard,
    evidence: Evidence,
    outcome: Outcome,
    *,
    name: str,
    created_at: str,
    request: dict[str, Any],
    comparisons: dict[str, Any],
    contract: Contract | None = None,
    calibration: Calibration | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> Report:
    """Measure everything and put it together; the same arguments give the same report."""
    trained_on = card.training_templates.identities if card.training_templates else 0
    judges = tuple(judge(evidence, by, trained_on=trained_on, should_cancel=should_cancel) for by in evidence.judges)
    report = Report(
        summary=(),
        dataset=DatasetFacts(
            id=plan.dataset,
            name=name,
            created_at=created_at,
            seed=plan.seed,
            request=request,
            width=plan.image.width,
            height=plan.image.height,
            format=plan.image.format,
            sigma=plan.sigma,
            truncation=plan.truncation,
            templates=plan.templates.name if plan.templates else None,
            marks=marks_text(plan.marking.c2pa, plan.marking.watermark, kind=plan.kind),
        ),
        model=ModelFacts(
            name=card.name,
            version=card.version,
            digest=card.digest,
            kind=card.kind,
            description=card.description,
            licence=licence_of(card),
            provenance=card.provenance,
            weights=weights_text(card),
            trained_on=corpus_text(card),
            attributes=attributes_seen(card),
            faults=faults_of(card.kind, method_of(card)),
        ),
        comparisons=Listed.model_validate(comparisons),
        counts=_counts(plan, outcome),
        filter=_filter(plan, outcome.choice),
        rejected_samples=counted(outcome.rejected),
        rejected_identities=counted(
            Counter(kind_of(item.reason) for item in outcome.choice.rejected) if outcome.choice else Counter()
        ),
        shortfall=counted(outcome.missing),
        judged=Judged(
            subjects=evidence.judged_subjects, distractors=evidence.judged_distractors, samples=len(evidence)
        ),
        judges=judges,
        drift=drift(evidence, judges),
        quality=quality(evidence),
        contract=contract,
        calibration=calibration,
        limits=(),
        absent=_absent(plan, evidence, contract),
    )
    return report.model_copy(update={"summary": summarize(report), "limits": limits(report)})


def counted(reasons: Counter[str]) -> tuple[Counted, ...]:
    """The most frequent first."""
    return tuple(
        Counted(reason=reason, count=count)
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    )


def _counts(plan: Plan, outcome: Outcome) -> Counts:
    counts = outcome.counts
    return Counts(
        asked_subjects=plan.subjects,
        asked_samples=plan.samples,
        asked_distractors=plan.distractors,
        subjects=counts["subjects"],
        distractors=counts["distractors"],
        samples=counts["samples"],
        bytes=counts["bytes"],
        rejected_samples=counts["rejected"],
        rejected_identities=len(outcome.choice.rejected) if outcome.choice else 0,
        shortfall=counts["shortfall"],
    )


def _filter(plan: Plan, choice: IdentityChoice | None) -> FilterFacts | None:
    if plan.unique is None or choice is None:
        return None
    return FilterFacts(matcher=choice.matcher, digest=choice.matcher_digest, threshold=choice.threshold)


def _absent(plan: Plan, evidence: Evidence, contract: Contract | None) -> Absent:
    absent = {}
    if not plan.judges:
        absent["judges"] = "no matcher was to judge the set: report.judged_subjects is 0, or the service had none"
    if not evidence.qualities or not len(evidence):
        absent["quality"] = "no sample was judged" if plan.templates is None else "no image was kept to be looked at"
    if contract is None:
        absent["contract"] = "no difficulty was asked for, but a scale"
    if plan.unique is None:
        absent["filter"] = "the set was not checked for look-alikes (checks.unique is false)"
    return absent
