"""Ports on loopback: found once, kept in the data folder, used again as long as they are free."""

import json
import secrets
import socket
from dataclasses import asdict, dataclass

from app.stack.errors import StackError
from app.stack.folder import DataFolder, read_json, write_private

GRPC_OFFSET = 10_000
"""SeaweedFS puts each server's gRPC port this far above its HTTP port."""

LOWEST, HIGHEST = 11_000, 22_000
"""Where ports are looked for: systems hand out neither these nor those above them by the offset."""

USUAL = 8000
"""Where the API is, if it can be."""

S3_PORTS = ("s3", "filer", "master", "volume", "admin")


@dataclass(frozen=True, kw_only=True)
class Ports:
    """One port a server, all on 127.0.0.1."""

    api: int
    valkey: int
    s3: int
    filer: int
    master: int
    volume: int
    admin: int


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do, so that connections of a former run that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def usual() -> int:
    """A port for the API that people can guess: the first free one from 8000 on."""
    for port in range(USUAL, USUAL + 100):
        if is_free(port):
            return port
    raise StackError(f"no port from {USUAL} to {USUAL + 99} on 127.0.0.1 is free; choose another with --port")


def choose(folder: DataFolder, api: int | None) -> Ports:
    """Settle every port: `api` as asked (None: any), the others as last time where they are still free."""
    kept = {name: int(port) for name, port in read_json(folder.ports).items()}
    taken: set[int] = set()
    chosen: dict[str, int] = {}
    for name in Ports.__dataclass_fields__:
        offset = GRPC_OFFSET if name in S3_PORTS else 0
        if name == "api" and api is not None:
            if not is_free(api):
                raise StackError(f"port {api} on 127.0.0.1 is taken by another program; choose another with --port")
            port = api
        elif (old := kept.get(name)) and _fits(old, offset, taken):
            port = old
        else:
            port = _find(offset, taken)
        chosen[name] = port
        taken |= {port, port + offset}
    ports = Ports(**chosen)
    write_private(folder.ports, json.dumps(asdict(ports)) + "\n")
    return ports


def _fits(port: int, offset: int, taken: set[int]) -> bool:
    return not taken & {port, port + offset} and is_free(port) and is_free(port + offset)


def _find(offset: int, taken: set[int]) -> int:
    for _ in range(500):
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        if _fits(port, offset, taken):
            return port
    raise StackError("no free port was found on 127.0.0.1")
