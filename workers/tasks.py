"""The tasks, by name: shells that read ids, call one function of the pipeline, and move the dataset on."""

import io
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

from app.dataset import keys
from app.dataset.layout import Layout
from app.dataset.products import THUMBNAILS
from app.dataset.reference import Reference, read_reference
from app.dataset.shard import IdentityChoice
from app.errors import OutOfReach
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.jobs.datasets.advance import advance
from app.jobs.datasets.retention import Retention
from app.jobs.phases import (
    CALIBRATE,
    CHOOSE,
    CLOSE,
    GENERATE,
    JUDGE,
    LAYOUT,
    PUBLISH,
    SURVEY,
    TRY,
)
from app.jobs.previews import PlannedPreview
from app.jobs.reconcile import reconcile
from app.jobs.records import read_accepted, read_json, write_json
from app.jobs.uploads import UploadService
from app.queue import ADVANCE, EVALUATE, PREVIEW, RECONCILE, RETAIN, TICKET, Task
from app.tracing import Origin, coming_from
from workers.at_work import working_on
from workers.attempt import Attempt, attempt_dataset, attempt_evaluation
from workers.biometrics.errors import Unresolvable
from workers.generator.registry import model_folders
from workers.generator.trained_on import TrainedOn, load_trained_on
from workers.pipeline.calibrate import decide, target_of, try_shard
from workers.pipeline.close import close, publish
from workers.pipeline.identities import AT_A_TIME_S, Choosing, choose_identities, survey_block
from workers.pipeline.judge import judge_shard
from workers.pipeline.lay_out import lay_out
from workers.pipeline.preview import make_preview
from workers.pipeline.run import run_shard
from workers.pipeline.scoring import load_planned, metric_of
from workers.pipeline.store import ShardTar
from workers.pipeline.tables import pack_table
from workers.pipeline.templates import run_template_shard
from workers.pipeline.thumbnails import ThumbnailSheet
from workers.provenance.marker import make_marker
from workers.resources import Resources
from workers.verdict.job import evaluate_stored

log = structlog.get_logger()


def register(celery: Celery, resources: Resources) -> None:
    """Tell Celery of the ticket, which says only that somebody's turn has come, and of what happens by the clock."""

    @celery.task(name=TICKET, bind=True)  # type: ignore[untyped-decorator]
    def take_turn(self: Any) -> None:
        # A ticket that comes again, for its worker was lost, gets the same task again.
        task = resources.queue.take(self.request.id)
        if task is not None:
            perform(resources, task)
        resources.queue.give_back(self.request.id)

    @celery.task(name=RECONCILE.name)  # type: ignore[untyped-decorator]
    def reconcile_all() -> None:
        uploads = UploadService(resources.store, resources.settings.limits)
        reconcile(resources.store, resources.queue, uploads)

    @celery.task(name=RETAIN.name)  # type: ignore[untyped-decorator]
    def retain() -> None:
        Retention(resources.store, resources.settings.limits).run()
        UploadService(resources.store, resources.settings.limits).sweep()


def perform(resources: Resources, task: Task) -> None:
    """Do a task; raises nothing that is not a bug of ours."""
    if task.kind.name in WORK:
        attempt_dataset(resources, task, WORK[task.kind.name], meanwhile=lambda: make_waiting_preview(resources))
    elif task.kind == EVALUATE:
        attempt_evaluation(resources, task, evaluate_stored)
    elif task.kind == ADVANCE:
        with coming_from(task.origin or Origin()):
            with working_on(resources, task):
                pass
            advance(resources.store, resources.queue, task.tenant, task.subject)
    elif task.kind == PREVIEW:
        with working_on(resources, task) as noted:
            noted.model = _preview(resources, task)
    else:  # of another version; the reconciler gives out what is left to do
        log.warning("unknown_task", task=str(task))
        resources.queue.done(task)


