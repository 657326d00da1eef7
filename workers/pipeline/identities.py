"""Choosing identities: no two subjects of a dataset may look alike to the matcher that filters.

Every identity's neutral portrait is templated, block by block; then one pass over all of them, in order, keeps an
identity unless it scores at or above the threshold with one kept before, and else takes its next attempt.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from app.dataset import names
from app.dataset.plan import Plan
from app.dataset.shard import IdentityChoice, Rejection
from app.errors import Cancelled, Misconfigured
from workers.generator.base import Generator
from workers.matchers.sface import SFace, load_sface
from workers.pipeline.generate import check_model, generate_portraits

Templates = NDArray[np.float32]

COMPARED_AT_ONCE = 16_384
"""Templates held in memory while one block is compared with all before it."""

NO_FACE = "no face found in its neutral portrait"


def load_filter(plan: Plan) -> tuple[SFace, float]:
    """The matcher and the threshold of the plan's uniqueness check; raises Misconfigured if it is not here."""
    if plan.unique is None:
        raise ValueError("the plan has no uniqueness check")
    if plan.unique.matcher != SFace.name:
        raise Misconfigured(f"this worker has no matcher {plan.unique.matcher!r}")
    return load_sface(), plan.unique.threshold


def survey_block(
    plan: Plan,
    number: int,
    *,
    generator: Generator,
    batch_size: int,
    should_cancel: Callable[[], bool] = lambda: False,
) -> Templates:
    """Templates of a block's identities at their first attempt, float32 [N, 128]; NaN where no face is found."""
    check_model(plan, generator.card)
    matcher, _ = load_filter(plan)
    subjects = list(plan.survey_block(number))
    templates = np.full((len(subjects), matcher.dimensions), np.nan, np.float32)
    for start in range(0, len(subjects), batch_size):
        if should_cancel():
            raise Cancelled(f"survey block {number} was called off")
        batch = subjects[start : start + batch_size]
        for offset, portrait in enumerate(generate_portraits(plan, generator, batch, [0] * len(batch))):
            template = matcher.extract(portrait)
            if template is not None:
                templates[start + offset] = template
    return templates


def choose_identities(
    plan: Plan,
    blocks: Iterable[Templates],
    *,
    generator: Generator,
    should_cancel: Callable[[], bool] = lambda: False,
) -> IdentityChoice:
    """Decide which attempt every identity ends on; `blocks` are the survey's templates, in order."""
    check_model(plan, generator.card)
    matcher, threshold = load_filter(plan)
    attempts: dict[int, int] = {}
    missing: dict[int, str] = {}
    rejected: list[Rejection] = []
    with _kept_templates(plan.identities, matcher.dimensions) as kept:
        first = 0
        for block in blocks:
            if should_cancel():
                raise Cancelled("the choice of identities was called off")
            nearest = _nearest(block, kept, first)
            for offset, surveyed in enumerate(block):
                subject, template = first + offset, surveyed
                name = names.subject_name(subject)
                # `nearest` knows those before the block; those kept within it are compared here.
                score, like = max(nearest[offset], _best(template, kept, first, subject))
                attempt = 0
                while reason := _why_rejected(template, score, like, threshold):
                    rejected.append(Rejection(id=name, attempt=attempt, reason=reason))
                    attempt += 1
                    if attempt == plan.max_attempts:
                        missing[subject] = f"{reason}, in the last of {plan.max_attempts} attempts"
                        break
                    (portrait,) = generate_portraits(plan, generator, [subject], [attempt])
                    drawn = matcher.extract(portrait)
                    template = np.full_like(template, np.nan) if drawn is None else drawn
                    score, like = _best(template, kept, 0, subject)
                else:
                    kept[subject] = template
                    if attempt:
                        attempts[subject] = attempt
            first += len(block)
    return IdentityChoice(
        matcher=matcher.name,
        matcher_digest=matcher.digest,
        threshold=threshold,
        attempts=attempts,
        rejected=tuple(rejected),
        missing=missing,
    )


@contextmanager
def _kept_templates(count: int, dimensions: int) -> Iterator[Templates]:
    """Room for all templates in a file, so that memory does not grow with the set; zeros score 0 with everything."""
    with tempfile.TemporaryFile() as file:
        yield np.memmap(file, np.float32, "w+", shape=(count, dimensions))


def _nearest(block: Templates, kept: Templates, stop: int) -> list[tuple[float, int]]:
    """For each template of a block the highest score among those kept before `stop`, and whose it is."""
    best = np.full(len(block), -2.0, np.float32)
    whose = np.full(len(block), -1)
    for start in range(0, stop, COMPARED_AT_ONCE):
        scores = block @ np.asarray(kept[start : min(start + COMPARED_AT_ONCE, stop)]).T
        column = scores.argmax(1)
        score = scores[np.arange(len(block)), column]
        whose = np.where(score > best, start + column, whose)
        best = np.maximum(best, score)
    return [(float(score), int(who)) for score, who in zip(best, whose, strict=True)]


def _best(template: Templates, kept: Templates, start: int, stop: int) -> tuple[float, int]:
    """The highest score of a template among those kept in [start, stop), and whose it is."""
    ((score, who),) = _nearest(template[None], kept[start:stop], stop - start)
    return score, who + start


def _why_rejected(template: Templates, score: float, like: int, threshold: float) -> str | None:
    if np.isnan(template).any():
        return NO_FACE
    if score >= threshold:
        return f"a copy of {names.subject_name(like)} (score {score:.3f}, threshold {threshold:.3f})"
    return None
