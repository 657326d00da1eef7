"""What a report is measured on: the judges' templates, and what is known of every judged sample.

Legend: N judged samples, S judged subjects. Codes 0 … S − 1 are the judged subjects', higher ones distractors'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.dataset.report import MatcherFacts, RealThreshold
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.templates import Metric, TemplateTable
from workers.generator.trained_on import TrainedOn

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedBy:
    """One judge's templates."""

    facts: MatcherFacts
    metric: Metric
    templates: NDArray[np.float32]
    """[N, D]; NaN where there is none."""
    failures: Mapping[int, str]
    """Row to why it has none."""
    trained_on: TrainedOn | None
    """Templates of what the model was trained on, by the same network."""
    real: tuple[RealThreshold, ...] = ()
    """Thresholds of the same network that were found on real people."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """All that the measures need; `judges` may be empty, and so may the samples."""

    judges: tuple[JudgedBy, ...]
    subjects: NDArray[np.int64]
    """[N]"""
    samples: NDArray[np.int64]
    """[N] number within the subject; 0 is the reference."""
    judged_subjects: int
    """S, those without any sample included."""
    judged_distractors: int
    samples_per_subject: int
    labels: Mapping[str, Sequence[str | None]]
    """Attribute to the group [S] of every judged subject; None for one without a sample."""
    orders: Mapping[str, Sequence[str]]
    """Attribute to its groups in their own order, where the model's card has one."""
    qualities: Mapping[str, Floats]
    """Measure to its values [N]; NaN where it could not be measured."""
    asked_yaw: Floats | None
    """[N] degrees, as drawn; None for a model whose latents do not tell."""
    trained: bool
    """Whether the model was trained on anything."""
    seed: int

    def __len__(self) -> int:
        return len(self.subjects)

    @cached_property
    def mated(self) -> Mask:
        """[N] whether the row is a subject's, not a distractor's."""
        return np.asarray(self.subjects < self.judged_subjects)

    @cached_property
    def gallery(self) -> Mask:
        """[N] whether the row is on the reference side: references and distractors."""
        return np.asarray(self.samples == 0)

    def table(self, judge: JudgedBy, rows: Mask | None = None) -> TemplateTable:
        """Templates with their subjects, of some rows or of all."""
        chosen = np.ones(len(self), bool) if rows is None else rows
        return TemplateTable(templates=judge.templates[chosen], subjects=self.subjects[chosen])

    def bootstrap(self, replicates: int) -> Bootstrap:
        """So many replicates, by the seed that the contract is measured with too: one rate has one interval."""
        return Bootstrap(replicates=replicates)
