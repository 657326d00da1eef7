"""What the judges found on a finished set: templates, failures and qualities of every judged sample, in one table.

A JUDGE task writes one file a shard (`Judgement`); `read_judgements` joins them. The file is .npz without pickle and
the same bytes whenever it is written again. Legend: N judged samples, a row each, in the plan's order.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.dataset import names
from app.dataset.keys import DatasetKeys
from app.dataset.plan import Plan
from app.errors import Corrupt
from app.storage import ObjectStore
from workers.biometrics.crossed import CrossedScores
from workers.biometrics.templates import Metric, TemplateTable
from workers.pipeline.scoring import compare_all

Templates = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgements:
    """Every judged sample of a set; a sample that could not be made (shortfall) has no row.

    Distractors stand behind the subjects and have the role `distractor`; their subject numbers follow on.
    """

    ids: tuple[str, ...]
    """[N] sample names, e.g. S0000012_0003."""
    subjects: NDArray[np.int64]
    """[N] number of the subject in the set, from 0; a distractor's is at least `plan.subjects`."""
    samples: NDArray[np.int64]
    """[N] number of the sample within its subject; 0 is the reference."""
    roles: tuple[str, ...]
    """[N] `reference`, `probe` or `distractor`."""
    templates: Mapping[str, Templates]
    """By judge: float32 [N, d]; a row of NaN where that judge got no template."""
    metrics: Mapping[str, Metric]
    """By judge: how its templates are compared."""
    failures: Mapping[str, Mapping[int, str]]
    """By judge: row to `stage: reason`, e.g. `detect: no face found`; exactly the rows of NaN."""
    qualities: Mapping[str, Floats]
    """By measure (see workers.pipeline.judge): float64 [N]; NaN where it could not be measured."""
    judged_subjects: int
    """How many subjects were to be judged, those without a single row included; codes of `table` are below it."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def mated(self) -> NDArray[np.bool_]:
        """[N] whether the row is a subject's, not a distractor's."""
        return np.array([role != "distractor" for role in self.roles], np.bool_)

    def table(self, judge: str, rows: NDArray[np.bool_] | NDArray[np.int64] | None = None) -> TemplateTable:
        """Templates of one judge with their subjects, of some rows or of all."""
        chosen = np.arange(len(self)) if rows is None else rows
        return TemplateTable(templates=self.templates[judge][chosen], subjects=self.subjects[chosen])

    def scores(self, judge: str, *, keep_tail: int = 100_000) -> CrossedScores:
        """Every two judged samples of the subjects (no distractors) compared once: what difficulty is measured on."""
        return compare_all(
            self.table(judge, self.mated),
            subjects=self.judged_subjects,
            metric=self.metrics[judge],
            keep_tail=keep_tail,
        )

    def quality(self, row: int) -> dict[str, float]:
        """The measures of one row; those that could not be measured are left out."""
        return {name: float(column[row]) for name, column in self.qualities.items() if not np.isnan(column[row])}
