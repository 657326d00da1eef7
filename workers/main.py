"""A worker's entry: `celery -A workers.main worker`. The workers' only wiring."""

import time
from contextlib import suppress
from typing import Any

import structlog
from celery import signals

from app.config import Settings
from app.errors import FacsimileError, Unavailable
from app.jobs.attempts import note_orderly_stop
from app.logs import configure_logging
from app.queue import make_celery
from workers.resources import Resources
from workers.tasks import register

log = structlog.get_logger()

PUBLISH_RETRY_S = 2.0

settings = Settings()
configure_logging(settings.log_level)

app = make_celery(settings.queue)
children = Resources(settings)
"""What each child makes for itself, after the fork."""
register(app, children)


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def keep_our_logging(**_: Any) -> None:
    """With a receiver here Celery leaves logging as it is."""


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def publish_models(**_: Any) -> None:
    """Offer this worker's models and matchers before its first task; waits for the store as long as it takes."""
    # Resources of their own: the parent's connections must not reach its children.
    while True:
        try:
            resources = Resources(settings)
            resources.ofiq  # noqa: B018  (a setting that names what is not there is told now, not in mid dataset)
            models, matchers = resources.publish_models(), resources.publish_matchers()
        except Unavailable as exc:
            log.warning("models_not_published_yet", error=str(exc))
            time.sleep(PUBLISH_RETRY_S)
        else:
            log.info("models_published", models=models, matchers=matchers)
            return


@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def send_last_spans(**_: Any) -> None:
    """Spans wait to be sent together."""
    children.tracing.shut_down()


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def stop_in_order(**_: Any) -> None:
    """Say so before the children are told: what they are at may be broken off, and is no fault of it."""
    with suppress(FacsimileError):
        note_orderly_stop(Resources(settings).store)
