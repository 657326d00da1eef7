"""Searches made here, from templates: curves over gallery sizes, what lies beyond them, and a verdict.

Legend: P probes, G sizes, R draws, M mated searches, S subjects.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from app.dataset.candidates import RankPoint, SearchRule
from app.dataset.galleries import Curve, GalleriesAsked, GalleriesFound, GalleryPoint, HeldOut, Others, RanksFound
from app.dataset.measures import DetPoint
from app.errors import Cancelled
from workers.biometrics import extremes
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.extrapolation import FARTHEST
from workers.biometrics.extremes import SHARE, TAILS, beyond, drift
from workers.biometrics.galleries import Found, Pool, largest_gallery, search_pool
from workers.biometrics.identification import IdentificationPoint, fnir_at_fpir
from workers.biometrics.intervals import resampled_interval
from workers.biometrics.templates import Metric
from workers.verdict.gallery_files import Sides
from workers.verdict.outcomes import Outcome
from workers.verdict.search_limits import Decided, SearchScores, decide_limits, mean_outcome, outcome_of
from workers.verdict.searching import det_targets

BOOTSTRAP = Bootstrap(replicates=1_000)

DET_BOOTSTRAP = Bootstrap(replicates=200)
"""Of each point of a DET, whose band is drawn and not told."""

RANKS = (1, 2, 5, 10, 20, 50, 100)

SMALLEST = int(TAILS[0] / SHARE)
"""Others that a fit of extreme values needs; what is held out is foretold from as many at the least."""

HELD_OUT = 10
"""The largest galleries are foretold from others so many times smaller, if there are enough."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How to search."""

    sizes: tuple[int, ...]
    """Empty: 10, 20, 50, 100 … up to all."""
    rule: SearchRule
    extrapolate: tuple[int, ...] = ()
    metric: Metric = "cosine"
    draws: int = 8
    seed: int = 0
    tails: Bootstrap = extremes.BOOTSTRAP
    """Of what is extrapolated."""
    should_cancel: Callable[[], bool] = field(default=lambda: False)
    on_progress: Callable[[int, int], None] = field(default=lambda done, total: None)

    @classmethod
    def of(cls, how: GalleriesAsked, rule: SearchRule) -> "Asked":
        """As options or a request say."""
        return cls(
            sizes=tuple(sorted(set(how.sizes))),
            extrapolate=tuple(sorted(set(how.extrapolate))),
            metric=how.metric,
            draws=how.draws,
            seed=how.seed,
            rule=rule,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What searching one version's templates came to: what is needed to decide, and to be a later one's baseline."""

    same: str
    """Digest of who was searched, among how many, in which draws: two that have it can be compared."""
    curves: tuple[Curve, ...]
    mates: NDArray[np.float32]
    """[P] score with the mate, NaN where there is none."""
    best: NDArray[np.float32]
    """[R, P] highest score of a non-mated search in the galleries that limits are about."""
    subjects: NDArray[np.int64]
    """[P] codes from 0 on."""
    strangers: NDArray[np.bool_]
    """[P] whose non-mated searches count."""
    size: int
    """Others in those galleries."""

    @property
    def mated(self) -> NDArray[np.bool_]:
        """[P]"""
        return ~np.isnan(self.mates)


def evaluate_galleries(name: str, sides: Sides, baseline: "Sides | Measured | None", asked: Asked) -> GalleriesFound:
    """Search, measure, extrapolate and decide; the baseline's templates must be of the same samples.

    Limits are about the widest galleries: mixed where there are both kinds, of the largest size.
    Raises ScoresRefused where the baseline has other probes, Unresolvable for sizes that no pool allows.
    """
    new, old = measure_galleries(sides, baseline, asked)
    return decide_galleries(name, sides, new, old, asked)


def measure_galleries(
    sides: Sides, baseline: "Sides | Measured | None", asked: Asked
) -> "tuple[Measured, Measured | None]":
    """Search and measure both versions; raises as `evaluate_galleries`."""
    same_as(baseline, sides, asked)
    return search_galleries(sides, asked), (
        search_galleries(baseline, asked) if isinstance(baseline, Sides) else baseline
    )


def same_as(baseline: "Sides | Measured | None", sides: Sides, asked: Asked) -> None:
    """Raise ScoresRefused where a baseline is of other searches; before anything is searched."""
    if baseline is None:
        return
    kept = baseline.same if isinstance(baseline, Measured) else digest_of(baseline, asked)
    if kept != digest_of(sides, asked):
        raise ScoresRefused(
            "the baseline's templates are of other samples: the same probes, references and distractors must have one "
            "in both, and failures of extraction must be the same ones; sizes, draws and seed must be the same, too"
        )


def digest_of(sides: Sides, asked: Asked) -> str:
    """Of who is searched, among how many, in which draws."""
    told = [sides.probe_ids, _sizes_of(sides), sides.strangers.tolist(), asked.sizes, asked.draws, asked.seed]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def search_galleries(sides: Sides, asked: Asked) -> Measured:
    """Search and measure one version's templates; raises Unresolvable for sizes that no pool allows."""
    _check_sizes(sides, asked)
    strangers = sides.strangers if sides.strangers.any() else np.ones(len(sides.probes), bool)
    curves, last = _curves(sides, strangers, asked)
    return Measured(
        same=digest_of(sides, asked),
        curves=curves,
        mates=last.searches.mates,
        best=last.searches.best_non_mated[:, -1],
        subjects=last.searches.subjects,
        strangers=strangers,
        size=last.searches.sizes[-1],
    )


def decide_galleries(name: str, sides: Sides, new: Measured, old: Measured | None, asked: Asked) -> GalleriesFound:
    """What came of it, against the limits."""
    decided = _decided(asked.rule, new, old)
    pools = sides.pools
    return GalleriesFound(
        name=name,
        metric=asked.metric,
        probes=len(sides.probes),
        mated=int(new.mated.sum()),
        probes_failed=sides.probes_failed,
        references=len(sides.references),
        references_failed=sides.references_failed,
        real=len(pools.get("real", ())),
        synthetic=len(pools.get("synthetic", ())),
        non_mated_are="probes without a mate" if sides.strangers.any() else "mated searches, the mate put aside",
        draws=asked.draws,
        seed=asked.seed,
        curves=new.curves,
        rule=asked.rule,
        decided_on=f"{_decided_on(sides)} galleries of {new.size:,}",
        baseline=() if old is None else old.curves,
        difference=decided.difference,
        limits=decided.limits,
        verdict=decided.verdict,
        reason=decided.reason,
        notes=tuple(_notes(sides, new.curves, asked)),
    )


def _decided_on(sides: Sides) -> str:
    return "mixed" if "mixed" in sides.pools else next(iter(sides.pools))


def _sizes_of(sides: Sides) -> tuple[int, ...]:
    return len(sides.references), *(len(pool) for pool in sides.pools.values())


def _check_sizes(sides: Sides, asked: Asked) -> None:
    largest = max((largest_gallery(pool, sides.probes) for pool in sides.pools.values()), default=0)
    if largest < 2:
        raise Unresolvable(
            f"there are {largest} references of others, and a gallery needs 2: hand in more subjects, or distractors"
        )
    if wrong := [size for size in asked.sizes if not 2 <= size <= largest]:
        raise Unresolvable(
            f"a gallery of {wrong[0]:,} cannot be searched: sizes lie between 2 and {largest:,}; "
            "hand in more distractors, or ask for it with --extrapolate"
        )


def _curves(sides: Sides, strangers: NDArray[np.bool_], asked: Asked) -> tuple[tuple[Curve, ...], Found]:
    """A curve a pool, and what searching the pool gave that limits are decided on."""
    curves, last = [], None
    for name, pool in sides.pools.items():
        largest = largest_gallery(pool, sides.probes)
        wanted = [size for size in asked.sizes or steps_to(largest) if size <= largest]
        if not wanted:
            continue

        def search(pool: Pool, sizes: Sequence[int], draws: int) -> Found:
            return search_pool(
                sides.references,
                sides.probes,
                pool,
                sizes,
                strangers=strangers,
                metric=asked.metric,
                draws=draws,
                seed=asked.seed,
                should_cancel=asked.should_cancel,
                on_progress=asked.on_progress,
            )

        found = search(pool, wanted, asked.draws)
        curves.append(_curve(cast(Others, name), pool, found, search, sides, asked))
        if name == _decided_on(sides):
            last = found
    if last is None:
        raise Unresolvable(f"the {_decided_on(sides)} galleries are too small for every size asked for")
    return tuple(curves), last


Search = Callable[[Pool, Sequence[int], int], Found]


def _curve(others: Others, pool: Pool, found: Found, search: Search, sides: Sides, asked: Asked) -> Curve:
    points: list[IdentificationPoint] = []
    for fpir in asked.rule.at_fpir:
        points += fnir_at_fpir(found.searches, fpir, bootstrap=BOOTSTRAP)
    held: list[HeldOut] = []
    # Mixed galleries are not of one kind, and what comes beyond them would be of one.
    resolved = tuple(fpir for fpir in asked.rule.at_fpir if fpir * found.searches.searched >= 30)
    if others != "mixed" and resolved:
        order = pool.order(asked.seed, 0)
        nested = _nested(pool, order, found, search, sides)
        held = _held_out(nested, resolved, asked)
        wanted = [size for size in asked.extrapolate if found.largest < size <= FARTHEST * found.largest]
        if wanted and len(nested) > 1:
            drifts = drift(nested[1], nested[0].largest, _thresholds(nested[0], resolved))
            points += beyond(
                nested[0], wanted, resolved, drifts=drifts, bootstrap=asked.tails, should_cancel=asked.should_cancel
            )
    return Curve(
        others=others,
        references=len(pool),
        points=tuple(_point(point) for point in points),
        ranks=tuple(_ranks(found, number) for number in range(len(found.searches.sizes))),
        held_out=tuple(held),
        det=_det(found, asked.should_cancel),
    )


def _det(found: Found, should_cancel: Callable[[], bool]) -> tuple[DetPoint, ...]:
    """FNIR over FPIR in the largest galleries."""
    searches = found.searches
    widest = replace(
        searches,
        sizes=searches.sizes[-1:],
        best_mated=searches.best_mated[:, -1:],
        best_non_mated=searches.best_non_mated[:, -1:],
    )
    points = []
    for fpir in det_targets(searches.searched):
        if should_cancel():
            raise Cancelled("the evaluation was called off")
        (point,) = fnir_at_fpir(widest, fpir, bootstrap=DET_BOOTSTRAP)
        points.append(
            DetPoint(
                target_fmr=fpir,
                resolved=point.resolved,
                fmr=point.fpir,
                fnmr=point.fnir,
                low=point.by_subject.low,
                high=min(point.by_subject.high, 1.0),
                by_subject=True,
            )
        )
    return tuple(points)


def _nested(pool: Pool, order: NDArray[np.int64], found: Found, search: Search, sides: Sides) -> list[Found]:
    """The whole pool, a tenth of it, a tenth of that …, each searched whole, down to what a fit needs."""
    spare = len(pool) - found.largest
    sizes = [found.largest]
    while (smaller := max(sizes[-1] // HELD_OUT, SMALLEST)) * 2 <= sizes[-1]:
        sizes.append(smaller)
    if found.largest < SMALLEST:
        return []
    parts = [pool.take(np.sort(order[: size + spare])) for size in sizes]
    return [search(part, [largest_gallery(part, sides.probes)], 1) for part in parts]


def _held_out(nested: list[Found], fpirs: tuple[float, ...], asked: Asked) -> list[HeldOut]:
    """The whole pool, foretold from a tenth of it, whose own drift is known from a tenth of that, if there is one."""
    if len(nested) < 2:
        return []
    whole, part = nested[0], nested[1]
    drifts = drift(nested[2], part.largest, _thresholds(part, fpirs)) if len(nested) > 2 else None
    foretold = beyond(
        part, [whole.largest], fpirs, drifts=drifts, bootstrap=asked.tails, should_cancel=asked.should_cancel
    )
    measured = [fnir_at_fpir(whole.searches, fpir, bootstrap=BOOTSTRAP)[-1] for fpir in fpirs]
    return [
        HeldOut(
            fitted=part.largest,
            size=whole.largest,
            target_fpir=one.target_fpir,
            measured=there.fnir,
            foretold=one.fnir,
            interval=one.by_subject,
        )
        for one, there in zip(foretold, measured, strict=True)
    ]


def _thresholds(found: Found, fpirs: Sequence[float]) -> Mapping[float, float]:
    few = Bootstrap(replicates=20)  # intervals are not asked for
    return {fpir: fnir_at_fpir(found.searches, fpir, bootstrap=few)[-1].threshold for fpir in fpirs}


def _point(point: IdentificationPoint) -> GalleryPoint:
    return GalleryPoint(
        size=point.size,
        target_fpir=point.target_fpir,
        threshold=point.threshold if np.isfinite(point.threshold) else None,
        fpir=point.fpir,
        fnir=point.fnir,
        interval=point.by_subject,
        resolved=point.resolved,
        extrapolated=point.extrapolated,
    )


def _ranks(found: Found, number: int) -> RanksFound:
    searches = found.searches
    mated = ~np.isnan(searches.mates)
    ranks = found.ranks[:, number][:, mated]  # [R, M]
    # A tie stands before the mate, so the mate is alone at rank 1 where nobody reaches its score.
    missed = (ranks != 1).mean(0)
    owners = searches.subjects[mated]
    subjects = int(searches.subjects.max()) + 1
    sums, tried = (np.bincount(owners, weights=each, minlength=subjects) for each in (missed, np.ones(len(missed))))
    rates = np.full(BOOTSTRAP.replicates, np.nan)
    for part, weights in BOOTSTRAP.multiplicities(subjects):
        whole = weights @ tried
        rates[part] = np.divide(weights @ sums, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    value = float(missed.mean())
    interval = resampled_interval(rates, value, len(np.unique(owners)), "bootstrap by probe subject", over="subjects")
    size = searches.sizes[number]
    return RanksFound(
        size=size,
        missed=value,
        interval=interval,
        ranks=tuple(RankPoint(rank=rank, found=float((ranks <= rank).mean())) for rank in RANKS if rank <= size),
    )


def _decided(rule: SearchRule, new: Measured, old: Measured | None) -> Decided:
    same = old is not None and all(
        np.array_equal(left, right, equal_nan=True) for left, right in ((new.mates, old.mates), (new.best, old.best))
    )
    before = None if old is None else _outcome(old, rule.at_fpir[0])
    return decide_limits(rule, _outcome(new, rule.at_fpir[0]), before, int(new.strangers.sum()), same=same)


def _outcome(found: Measured, fpir: float) -> Outcome:
    """In the galleries that limits are about, the mean over draws."""
    if not found.mated.any():
        raise Unresolvable("no probe has its mate among the references, so there is no FNIR")
    return mean_outcome(
        [
            outcome_of(
                SearchScores(
                    mates=found.mates[found.mated].astype(np.float64),
                    owners=found.subjects[found.mated],
                    others=best[found.strangers].astype(np.float64),
                    others_owners=found.subjects[found.strangers],
                    subjects=int(found.subjects.max()) + 1,
                ),
                fpir,
            )
            for best in found.best
        ]
    )


def steps_to(largest: int) -> list[int]:
    """Sizes that are searched unless others are asked for: 10, 20, 50 … all."""
    if largest < 2:
        return []
    steps = [step * 10**power for power in range(1, 9) for step in (1, 2, 5)]
    return [*(size for size in steps if size < 0.9 * largest), largest]


def _notes(sides: Sides, curves: tuple[Curve, ...], asked: Asked) -> list[str]:
    notes = []
    if sides.probes_failed or sides.references_failed:
        notes.append(
            f"failure to extract: {sides.probes_failed:,} probes, which were not searched; failure to enrol: "
            f"{sides.references_failed:,} references, which are in no gallery"
        )
    if any(not point.resolved and not point.extrapolated for curve in curves for point in curve.points):
        notes.append("not resolved by the rule of 30: too few non-mated searches for the lowest FPIR")
    if asked.extrapolate:
        notes.append(
            "extrapolated by extreme values, as ISO/IEC 5152:2024 estimates FMR; FPIR is outside its scope. The "
            "interval holds what sampling, the choice of the tail, and what the method missed at held-out sizes "
            "come to; it cannot hold twins, persons under two names, or references of another kind"
        )
        for curve in curves:
            far = [size for size in asked.extrapolate if size > FARTHEST * curve.references]
            if far and curve.held_out:
                notes.append(
                    f"over {curve.others} others nothing is extrapolated beyond {FARTHEST} times those searched"
                )
        if small := [curve.others for curve in curves if curve.others != "mixed" and not curve.held_out]:
            notes.append(
                f"no extrapolation over {' and '.join(small)} others: it needs {2 * SMALLEST:,} of them, so that half "
                "can be held out, and a FPIR that the probes resolve"
            )
    return notes