def make_waiting_preview(resources: Resources) -> None:
    """Make one contact sheet that somebody waits for, if there is one: between two batches of a long task."""
    ticket = uuid.uuid4().hex
    try:
        task = resources.queue.take(ticket, previews_only=True)
        if task is not None:
            perform(resources, task)
            resources.queue.give_back(ticket)
    except SoftTimeLimitExceeded:
        raise
    except Exception as exc:  # noqa: BLE001  (whatever it is, the task in whose midst it happens has no part in it)
        log.warning("preview_not_made", error=str(exc))


def _preview(resources: Resources, task: Task) -> str:
    """Make a contact sheet, if it is still waited for; returns the model's name."""
    text = resources.queue.preview(task.tenant, task.subject)
    key = keys.preview(task.tenant, task.subject)
    if text is None or resources.store.exists(key):
        return ""
    asked = PlannedPreview.model_validate_json(text)
    plan = asked.plan
    resources.store.put(key, make_preview(plan.final(), resources.generator(plan), asked.row), "image/png")
    return plan.model.name


def _survey(attempt: Attempt) -> None:
    key = attempt.at.survey(attempt.number)
    if attempt.store.exists(key):
        return
    templates = survey_block(
        attempt.plan,
        attempt.number,
        generator=attempt.generator,
        batch_size=attempt.settings.worker.batch_size,
        should_cancel=attempt.called_off,
    )
    out = io.BytesIO()
    np.save(out, templates, allow_pickle=False)
    attempt.store.put(key, out.getvalue())


def _choose(attempt: Attempt) -> None:
    if attempt.store.exists(attempt.at.identities):
        return
    blocks = (
        np.load(io.BytesIO(attempt.store.get(attempt.at.survey(number))), allow_pickle=False)
        for number in range(attempt.plan.survey_blocks)
    )
    so_far, began = None, time.monotonic()
    if attempt.store.exists(attempt.at.choosing):
        so_far = Choosing.unpack(attempt.store.get(attempt.at.choosing))

    def pause(choosing: Choosing) -> bool:
        if time.monotonic() - began < AT_A_TIME_S:
            return False
        attempt.store.put(attempt.at.choosing, choosing.pack())
        return True

    choice = choose_identities(
        attempt.plan,
        blocks,
        generator=attempt.generator,
        batch_size=attempt.settings.worker.batch_size,
        so_far=so_far,
        pause=pause,
        should_cancel=attempt.called_off,
    )
    write_json(attempt.store, attempt.at.identities, choice)
    attempt.store.delete(attempt.at.choosing)


def _choice(attempt: Attempt) -> IdentityChoice | None:
    if not attempt.plan.unique:
        return None
    return IdentityChoice.model_validate_json(attempt.store.get(attempt.at.identities))


def _calibrate(attempt: Attempt) -> None:
    store, at, plan = attempt.store, attempt.at, attempt.plan
    if store.exists(at.calibration):
        return
    matcher = load_planned(target_of(plan).matcher, attempt.settings.worker)
    try:
        found = decide(store, at, plan, attempt.number, metric_of(matcher))
    except Unresolvable as exc:
        raise OutOfReach(f"the target cannot be measured: {exc}") from exc
    if found is None:
        return
    if found.outcome == "unreachable" and plan.purpose == "dataset":
        raise OutOfReach(f"the target is out of reach: {found.note}")
    write_json(store, at.calibration, found)


def _try(attempt: Attempt) -> None:
    at, plan = attempt.at, attempt.plan
    step, shard = (int(piece) for piece in attempt.task.part.split("/"))
    key = at.calibration_part(step, shard)
    if attempt.store.exists(key):
        return
    table = try_shard(
        plan,
        read_json(attempt.store, at.calibration_step(step))["scale"],
        shard,
        generator=attempt.generator,
        choice=_choice(attempt),
        detector=attempt.resources.detector,
        matcher=load_planned(target_of(plan).matcher, attempt.settings.worker),
        batch_size=attempt.settings.worker.batch_size,
        marker=make_marker(plan.marking, attempt.settings),
        should_cancel=attempt.called_off,
    )
    attempt.store.put(key, pack_table(table))


