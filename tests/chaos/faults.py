"""The faults: each strikes a living service, waits as long as such a thing lasts, and lets it recover by itself."""

import contextlib
import time
from collections.abc import Callable
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import redis
from living import Living, send

STORE_SILENT_S = 25.0
"""For how long the store is frozen: longer than a request to it may take."""
WORKER_SILENT_S = 70.0
"""For how long a process of the pool is frozen: longer than a silent one is believed to be working."""
DISK_FULL_S = 20.0


def pool_child_killed(service: Living) -> None:
    """kill -9 of the process that generates."""
    send(service.busiest(), SIGKILL)


def pool_child_frozen(service: Living) -> None:
    """The process that generates stands still until it is believed dead, and then goes on with what others did too."""
    frozen = service.busiest()
    send(frozen, SIGSTOP)
    time.sleep(WORKER_SILENT_S)
    send(frozen, SIGCONT)


def worker_killed(service: Living) -> None:
    """kill -9 of the worker's parent; its children go with it."""
    send(service.child("worker"), SIGKILL)


def worker_asked_to_go(service: Living) -> None:
    """SIGTERM to the worker, as a deploy sends it."""
    send(service.child("worker"), SIGTERM)


def api_killed(service: Living) -> None:
    """kill -9 of the API."""
    send(service.child("api"), SIGKILL)


def queue_killed(service: Living) -> None:
    """kill -9 of valkey; what it had written last is lost."""
    send(service.child("valkey"), SIGKILL)


def queue_wiped(service: Living) -> None:
    """All that the queue knows is gone, in the midst of work."""
    with redis.Redis.from_url(service.settings().queue.url.get_secret_value(), socket_timeout=10) as client:
        client.flushall()


def store_killed(service: Living) -> None:
    """kill -9 of the object store."""
    send(service.child("s3"), SIGKILL)


def store_frozen(service: Living) -> None:
    """The object store takes connections and answers nothing for a while."""
    frozen = service.child("s3")
    send(frozen, SIGSTOP)
    time.sleep(STORE_SILENT_S)
    send(frozen, SIGCONT)


def stack_killed(service: Living) -> None:
    """kill -9 of all of it at once, as when the power fails; then `up`."""
    for pid in (service.supervisor(), *(service.child(name) for name in ("worker", "api", "valkey", "s3"))):
        send(pid, SIGKILL)
    time.sleep(1.0)
    service.up()


def stack_restarted(service: Living) -> None:
    """`down`, then `up`."""
    service.down()
    service.up()


def disk_full(service: Living) -> None:
    """Not a byte is left on the file system for a while."""
    if not service.folder.root.is_mount():
        raise ValueError("to fill a disk that others use would hurt more than this service")
    ballast = service.folder.root / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            until = time.monotonic() + DISK_FULL_S
            while time.monotonic() < until:  # what the service frees meanwhile is taken, too
                with contextlib.suppress(OSError):
                    file.write(bytes(2**20))
                    continue
                time.sleep(0.2)
    finally:
        ballast.unlink()


FAULTS: dict[str, Callable[[Living], None]] = {
    fault.__name__: fault
    for fault in (
        pool_child_killed,
        pool_child_frozen,
        worker_killed,
        worker_asked_to_go,
        api_killed,
        queue_killed,
        queue_wiped,
        store_killed,
        store_frozen,
        stack_killed,
        stack_restarted,
        disk_full,
    )
}

NEEDS_ITS_OWN_DISK = frozenset({"disk_full"})
