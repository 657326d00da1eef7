"""What a request will come to, before it is submitted: samples, comparisons, what they resolve, bytes and time.

Counts are exact, by the plan that `submit` would make. Bytes and time are from sets that were made here: of the same
model and size, nearest in samples. Where there is none they are null, for nothing was measured.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from app.dataset import keys
from app.dataset.comparisons import count_comparisons
from app.dataset.keys import DatasetKeys
from app.dataset.manifest import read_summary
from app.dataset.plan import Plan, PlannedModel
from app.dataset.request import DatasetRequest
from app.dataset.resolution import ERRORS, can_resolve, shortcomings
from app.dataset.room import WORTH_A_WARNING, missing_share
from app.errors import FacsimileError
from app.jobs.catalogues.models import ModelCatalogue
from app.jobs.records import read_accepted, read_plan
from app.storage import ObjectStore

LOOKED_AT = 40
"""Newest sets that are looked at for how long such sets take."""

LIKE_IT = 5
"""Sets that an estimate rests on at the most."""

REMEMBERED_S = 20.0
"""How long the list of sets is believed."""

FMRS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)

_BEGINNINGS = 500
"""Markers looked at for when work began."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Guess(_Data):
    """About how much, from sets that were made here."""

    value: float
    low: float = Field(description="By the least of them.")
    high: float = Field(description="By the most of them.")
    sets: int = Field(description="So many sets it rests on.")
    samples: tuple[int, int] = Field(description="Samples that the smallest and the largest of them have.")


class Resolves(_Data):
    """Whether an FMR is resolved, by the rule of 30."""

    fmr: float
    resolved: bool
    needed: int = Field(description="Non-mated comparisons in which 30 errors are to be expected.")
    subjects_needed: int = Field(description="Subjects that resolve it fully crossed, with so many samples each.")


class Compared(_Data):
    """Comparisons, and what they resolve."""

    mated: int
    non_mated: int
    smallest_fmr: float | None = Field(description="30 / non_mated; null without any, or above 1.")
    smallest_fnmr: float | None = Field(description="30 / mated; null without any, or above 1.")
    resolves: tuple[Resolves, ...]


class Estimate(_Data):
    """What a request will come to."""

    model: PlannedModel
    subjects: int
    distractors: int
    samples: int
    width: int
    height: int
    format: str
    sigma: dict[str, float] = Field(description="σ of every factor; with a target, the mix that its scale multiplies.")
    shards: int
    listed: Compared = Field(description="comparisons.csv.")
    complete: Compared = Field(description="Every two samples of the set, each pair once.")
    judged: Compared = Field(description="Every two samples of the judged subjects: what the report's rates rest on.")
    judged_subjects: int
    bytes: Guess | None = Field(description="Of all samples; null where no such set was made here.")
    seconds: Guess | None = Field(description="From the first work to the end, on this service as it was.")
    warnings: tuple[str, ...] = Field(description="What to think of before it is made, a sentence each.")


class _Made(NamedTuple):
    """A set that was made here."""

    plan: Plan
    bytes: int
    samples: int
    seconds: float


