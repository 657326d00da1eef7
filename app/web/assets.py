"""The console's own files, each under a path that changes when the file does, so that browsers may keep it."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from fastapi import APIRouter
from starlette.responses import Response

from app.errors import NotFound

router = APIRouter(include_in_schema=False)

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Asset(NamedTuple):
    """One file."""

    content: bytes
    media_type: str


@cache
def _assets() -> dict[str, Asset]:
    """Every file by its name; they are few and small, and never change while the process runs."""
    found = {}
    for file in (files("app.web") / "static").iterdir():
        suffix = f".{file.name.rpartition('.')[2]}"
        if suffix in _TYPES:
            found[file.name] = Asset(file.read_bytes(), _TYPES[suffix])
    return found


@cache
def version() -> str:
    """Of all files together: modules name each other without it, so that it must change for all at once."""
    digest = hashlib.sha256()
    for name, asset in sorted(_assets().items()):
        digest.update(f"{name} {len(asset.content)}\n".encode() + asset.content)
    return digest.hexdigest()[:12]


def path_of(name: str) -> str:
    """Path of a file; KeyError for one that there is not."""
    if name not in _assets():
        raise KeyError(name)
    return f"/static/{version()}/{name}"


@router.get("/static/{release}/{name}")
async def read_asset(release: str, name: str) -> Response:
    """One file, for ever where the path is of this version."""
    asset = _assets().get(name)
    if asset is None:
        raise NotFound("there is nothing at this path")
    kept = "public, max-age=31536000, immutable" if release == version() else "no-store"
    return Response(asset.content, media_type=asset.media_type, headers={"Cache-Control": kept})
