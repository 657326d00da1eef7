"""Choosing identities: no two subjects of a dataset may look alike to the matcher that filters.

Every identity's neutral portrait is templated, block by block; then one pass over all of them, in order, keeps an
identity unless it scores at or above the threshold with one kept before, and else takes its next attempt. A pass may
stop after any block and go on later.
"""

import io
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.dataset import names
from app.dataset.plan import SURVEY_BLOCK, Plan
from app.dataset.shard import IdentityChoice, Rejection
from app.errors import Cancelled, Misconfigured, Unfinished
from workers.generator.base import Generator
from workers.matchers.sface import SFace, load_sface
from workers.pipeline.generate import check_model, generate_portraits

Templates = NDArray[np.float32]

COMPARED_AT_ONCE = 16_384
"""Templates held in memory while one block is compared with all before it."""

AT_A_TIME_S = 120.0
"""A choice goes on for so long, keeps what is decided, and lets others have their turn."""

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


@dataclass
class Choosing:
    """A choice under way: what is decided of the first `blocks` blocks."""

    blocks: int = 0
    attempts: dict[int, int] = field(default_factory=dict)
    rejected: list[Rejection] = field(default_factory=list)
    missing: dict[int, str] = field(default_factory=dict)
    redrawn: dict[int, Templates] = field(default_factory=dict)
    """Templates [128] of those that did not keep their first draw."""

    def put_into(self, kept: Templates) -> None:
        """Put right the templates of the blocks that are decided, of which `kept` has the first draws."""
        for subject, template in self.redrawn.items():
            kept[subject] = template
        for subject in self.missing:
            kept[subject] = 0

    def pack(self) -> bytes:
        """As an .npz file."""
        told = [self.blocks, list(self.attempts.items()), [(r.id, r.attempt, r.reason) for r in self.rejected]]
        text = json.dumps([*told, list(self.missing.items())])
        out = io.BytesIO()
        np.savez(
            out,
            told=np.frombuffer(text.encode(), np.uint8),
            subjects=np.array(list(self.redrawn), np.int64),
            templates=np.array(list(self.redrawn.values()), np.float32),
        )
        return out.getvalue()

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read what `pack` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            blocks, attempts, rejected, missing = json.loads(found["told"].tobytes())
            redrawn = dict(zip(found["subjects"].tolist(), found["templates"], strict=True))
        return cls(
            blocks=blocks,
            attempts=dict(attempts),
            rejected=[Rejection(id=name, attempt=attempt, reason=reason) for name, attempt, reason in rejected],
            missing=dict(missing),
            redrawn=redrawn,
        )


def choose_identities(
    plan: Plan,
    blocks: Iterable[Templates],
    *,
    generator: Generator,
    batch_size: int = 32,
    so_far: Choosing | None = None,
    pause: Callable[[Choosing], bool] = lambda choosing: False,
    should_cancel: Callable[[], bool] = lambda: False,
) -> IdentityChoice:
    """Decide which attempt every identity ends on; `blocks` are the survey's templates, in order, from the first.

    Every identity is compared with every one kept before it, by blocked matrix products: exact, and quick beside the
    portraits (deploy/guide/operations.md has figures). What must be drawn again is drawn `batch_size` at a time.

    It goes on from `so_far`. After each block `pause` is asked, which keeps what is there where it says so, and then
    Unfinished is raised. Where it pauses changes no decision. Raises Cancelled when told to stop.
    """
    check_model(plan, generator.card)
    matcher, threshold = load_filter(plan)
    choosing = so_far or Choosing()

    def draw(subjects: Sequence[int], attempts: Sequence[int]) -> Templates:
        drawn = np.full((len(subjects), matcher.dimensions), np.nan, np.float32)
        for start in range(0, len(subjects), batch_size):
            some = slice(start, start + batch_size)
            for row, portrait in enumerate(generate_portraits(plan, generator, subjects[some], attempts[some]), start):
                template = matcher.extract(portrait)
                if template is not None:
                    drawn[row] = template
        return drawn

    with _kept_templates(plan.identities, matcher.dimensions) as kept:
        for number, block in enumerate(blocks):
            first = number * SURVEY_BLOCK
            if number < choosing.blocks:
                kept[first : first + len(block)] = block
                continue
            if number == choosing.blocks:
                choosing.put_into(kept)
            if should_cancel():
                raise Cancelled("the choice of identities was called off")
            _choose_block(Draws(block, first, kept, draw, threshold, plan.max_attempts), choosing)
            choosing.blocks = number + 1
            if choosing.blocks < plan.survey_blocks and pause(choosing):
                raise Unfinished(f"the identities of {choosing.blocks} of {plan.survey_blocks} blocks are chosen")
    return IdentityChoice(
        matcher=matcher.name,
        matcher_digest=matcher.digest,
        threshold=threshold,
        attempts=choosing.attempts,
        rejected=tuple(choosing.rejected),
        missing=choosing.missing,
    )


