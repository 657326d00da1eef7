"""Watching a dataset being made: over its event stream, or by asking again where that does not work."""

import json
import time
from collections.abc import Callable
from typing import Any, Protocol

from app.client.errors import ServiceRefused, ServiceUnreachable
from app.client.service import Client

Json = dict[str, Any]

FINAL = frozenset({"succeeded", "failed", "cancelled"})
STREAM_TRIES = 3
"""An event stream that breaks this often in a row without a word is given up for polling."""
POLL_S = 1.0
GIVE_UP_AFTER_S = 120.0
"""A service silent for this long is given up; the dataset goes on without us."""


class Reporter(Protocol):
    """Is told how far things are."""

    def dataset(self, dataset: Json) -> None:
        """A dataset's state and progress."""

    def amount(self, what: str, done: int, total: int, *, unit: str = "") -> None:
        """How much of something (`unit` "B": bytes) is done."""

    def end(self) -> None:
        """The next amount is of something else."""


class Quiet:
    """A Reporter that tells nobody."""

    def dataset(self, dataset: Json) -> None:
        """See Reporter."""

    def amount(self, what: str, done: int, total: int, *, unit: str = "") -> None:
        """See Reporter."""

    def end(self) -> None:
        """See Reporter."""


def watch(
    client: Client,
    dataset: Json,
    report: Reporter,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Json:
    """Follow a dataset to its end and return it; raises ServiceUnreachable after a long silence."""
    failures = 0
    last = ""  # id of the last event
    heard = clock()
    report.dataset(dataset)
    while dataset["state"] not in FINAL:
        if failures < STREAM_TRIES:
            try:
                for event in client.events(dataset["id"], last):
                    last = event.id
                    if event.name in ("progress", "end") and event.data.startswith("{"):
                        found = json.loads(event.data)
                        if "state" in found:
                            dataset, failures, heard = found, 0, clock()
                            report.dataset(dataset)
                    if event.name == "end" or dataset["state"] in FINAL:
                        break
            except (ServiceUnreachable, ServiceRefused, ValueError):
                pass  # whether the dataset itself is there is asked below
            failures += 1
        try:
            # Asked also after a stream that ended: its last word may have been lost.
            dataset = client.dataset(dataset["id"])
            heard = clock()
            report.dataset(dataset)
        except (ServiceUnreachable, ServiceRefused) as exc:
            if isinstance(exc, ServiceRefused) and exc.status < 500 and exc.status != 429:
                raise
            if clock() - heard > GIVE_UP_AFTER_S:
                raise
        if dataset["state"] not in FINAL:
            sleep(POLL_S)
    return dataset
