"""Files that a command writes: each appears whole or not at all, and a place that cannot be is told before the work."""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.client.errors import FolderProblem, UsageProblem


def demand_place(path: Path) -> None:
    """Raise UsageProblem unless a file could be written there: in a folder that exists, and is not one itself."""
    parent = path.absolute().parent
    if path.is_dir():
        raise UsageProblem(f"{path} cannot be written: it is a folder; name a file")
    if not parent.is_dir():
        raise UsageProblem(f"{path} cannot be written: {parent} is no folder; name a file in a folder that exists")
    if not os.access(parent, os.W_OK):
        raise UsageProblem(f"{path} cannot be written: {parent} may not be written to")


def write_whole(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file beside its place, then give it its name; raises FolderProblem, and leaves nothing then."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with beside.open("wb") as file:
            if isinstance(data, bytes):
                file.write(data)
            else:
                file.writelines(data)
        beside.replace(path)
    except OSError as exc:
        raise FolderProblem(f"{path} cannot be written: {exc.strerror or exc}") from exc
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """A folder for the block's work, made with those above it.

    What was made and is still empty goes again if the block fails. Raises UsageProblem where there can be none.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise UsageProblem(f"{folder} may not be written to; choose another folder with --out")
    except OSError as exc:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
        raise UsageProblem(f"{folder} cannot be made: {exc.strerror or exc}; choose another with --out") from exc
    try:
        yield
    except BaseException:
        for path in missing:
            with suppress(OSError):  # what is not empty stays
                path.rmdir()
        raise
