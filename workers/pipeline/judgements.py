"""What the judges found on a finished set: templates, failures and qualities of every judged sample, in one table.

A JUDGE task writes one file a shard (`workers.pipeline.judge`); `read_judgements` joins them.
Legend: N judged samples, a row each, in the plan's order.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
from workers.pipeline.tables import unpack
from workers.pipeline.templates import read_judged

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

    def scores(self, judge: str, *, fmr: float = 0.0) -> CrossedScores:
        """Every two judged samples of the subjects (no distractors) compared once: what difficulty is measured on.

        `fmr` is the highest that is to be resampled, so that enough of the non-mated tail is kept.
        """
        return compare_all(
            self.table(judge, self.mated), subjects=self.judged_subjects, metric=self.metrics[judge], fmr=fmr
        )

    def quality(self, row: int) -> dict[str, float]:
        """The measures of one row, to four decimals; those that could not be measured are left out."""
        found = {name: float(column[row]) for name, column in self.qualities.items()}
        return {name: round(value, 4) for name, value in found.items() if not np.isnan(value)}


def read_judgements(store: ObjectStore, at: DatasetKeys, plan: Plan) -> Judgements:
    """Join the judgements of all shards; raises Corrupt for one that cannot be read."""
    if plan.templates is not None:
        return join(read_judged(store, at, plan, plan.templates), plan)
    return join([unpack(store.get(at.judgement(shard)), at.judgement(shard)) for shard in plan.judged_shards], plan)


def read_qualities(store: ObjectStore, at: DatasetKeys, plan: Plan, shard: int) -> dict[str, dict[str, float]]:
    """Qualities of one shard's judged samples by their names; empty for a shard of which none is judged."""
    if shard not in plan.shards_to_judge:
        return {}
    found = join([unpack(store.get(at.judgement(shard)), at.judgement(shard))], plan)
    return {name: found.quality(row) for row, name in enumerate(found.ids)}


def join(shards: Sequence[Mapping[str, NDArray[Any]]], plan: Plan) -> Judgements:
    """Put shards' judgements, as their files hold them, one behind the other."""
    ids: list[str] = []
    failures: dict[str, dict[int, str]] = {judge.name: {} for judge in plan.judges}
    metrics: dict[str, Metric] = {}
    for shard in shards:
        first = len(ids)
        ids += [str(name) for name in shard["ids"]]
        row_of = {name: row for row, name in enumerate(ids[first:], first)}
        for judge, failed in json.loads(str(shard["failures"])).items():
            failures[judge] |= {row_of[name]: reason for name, reason in failed.items()}
        metrics |= json.loads(str(shard["metrics"]))
    places = [place for name in ids if (place := names.parse_sample_name(name))]
    if len(places) < len(ids):
        raise Corrupt("a judgement holds what is no sample's name")
    measures = dict.fromkeys(key for shard in shards for key in shard if key.startswith("quality:"))
    return Judgements(
        ids=tuple(ids),
        subjects=np.array([place.subject for place in places], np.int64),
        samples=np.array([place.sample for place in places], np.int64),
        roles=tuple(names.role(plan, *place) for place in places),
        templates={
            judge.name: np.concatenate([shard[f"template:{judge.name}"] for shard in shards]) for judge in plan.judges
        },
        metrics=metrics,
        failures=failures,
        qualities={
            key.removeprefix("quality:"): np.concatenate(
                [shard.get(key, np.full(len(shard["ids"]), np.nan)) for shard in shards]
            )
            for key in measures
        },
        judged_subjects=plan.judged_subjects,
    )