def _judge(attempt: Attempt) -> None:
    key = attempt.at.judgement(attempt.number)
    if attempt.store.exists(key):
        return
    judgement = judge_shard(
        attempt.store,
        attempt.at,
        attempt.plan,
        attempt.number,
        judges=[load_planned(judge, attempt.settings.worker) for judge in attempt.plan.judges],
        detector=attempt.resources.detector,
        ofiq=attempt.resources.ofiq,
        should_cancel=attempt.called_off,
    )
    attempt.store.put(key, judgement)


def _generate(attempt: Attempt) -> None:
    at, plan, number = attempt.at, attempt.final_plan(), attempt.number
    if attempt.store.exists(at.shard_report(number)):
        return
    choice = _choice(attempt)
    if plan.templates is not None:
        made, templates = run_template_shard(
            plan,
            number,
            generator=attempt.generator,
            choice=choice,
            detector=attempt.resources.detector,
            matcher=load_planned(plan.templates, attempt.settings.worker),
            batch_size=attempt.settings.worker.batch_size,
            should_cancel=attempt.called_off,
        )
        attempt.store.put(at.shard_templates(number), templates)
        write_json(attempt.store, at.shard_report(number), made)
        return
    thumbnails = ThumbnailSheet(plan, number)
    with ShardTar(attempt.plan.folder) as tar:
        made = run_shard(
            plan,
            number,
            generator=attempt.generator,
            choice=choice,
            detector=attempt.resources.detector,
            tar=tar,
            batch_size=attempt.settings.worker.batch_size,
            encoder_threads=attempt.settings.worker.encoder_threads,
            marker=make_marker(plan.marking, attempt.settings),
            thumbnails=thumbnails,
            should_cancel=attempt.called_off,
        )
        if plan.marking.c2pa:
            made = tar.put_once(attempt.store, at.shard_samples(number), made)
        else:
            tar.put(attempt.store, at.shard_samples(number))
    attempt.store.put(at.thumbnails(number), thumbnails.encode(), THUMBNAILS.media_type)
    write_json(attempt.store, at.shard_report(number), made)


def _close(attempt: Attempt) -> None:
    if attempt.store.exists(attempt.at.laid_aside):
        return
    plan = attempt.final_plan()
    close(
        attempt.store,
        attempt.at,
        read_accepted(attempt.store, attempt.task.tenant, attempt.task.subject),
        plan,
        attempt.generator.card,
        matchers=MatcherCatalogue(attempt.store).all(),
        trained_on=_trained_on(attempt),
        reference=_reference(attempt),
        should_cancel=attempt.called_off,
    )


def _lay_out(attempt: Attempt) -> None:
    layout = Layout(attempt.task.part)
    if not attempt.store.exists(attempt.at.layout(layout)):
        lay_out(
            attempt.store,
            attempt.at,
            attempt.plan,
            layout,
            detector=attempt.resources.detector,
            should_cancel=attempt.called_off,
        )


def _trained_on(attempt: Attempt) -> dict[str, TrainedOn]:
    card = attempt.generator.card
    if card.training_templates is None:
        return {}
    return load_trained_on(model_folders(attempt.settings.worker)[card.name], card)


def _reference(attempt: Attempt) -> Reference | None:
    path = attempt.settings.worker.reference
    return read_reference(Path(path)) if path else None


def _publish(attempt: Attempt) -> None:
    publish(attempt.store, attempt.at, lambda: not attempt.called_off())


WORK: dict[str, Callable[[Attempt], None]] = {
    SURVEY.kind.name: _survey,
    CHOOSE.kind.name: _choose,
    CALIBRATE.kind.name: _calibrate,
    TRY.kind.name: _try,
    GENERATE.kind.name: _generate,
    JUDGE.kind.name: _judge,
    CLOSE.kind.name: _close,
    LAYOUT.kind.name: _lay_out,
    PUBLISH.kind.name: _publish,
}
"""What is done in each phase, by the name of its task."""
