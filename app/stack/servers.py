"""How each child is started, and how to tell that it is ready."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from signal import SIGINT, SIGQUIT, SIGTERM

import httpx
import redis
from pydantic import SecretStr

from app.access import ApiKeys, Role
from app.config import EMBEDDED_TENANT, Settings
from app.errors import FacsimileError
from app.jobs.catalogues.models import ModelCatalogue
from app.queue import QUEUES, make_celery
from app.stack import binaries
from app.stack.child import ChildSpec
from app.stack.credentials import Credentials, write_users
from app.stack.folder import DataFolder, write_private
from app.stack.identity import MARK
from app.stack.ports import Ports
from app.storage import open_store

ORDER_OF_STOPPING = ("worker", "api", "valkey", "s3")
"""Those who use others end before those."""

BUCKET = "facsimile"

Check = Callable[[], str | None]
"""Returns what is still missing, or None when the server is ready."""


def environment(folder: DataFolder, more: dict[str, str]) -> dict[str, str]:
    """The environment of a child: ours, less what would reconfigure the servers, and what it is handed."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("WEED_", "AWS_", "S3_", "CELERY_"))
    }
    return {**inherited, MARK: str(folder.root), **more}


def valkey(folder: DataFolder, ports: Ports, credentials: Credentials) -> ChildSpec:
    """The queue's server. The password stands in a file, for command lines can be read by everybody."""
    append_only = folder.valkey / "appendonlydir"

    def prepare(quick_deaths: int) -> None:
        # The queue is no record: a file that it cannot load is worth less than a queue that works.
        if quick_deaths >= 2 and append_only.exists():
            shutil.rmtree(folder.valkey / "appendonlydir.unreadable", ignore_errors=True)
            append_only.rename(folder.valkey / "appendonlydir.unreadable")

    config = folder.valkey / "valkey.conf"
    write_private(
        config,
        "\n".join(
            (
                "bind 127.0.0.1",
                f"port {ports.valkey}",
                f'dir "{folder.valkey}"',
                f'requirepass "{credentials.valkey_password}"',
                "appendonly yes",
                "appendfsync everysec",
                'save ""',
                "maxmemory-policy noeviction",
                "daemonize no",
                "",
            )
        ),
    )
    return ChildSpec(
        name="valkey",
        command=(str(binaries.valkey()), str(config)),
        environment=environment(folder, {}),
        directory=folder.valkey,
        log=folder.log("valkey"),
        stop=((SIGTERM, 8.0),),
        prepare=prepare,
    )


def valkey_ready(settings: Settings) -> Check:
    """Answers PING to our password."""

    def check() -> str | None:
        try:
            with redis.Redis.from_url(settings.queue.url.get_secret_value(), socket_timeout=1) as client:
                client.ping()
        except redis.RedisError as exc:
            return str(exc)
        return None

    return check


def s3(folder: DataFolder, ports: Ports, credentials: Credentials) -> ChildSpec:
    """The object store. It reads security.toml in its directory; see `credentials`.

    Without our credentials nobody reads or writes an object or changes an identity: S3 asks for signatures, the other
    HTTP ports for tokens, and the gRPC ports for a certificate of the stack's own authority; see `authority`. The API
    and the workers have users of their own; see `rights`.
    """
    return ChildSpec(
        name="s3",
        command=(
            str(binaries.weed()),
            "mini",
            f"-dir={folder.s3}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.port={ports.s3}",
            f"-s3.config={write_users(folder, credentials, BUCKET)}",
            f"-filer.port={ports.filer}",
            f"-master.port={ports.master}",
            f"-volume.port={ports.volume}",
            f"-admin.port={ports.admin}",
            # The master would hand read and write tokens to anybody who asks over HTTP.
            "-disableHttp",
            "-webdav=false",
            "-admin.ui=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.allowDeleteBucketNotEmpty=false",
            "-s3.autoCreateBucket=false",
            "-master.telemetry=false",
            # The volumes tell the master all that it needs; with its old state it may take 5 s more to be ready.
            "-master.resumeState=false",
            # Others write no more when it is told to end: there is nobody for it to wait for.
            "-volume.preStopSeconds=0",
        ),
        environment=environment(folder, {}),
        directory=folder.s3,
        log=folder.log("s3"),
        # Nobody writes any more when its turn comes, and what it confirmed survives kill -9.
        stop=((SIGTERM, 6.0),),
    )


