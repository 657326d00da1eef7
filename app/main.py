"""The API's only wiring: settings in, application out.

uvicorn app.main:create_app --factory --host 127.0.0.1 --port 8000
"""

import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import FrameType

import anyio
import structlog
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from app.access import ApiKeys
from app.api import (
    administration,
    calibrations,
    datasets,
    docs,
    estimates,
    evaluations,
    events,
    health,
    keys,
    layouts,
    matchers,
    models,
    parts,
    previews,
    products,
    release_products,
    releases,
    retention,
    samples,
    service_state,
    uploads,
    webhook,
    whoami,
)
from app.api.deps import Services
from app.api.error_handlers import install_error_handlers
from app.api.limits import BodyLimit, RateLimit
from app.api.looks import Looks
from app.api.metrics import Metrics
from app.api.observe import Observe
from app.api.openapi import DESCRIPTION, TAGS, DescribedAPI
from app.config import Settings
from app.errors import FacsimileError
from app.figures import Figures
from app.jobs.audit import AuditLog
from app.jobs.backlog import BacklogCount
from app.jobs.calibrations.service import CalibrationService
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.jobs.catalogues.models import ModelCatalogue
from app.jobs.datasets.on_demand import LayoutService
from app.jobs.datasets.parts import PartList
from app.jobs.datasets.products import ProductService
from app.jobs.datasets.retention import Retention
from app.jobs.datasets.samples import SampleList
from app.jobs.datasets.service import DatasetService
from app.jobs.estimates import EstimateService
from app.jobs.evaluations.service import EvaluationService
from app.jobs.places import Places
from app.jobs.previews import PreviewService
from app.jobs.releases.products import ReleaseProducts
from app.jobs.releases.service import ReleaseService
from app.jobs.uploads import UploadService
from app.jobs.usage import Usage
from app.jobs.webhooks.courier import Courier
from app.jobs.webhooks.service import WebhookService
from app.logs import configure_logging
from app.oidc import Provider
from app.queue import TaskQueue, open_queue
from app.sessions import Sessions
from app.storage import ObjectStore, open_store
from app.tracing import start_tracing
from app.web.console import install_console

log = structlog.get_logger()

BUCKET_RETRY_S = 2.0


def create_app(
    settings: Settings | None = None,
    *,
    store: ObjectStore | None = None,
    queue: TaskQueue | None = None,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """Build the application, connecting nothing yet; `store`, `queue` and `clock` may be fakes.

    Without settings they are read from FACSIMILE_*, and the process is taken to be the API's own: its logging
    is configured too.
    """
    if settings is None:
        settings = Settings()
        configure_logging(settings.log_level)
    figures = Figures()
    services = _services(
        settings,
        figures,
        open_store(settings.store, figures.store_call) if store is None else store,
        open_queue(settings.queue) if queue is None else queue,
        clock,
    )
    app = DescribedAPI(
        title="Facsimile",
        version=_version(),
        description=DESCRIPTION,
        openapi_tags=TAGS,
        openapi_url=None,  # app.api.docs serves the document, and a page that needs no Internet
        redirect_slashes=False,
        lifespan=_lifespan,
        # Functions are named so that they read well in generated clients.
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    resources = (
        datasets,
        estimates,
        events,
        products,
        samples,
        layouts,
        releases,
        release_products,
        parts,
        retention,
        previews,
        calibrations,
        uploads,
        evaluations,
        models,
        matchers,
        whoami,
        service_state,
        keys,
        administration,
        webhook,
        health,
        docs,
    )
    for resource in resources:
        app.include_router(resource.router)
    install_error_handlers(app)
    install_console(app)
    # The last added is the outermost.
    limits = settings.limits
    app.add_middleware(
        BodyLimit,
        max_bytes=limits.body_bytes,
        upload_bytes=limits.upload_bytes,
        bytes_per_second=limits.upload_bytes_per_second,
    )
    app.add_middleware(Observe, metrics=services.metrics, tracing=services.tracing)
    return app


def _services(
    settings: Settings, figures: Figures, store: ObjectStore, queue: TaskQueue, clock: Callable[[], float]
) -> Services:
    api_keys = ApiKeys(store, wall=clock)
    catalogue, matcher_catalogue = ModelCatalogue(store), MatcherCatalogue(store)
    asked_for = DatasetService(store, queue, catalogue, settings, clock)
    released = ReleaseService(store, clock)
    received = UploadService(store, settings.limits, clock)
    return Services(
        settings=settings,
        store=store,
        queue=queue,
        api_keys=api_keys,
        oidc=Provider(settings.oidc) if settings.oidc.issuer else None,
        sessions=Sessions(store, api_keys, clock),
        datasets=asked_for,
        estimates=EstimateService(store, asked_for.plan_only),
        products=ProductService(store),
        samples=SampleList(store),
        releases=released,
        release_products=ReleaseProducts(store, released),
        parts=PartList(store, settings.store.presigned_s, clock),
        retention=Retention(store, settings.limits, clock),
        audit=AuditLog(store, clock),
        layouts=LayoutService(store, queue, clock),
        previews=PreviewService(store, queue, catalogue, settings),
        calibrations=CalibrationService(store, queue, catalogue, matcher_catalogue, settings, clock),
        uploads=received,
        evaluations=EvaluationService(store, queue, received, released, settings.limits, clock),
        webhooks=WebhookService(store, settings.webhooks, clock),
        models=catalogue,
        matchers=matcher_catalogue,
        rate_limit=RateLimit(queue, settings.limits.requests_per_minute_per_tenant, clock),
        metrics=Metrics(store, queue, figures, _version(), clock, name_tenants=settings.metrics_token is not None),
        tracing=start_tracing("facsimile-api"),
        backlog=BacklogCount(store, queue, clock),
        usage=Usage(store),
        streams=Places(settings.limits.streams_at_once, settings.limits.streams_per_tenant, "event streams"),
        looks=Looks(),
        closing=threading.Event(),
    )


def _version() -> str:
    try:
        return version("facsimile-faces")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    with _told_to_stop(services.closing):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_make_bucket, services.store)
            tasks.start_soon(Courier(services.store, services.queue, services.settings.webhooks).run)
            log.info("api_started", version=_version())
            yield
            services.closing.set()
            tasks.cancel_scope.cancel()
    await run_in_threadpool(services.tracing.shut_down)
    log.info("api_stopped")


async def _make_bucket(store: ObjectStore) -> None:
    """Make the bucket, however late the store comes up; until then /readyz says what is missing."""
    told = False
    while True:
        try:
            await run_in_threadpool(store.ensure_bucket)
        except FacsimileError as exc:
            if not told:
                log.warning("store_not_ready", detail=str(exc))
                told = True
            await anyio.sleep(BUCKET_RETRY_S)
        else:
            return


@contextmanager
def _told_to_stop(closing: threading.Event) -> Iterator[None]:
    """Set `closing` as soon as the process is told to stop.

    The server ends the lifespan only when every answer is finished, and an event stream would never be.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread only; there is no server of ours in it
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        closing.set()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    # Where nobody handles a signal its default must stay in force: it ends the process.
    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
