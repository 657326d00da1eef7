"""From judgements and the rows of judged samples to what a report is measured on."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.dataset.matcher import MatcherCard
from app.dataset.model import ChoiceAttribute, ModelCard, RangeAttribute, ShareAttribute
from app.dataset.names import parse_sample_name
from app.dataset.plan import FinalPlan, Plan
from app.dataset.reference import Reference
from app.dataset.report import MatcherFacts
from app.dataset.shard import AttributeValue, SampleRow, Shown
from workers.biometrics.groups import age_bands
from workers.generator.draw import draw_observation, sigma_vector
from workers.generator.latents import asked_pose, layout_of
from workers.generator.trained_on import TrainedOn
from workers.pipeline.judgements import Judgements
from workers.report.evidence import Evidence, JudgedBy


def gather(
    plan: FinalPlan,
    card: ModelCard,
    judgements: Judgements | None,
    rows: Mapping[str, SampleRow],
    matchers: Mapping[str, MatcherCard],
    trained_on: Mapping[str, TrainedOn],
    reference: Reference | None,
) -> Evidence:
    """Put together what the measures need; without judgements it is empty.

    `matchers` are the cards that are published, `trained_on` the model's own templates by matcher, `reference` the
    operator's thresholds on real faces.
    Distractors' codes follow on those of the judged subjects.
    """
    count = len(judgements) if judgements else 0
    subjects = judgements.subjects if judgements else np.zeros(0, np.int64)
    # Codes of judged subjects are 0 … S − 1; distractors are numbered behind all subjects, judged or not.
    codes = np.where(subjects < plan.subjects, subjects, subjects - plan.subjects + plan.judged_subjects)
    return Evidence(
        judges=tuple(_judges(plan, judgements, matchers, trained_on, reference)) if judgements else (),
        subjects=codes.astype(np.int64),
        samples=judgements.samples if judgements else np.zeros(0, np.int64),
        judged_subjects=plan.judged_subjects,
        judged_distractors=plan.judged_distractors,
        samples_per_subject=plan.samples_per_subject,
        labels=_labels(plan, card, rows) if count else {},
        orders={
            name: tuple(attribute.values)
            for name, attribute in card.attributes.items()
            if isinstance(attribute, ChoiceAttribute)
        },
        qualities=judgements.qualities if judgements else {},
        asked_yaw=_asked_yaw(plan, card, judgements, rows) if judgements else None,
        trained=card.weights is not None,
        seed=plan.seed,
    )


def _judges(
    plan: Plan,
    judgements: Judgements,
    matchers: Mapping[str, MatcherCard],
    trained_on: Mapping[str, TrainedOn],
    reference: Reference | None,
) -> list[JudgedBy]:
    """The plan's judges, those first that did not filter the set."""
    found = []
    for planned in plan.judges:
        card = matchers.get(planned.name)
        known = card if card is not None and card.digest == planned.digest else None
        templates = judgements.templates[planned.name]
        theirs = trained_on.get(planned.name)
        facts = MatcherFacts(
            name=planned.name,
            version=known.version if known else "unknown",
            digest=planned.digest,
            dimensions=templates.shape[1],
            score=known.score if known else judgements.metrics[planned.name],
            provenance=known.provenance if known else "unknown: no worker offers it any more",
            independent=plan.unique is None or plan.unique.matcher != planned.name,
        )
        found.append(
            JudgedBy(
                facts=facts,
                metric=judgements.metrics[planned.name],
                templates=templates,
                failures=judgements.failures[planned.name],
                trained_on=theirs if theirs and theirs.matcher_digest == planned.digest else None,
                real=reference.of(planned.name, planned.digest) if reference else (),
            )
        )
    return sorted(found, key=lambda judge: not judge.facts.independent)


def _labels(plan: Plan, card: ModelCard, rows: Mapping[str, SampleRow]) -> dict[str, Sequence[str | None]]:
    """The group of every judged subject by every attribute that subjects can be grouped by, as its images show it.

    A wearer who takes the glasses off in some images is in a group of its own; an age is the mean of those shown.
    """
    values: dict[str, list[AttributeValue | None]] = {name: [None] * plan.judged_subjects for name in card.attributes}
    for row in rows.values():
        place = parse_sample_name(row.id)
        if place is not None and place.subject < plan.judged_subjects:
            for name in values:
                values[name][place.subject] = row.attributes.get(name)
    seen = _seen(plan, rows)
    labels: dict[str, Sequence[str | None]] = {}
    for name, attribute in card.attributes.items():
        if isinstance(attribute, ChoiceAttribute):
            labels[name] = [None if value is None else str(value) for value in values[name]]
        elif isinstance(attribute, ShareAttribute):
            labels[name] = [
                _worn(name, value, [getattr(shown, name, None) for shown in seen[subject]])
                for subject, value in enumerate(values[name])
            ]
        elif isinstance(attribute, RangeAttribute) and name == "age":
            labels[name] = age_bands(
                [
                    _mean([shown.age for shown in seen[subject]], None if value is None else float(value))
                    for subject, value in enumerate(values[name])
                ]
            )
    return labels


def _seen(plan: Plan, rows: Mapping[str, SampleRow]) -> list[list[Shown]]:
    """What the images of every judged subject show, as far as their rows say it."""
    seen: list[list[Shown]] = [[] for _ in range(plan.judged_subjects)]
    for row in rows.values():
        place = parse_sample_name(row.id)
        if place is not None and place.subject < plan.judged_subjects and row.shown is not None:
            seen[place.subject].append(row.shown)
    return seen


def _worn(name: str, attribute: AttributeValue | None, images: Sequence[bool | None]) -> str | None:
    """Which group a subject falls into by whether its images show it; by its attribute where they do not say."""
    known = [worn for worn in images if worn is not None]
    if not known:
        return None if attribute is None else f"{'with' if attribute else 'without'} {name}"
    if all(known):
        return f"{name} in every image"
    return f"{name} in some images" if any(known) else f"{name} in none"


def _mean(values: Sequence[float | None], otherwise: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else otherwise


def _asked_yaw(
    plan: FinalPlan,
    card: ModelCard,
    judgements: Judgements,
    rows: Mapping[str, SampleRow],
) -> NDArray[np.float64] | None:
    """Yaw that was drawn for every judged sample, degrees; None for a model whose latents mean something else."""
    if layout_of(card) is None:
        return None
    scale = sigma_vector(card.latent.observation, plan.sigma)
    asked = np.full(len(judgements), np.nan)
    for number, (name, subject, sample) in enumerate(
        zip(judgements.ids, judgements.subjects.tolist(), judgements.samples.tolist(), strict=True)
    ):
        row = rows.get(name)
        pose = row and asked_pose(card, draw_observation(plan.seed, subject, sample, row.attempt, scale))
        if pose:
            asked[number] = float(pose.yaw)
    return asked