class EstimateService:
    """Estimates requests; each call is one tenant's."""

    def __init__(
        self,
        store: ObjectStore,
        plan: Callable[[DatasetRequest], Plan],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`plan` makes a request's plan without accepting it; it raises RequestRefused."""
        self._store = store
        self._plan = plan
        self._clock = clock
        self._lock = threading.Lock()
        self._listed: dict[str, tuple[float, list[_Made]]] = {}
        self._known: dict[tuple[str, str], _Made] = {}

    def estimate(self, tenant: str, request: DatasetRequest) -> Estimate:
        """What a request will come to; raises RequestRefused where it would be refused."""
        plan = self._plan(request)
        made = self._like(tenant, plan)
        judged = plan.judged_subjects
        shape = plan.subjects, plan.samples_per_subject, plan.distractors, plan.sample_counts
        listed = count_comparisons(plan.comparisons, *shape)
        complete = count_comparisons("complete", *shape)
        seen = (
            count_comparisons("complete", judged, plan.samples_per_subject, 0, plan.groups_of(judged))
            if judged
            else (0, 0)
        )
        return Estimate(
            model=plan.model,
            subjects=plan.subjects,
            distractors=plan.distractors,
            samples=plan.samples,
            width=plan.image.width,
            height=plan.image.height,
            format=plan.image.format,
            sigma=plan.sigma,
            shards=plan.shards,
            listed=_compared(*listed, plan.samples_per_subject),
            complete=_compared(*complete, plan.samples_per_subject),
            judged=_compared(*seen, plan.samples_per_subject),
            judged_subjects=judged,
            bytes=_guess([(found, found.bytes / found.samples * plan.samples) for found in made]),
            # A set is never done in less than a small one takes: what is done once does not shrink with the set.
            seconds=_guess([(found, found.seconds * max(1.0, plan.samples / found.samples)) for found in made]),
            warnings=(*_warnings(plan), *self._missing(plan)),
        )

    def _missing(self, plan: Plan) -> list[str]:
        """That identities may be missing, where so many find no room in the model."""
        if plan.unique is None:
            return []
        share = missing_share(ModelCatalogue(self._store).get(plan.model.name), plan.identities) or 0.0
        if share < WORTH_A_WARNING:
            return []
        return [
            f"Of {plan.identities:,} identities up to {share:.1%} may be missing, for the model draws no more that the "
            "check of uniqueness tells apart."
        ]

    def _like(self, tenant: str, plan: Plan) -> list[_Made]:
        """Sets that tell most of how a plan will go, nearest in samples first."""
        same = [
            made
            for made in self._made(tenant)
            if made.plan.model.name == plan.model.name
            and made.plan.image == plan.image
            and made.plan.templates == plan.templates
        ]
        kin = [made for made in same if _work(made.plan) == _work(plan)] or same
        ratio = {id(made): max(made.samples, plan.samples) / min(made.samples, plan.samples) for made in kin}
        return sorted(kin, key=lambda made: ratio[id(made)])[:LIKE_IT]

    def _made(self, tenant: str) -> list[_Made]:
        now = self._clock()
        with self._lock:
            when, known = self._listed.get(tenant, (-1e9, []))
        if now - when < REMEMBERED_S:
            return known
        ids = sorted(self._store.folders(keys.datasets(tenant)), reverse=True)[:LOOKED_AT]
        known = [made for dataset in ids if (made := self._look(tenant, dataset))]
        with self._lock:
            if len(self._listed) > 1_000:
                self._listed.clear()
                self._known.clear()
            self._listed[tenant] = (now, known)
        return known

    def _look(self, tenant: str, dataset: str) -> _Made | None:
        """How a set was made, None for one that has not succeeded or is gone; what has succeeded never changes."""
        with self._lock:
            if known := self._known.get((tenant, dataset)):
                return known
        at = DatasetKeys(tenant, dataset)
        try:
            counts = read_summary(self._store.get(at.summary)).counts
            ended = self._store.stat(at.manifest).modified
            plan = read_plan(self._store, tenant, dataset)
            accepted = datetime.fromisoformat(read_accepted(self._store, tenant, dataset).created_at).timestamp()
            begun = [found.modified for found in islice(self._store.list(at.all_attempts), _BEGINNINGS)]
            made = _Made(
                plan=plan,
                bytes=counts.bytes,
                samples=counts.samples,
                seconds=ended - min(begun, default=accepted),
            )
        except (FacsimileError, ValueError):
            return None
        if made.samples < 1 or made.seconds <= 0:
            return None
        with self._lock:
            self._known[tenant, dataset] = made
        return made


def _work(plan: Plan) -> tuple[bool, bool, bool, bool]:
    """What is done beside making samples: it may cost more than they do."""
    return bool(plan.unique), plan.face_found, bool(plan.judges), plan.target is not None


def _compared(mated: int, non_mated: int, samples: int) -> Compared:
    resolves = []
    for fmr in FMRS:
        found = can_resolve(fmr=fmr, non_mated=non_mated, samples=samples)
        resolves.append(
            Resolves(
                fmr=fmr,
                resolved=found.resolved,
                needed=found.non_mated_needed,
                subjects_needed=found.subjects_needed,
            )
        )
    return Compared(
        mated=mated,
        non_mated=non_mated,
        smallest_fmr=_smallest(non_mated),
        smallest_fnmr=_smallest(mated),
        resolves=tuple(resolves),
    )


def _smallest(comparisons: int) -> float | None:
    return ERRORS / comparisons if comparisons >= ERRORS else None


def _guess(values: list[tuple[_Made, float]]) -> Guess | None:
    if not values:
        return None
    nearest = values[0][1]
    amounts = [amount for _, amount in values]
    sizes = [made.samples for made, _ in values]
    return Guess(value=nearest, low=min(amounts), high=max(amounts), sets=len(values), samples=(min(sizes), max(sizes)))


def _warnings(plan: Plan) -> list[str]:
    found = [
        *plan.unreachable,
        *shortcomings(plan.comparisons, plan.subjects, plan.samples_per_subject, plan.distractors, plan.sample_counts),
    ]
    if not plan.unique:
        found.append("Nothing checks that subjects differ: some may look alike.")
    if plan.subjects > plan.judged_subjects > 0:
        found.append(f"The report's rates rest on the first {plan.judged_subjects:,} of {plan.subjects:,} subjects.")
    if not plan.judges:
        found.append("No matcher judges it: its report will have no rates.")
    return found