class Draws:
    """The draws of one block's identities that were made, each with its nearest among those kept before the block.

    Whoever cannot keep a draw, or may not be able to, is drawn again together with the others of the block: a network
    makes eight portraits in the time of one.
    """

    def __init__(
        self,
        block: Templates,
        first: int,
        kept: Templates,
        draw: Callable[[Sequence[int], Sequence[int]], Templates],
        threshold: float,
        max_attempts: int,
    ) -> None:
        self.first = first
        self.kept = kept
        self.threshold = threshold
        self.max_attempts = max_attempts
        self.subjects = range(first, first + len(block))
        self._draw = draw
        self._made: dict[tuple[int, int], tuple[Templates, float, int]] = {}
        self._note([(subject, 0) for subject in self.subjects], block)
        alike = np.asarray(np.triu(block @ block.T >= threshold, 1).any(axis=0))
        doubtful = [subject for subject in self.subjects if self._copies(subject, 0) or alike[subject - first]]
        for attempt in range(1, max_attempts):
            if doubtful:
                self._note([(subject, attempt) for subject in doubtful], draw(doubtful, [attempt] * len(doubtful)))
            doubtful = [subject for subject in doubtful if self._copies(subject, attempt)]

    def look(self, subject: int, attempt: int) -> tuple[Templates, float, int]:
        """Template of a draw, the highest score among all identities kept before it, and whose it is."""
        if (subject, attempt) not in self._made:
            self._note([(subject, attempt)], self._draw([subject], [attempt]))
        template, score, like = self._made[subject, attempt]
        within = _nearest(template[None], self.kept[self.first : subject], subject - self.first)[0]
        score, like = max((score, like), (within[0], within[1] + self.first))
        return template, score, like

    def _note(self, draws: Sequence[tuple[int, int]], templates: Templates) -> None:
        for which, template, nearest in zip(draws, templates, _nearest(templates, self.kept, self.first), strict=True):
            self._made[which] = (template, *nearest)

    def _copies(self, subject: int, attempt: int) -> bool:
        """Whether a draw cannot be kept, whatever else the block keeps."""
        return _why_rejected(*self._made[subject, attempt], self.threshold) is not None


def _choose_block(draws: Draws, choosing: Choosing) -> None:
    """Choose in order: each identity's first draw that is no copy of one kept before it."""
    for subject in draws.subjects:
        for attempt in range(draws.max_attempts):
            template, score, like = draws.look(subject, attempt)
            reason = _why_rejected(template, score, like, draws.threshold)
            if reason is None:
                draws.kept[subject] = template
                if attempt:
                    choosing.attempts[subject] = attempt
                    choosing.redrawn[subject] = template
                break
            choosing.rejected.append(Rejection(id=names.subject_name(subject), attempt=attempt, reason=reason))
        else:
            choosing.missing[subject] = f"{reason}, in the last of {draws.max_attempts} attempts"


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


def _why_rejected(template: Templates, score: float, like: int, threshold: float) -> str | None:
    if np.isnan(template).any():
        return NO_FACE
    if score >= threshold:
        return f"a copy of {names.subject_name(like)} (score {score:.3f}, threshold {threshold:.3f})"
    return None
