"""Calibrating: one scale after another, until the judged samples of a set are as hard as its target asks.

What is measured is what will be delivered: the set's own subjects with their chosen identities, its own draws (the
same at every scale), the same checks and attempts, and pixels as they come out of the file. A step decides a scale;
then every judged shard is tried at it, by as many workers as there are; then the next step reads what came out.
"""

from collections.abc import Callable

import numpy as np

from app.dataset import keys
from app.dataset.calibration import MOST_SCALES, Calibration, CalibrationStep, TriedScale, curve_id
from app.dataset.keys import DatasetKeys
from app.dataset.plan import Plan, PlannedTarget
from app.dataset.shard import IdentityChoice
from app.errors import Cancelled
from app.jobs.records import read_json, write_json
from app.storage import ObjectStore
from workers.biometrics.bootstrap import DEFAULT, Bootstrap
from workers.biometrics.calibration import Limits, check_scores, conclude, next_scale, told
from workers.biometrics.rates import fnmr_at_fmr
from workers.biometrics.templates import Metric, TemplateTable
from workers.generator.base import Generator
from workers.matchers.base import Failure, Matcher, NetworkMatcher, Role
from workers.matchers.detector import Detector
from workers.matchers.extraction import extract_one
from workers.pipeline.generate import check_model
from workers.pipeline.run import delivered, passing
from workers.pipeline.scoring import compare_all
from workers.pipeline.tables import join_tables, pack_table, unpack_table
from workers.provenance.marker import NO_MARKS, Marker


def target_of(plan: Plan) -> PlannedTarget:
    """The plan's target; that there is one is for the caller to know."""
    if plan.target is None:
        raise ValueError("the plan has no target")
    return plan.target


def try_shard(
    plan: Plan,
    scale: float,
    shard: int,
    *,
    generator: Generator,
    choice: IdentityChoice | None,
    detector: Detector,
    matcher: Matcher,
    batch_size: int,
    marker: Marker = NO_MARKS,
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> TemplateTable:
    """Templates of a shard's judged samples at a scale, distractors left out; a row of NaN where there is none.

    A sample that no attempt could make has no row. `should_cancel` is asked before each sample; raises Cancelled.
    `on_progress` gets samples done.
    """
    check_model(plan, generator.card)
    final = plan.final(scale)
    places = [place for place in plan.places(plan.shard(shard)) if place.subject < plan.judged_subjects]
    templates: list[np.ndarray] = []
    subjects: list[int] = []
    done = 0
    for start in range(0, len(places), batch_size):
        for passed in passing(final, generator, choice, detector, places[start : start + batch_size], [], []):
            if should_cancel():
                raise Cancelled(f"shard {shard} at scale {scale:g} was called off")
            pixels = delivered(final, passed.pixels, marker)
            # Our detector has looked at these very pixels already.
            known = passed.face if pixels is passed.pixels and isinstance(matcher, NetworkMatcher) else None
            role = Role.PROBE if passed.draw.place.sample else Role.REFERENCE
            found = extract_one(matcher, pixels, role, face=known)
            templates.append(np.full(matcher.dimensions, np.nan) if isinstance(found, Failure) else found)
            subjects.append(passed.draw.place.subject)
            done += 1
            on_progress(done)
    return TemplateTable(
        templates=np.array(templates, np.float32).reshape(len(templates), matcher.dimensions),
        subjects=np.array(subjects, np.int64),
    )


def templates_at(
    plan: Plan,
    scale: float,
    *,
    generator: Generator,
    choice: IdentityChoice | None,
    detector: Detector,
    matcher: Matcher,
    batch_size: int = 32,
    on_progress: Callable[[int], None] = lambda done: None,
) -> TemplateTable:
    """Templates of all judged samples at a scale, in this process; `on_progress` gets samples done."""
    tables: list[TemplateTable] = []
    for shard in plan.calibrated_shards:
        before = sum(map(len, tables))
        tables.append(
            try_shard(
                plan,
                scale,
                shard,
                generator=generator,
                choice=choice,
                detector=detector,
                matcher=matcher,
                batch_size=batch_size,
                on_progress=lambda done, before=before: on_progress(before + done),  # type: ignore[misc]
            )
        )
    return join_tables(tables)


def decide(
    store: ObjectStore, at: DatasetKeys, plan: Plan, step: int, metric: Metric, bootstrap: Bootstrap = DEFAULT
) -> Calibration | None:
    """Take in what the step before measured, and write the scale that this step tries, or return how it ended.

    Run twice, it decides the same. Raises Unresolvable where samples are too few for the target.
    """
    if store.exists(at.calibration_step(step)):
        return None
    target = target_of(plan)
    curve = keys.curve(curve_id(plan)) if plan.purpose == "calibration" else at.curve
    if step:
        scale = read_json(store, at.calibration_step(step - 1))["scale"]
        parts = [at.calibration_part(step - 1, shard) for shard in plan.calibrated_shards]
        table = join_tables([unpack_table(store.get(part), part) for part in parts])
        store.put(keys.curve_point(curve, scale), pack_table(table))
    found = {
        keys.scale_in(info.key): compare_all(
            unpack_table(store.get(info.key), info.key),
            subjects=plan.judged_subjects,
            metric=metric,
            fmr=target.fmr,
        )
        for info in store.list(curve)
    }
    points = {}
    for scale, scores in sorted(found.items()):
        check_scores(scores, target, scale)
        points[scale] = fnmr_at_fmr(scores, target.fmr)
    # Points that other calibrations of the same curve measured cost nothing.
    limits = Limits(high=plan.largest_scale, start=target.start, budget=max(3, len(points) + MOST_SCALES - step))
    following = next_scale(points, target, limits)
    if isinstance(following, str):
        samples = step * plan.first(plan.judged_subjects)
        return conclude(following, found, target, samples=samples, bootstrap=bootstrap)
    tried = tuple(TriedScale(scale=scale, measured=told(point, None)) for scale, point in points.items())
    write_json(store, at.calibration_step(step), CalibrationStep(scale=following, tried=tried))
    return None