def s3_ready(settings: Settings, credentials: Credentials) -> Check:
    """The bucket is there (made if need be), and takes an object under the API's credentials and gives it back."""
    mine = settings.store.model_copy(update={"timeout_s": 3.0})
    administrator = {"access_key": credentials.access_key, "secret_key": SecretStr(credentials.secret_key)}
    store, owner = open_store(mine), open_store(mine.model_copy(update=administrator))

    def check() -> str | None:
        try:
            with httpx.Client(trust_env=False, timeout=1) as client:  # quicker to say no than the S3 client
                client.get(f"http://{settings.store.endpoint}/healthz").raise_for_status()
            owner.ensure_bucket()
            # An empty object would need no volume; a volume may come some seconds after the S3 port does.
            store.put("stack/started", b"yes")
            store.get("stack/started")
        except (httpx.HTTPError, FacsimileError) as exc:
            return str(exc)
        return None

    return check


def worker(folder: DataFolder, handed: dict[str, str], count: int) -> ChildSpec:
    """The Celery worker with `count` processes; it also reminds the reconciler (-B)."""
    return ChildSpec(
        name="worker",
        command=(
            sys.executable,
            "-m",
            "celery",
            "-A",
            "workers.main",
            "worker",
            "--pool=prefork",
            "-c",
            str(count),
            "-Q",
            ",".join(QUEUES),
            "-n",
            "embedded@%h",
            "--without-gossip",
            "--without-mingle",
            "--loglevel",
            "WARNING",
            "-B",
            "-s",
            str(folder.beat_schedule),
        ),
        environment=environment(folder, {**_threads(count), **handed}),
        directory=folder.run,
        log=folder.log("worker"),
        # First to end what it does, then to put it back; a task run twice leaves the same bytes.
        stop=((SIGTERM, 8.0), (SIGQUIT, 5.0)),
    )


def _threads(count: int) -> dict[str, str]:
    """So many threads for linear algebra that `count` processes do not take the cores from each other."""
    name = "OPENBLAS_NUM_THREADS"
    return {} if name in os.environ else {name: str(max(1, (os.cpu_count() or 1) // count))}


def worker_ready(settings: Settings) -> Check:
    """Answers a ping over the queue, and its models are published."""
    celery = make_celery(settings.queue)
    catalogue = ModelCatalogue(open_store(settings.store))

    def check() -> str | None:
        try:
            # One answer is enough: a ping without a limit waits for more of them until its time is up.
            if not celery.control.broadcast("ping", reply=True, limit=1, timeout=1.0):
                return "it does not answer a ping yet"
            catalogue.default()
        except (FacsimileError, OSError) as exc:
            return str(exc)
        except Exception as exc:  # noqa: BLE001 - kombu lets its transport's own errors through
            return f"the queue does not answer: {exc}"
        return None

    return check


def api(folder: DataFolder, handed: dict[str, str], port: int) -> ChildSpec:
    """The API server."""
    return ChildSpec(
        name="api",
        command=(
            sys.executable,
            "-m",
            "uvicorn",
            "app.main:create_app",
            "--factory",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--no-access-log",
        ),
        environment=environment(folder, handed),
        directory=folder.run,
        log=folder.log("api"),
        # After the second signal uvicorn no longer waits for open event streams.
        stop=((SIGTERM, 3.0), (SIGINT, 3.0)),
    )


def api_ready(port: int) -> Check:
    """Lives: answers /livez."""

    def check() -> str | None:
        try:
            with httpx.Client(trust_env=False, timeout=2) as client:
                client.get(f"http://127.0.0.1:{port}/livez").raise_for_status()
        except httpx.HTTPError as exc:
            return str(exc)
        return None

    return check


def known_api_key(settings: Settings, path: Path, tenant: str = EMBEDDED_TENANT) -> str:
    """The key in the file, if the store knows it; else a new one, written there."""
    keys = ApiKeys(open_store(settings.store))
    try:
        key = path.read_text().strip()
        if keys.tenant_of(key) == tenant:
            return key
    except (OSError, FacsimileError):
        pass
    key = keys.issue(tenant, "made by the embedded stack", role=Role.ADMIN)
    write_private(path, f"{key}\n")
    return key
