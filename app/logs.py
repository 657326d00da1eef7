"""Structured logs: one JSON object a line on standard output, for our own events and for libraries' alike."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def configure_logging(level: str = "INFO") -> None:
    """Send everything that this process logs through structlog; `level` is DEBUG, INFO, WARNING or ERROR.

    Libraries (uvicorn, celery, urllib3) log through the standard library: the root handler renders their
    lines the same way. Tracebacks are text without local variables, for those may hold keys.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_colours,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    # Our own line of a request says more than uvicorn's.
    logging.getLogger("uvicorn.access").disabled = True


def _without_colours(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """uvicorn sends its messages a second time, coloured for a terminal."""
    event.pop("color_message", None)
    return event
