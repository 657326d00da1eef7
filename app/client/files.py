"""Files that a command writes: each appears whole or not at all, and a place that cannot be is told before the work.

One rule for all commands: a set is never written over, neither a folder, an archive nor a file that it consists of;
any other file is replaced, and that is said.
"""

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from app.client.errors import FolderProblem, UsageProblem
from app.dataset.products import MANIFEST, PRODUCTS

SET_FOLDERS = ("samples", "layouts")
"""What a downloaded set consists of, beside its products."""


def demand_place(path: Path) -> bool:
    """Raise UsageProblem unless a file could be written there: in a folder that exists, not one itself, no set's own.

    Returns whether a file is there, which would be replaced.
    """
    parent = path.absolute().parent
    if is_stream(path) and os.access(path, os.W_OK):
        return False
    if path.is_dir():
        raise UsageProblem(f"{path} cannot be written: it is a folder; name a file")
    if not parent.is_dir():
        raise UsageProblem(f"{path} cannot be written: {parent} is no folder; name a file in a folder that exists")
    if not os.access(parent, os.W_OK):
        raise UsageProblem(f"{path} cannot be written: {parent} may not be written to")
    if (folder := set_of(path)) is not None:
        raise UsageProblem(f"{path} cannot be written: it is a file of the set in {folder}; name another")
    return path.exists()


def set_of(path: Path) -> Path | None:
    """The folder of the downloaded set that a file is a part of; None for a file that is not there, or is none's."""
    file = path.resolve()
    own = {product.file for product in PRODUCTS}
    for folder in file.parents if file.exists() else ():
        if (folder / MANIFEST.file).is_file():
            inner = file.relative_to(folder)
            return folder if inner.parts[0] in SET_FOLDERS or str(inner) in own else None
    return None


def write_whole(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file beside its place, then give it its name; raises FolderProblem, and leaves nothing then.

    What is no file of its own (/dev/stdout, /dev/null, a named pipe) is written into: it must not become one.
    """
    if is_stream(path):
        try:
            with _opened(path) as stream:
                stream.writelines([data] if isinstance(data, bytes) else data)
        except OSError as exc:
            raise FolderProblem(f"{path} cannot be written: {exc.strerror or exc}") from exc
        return
    path = path.resolve() if path.is_symlink() else path  # the link stays one
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


def is_stream(path: Path) -> bool:
    """Whether a path names a device, a pipe, a socket, or what this process has as standard output or error."""
    try:
        found = path.stat()
    except OSError:
        return False
    return not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)) or _standard(found) is not None


def _standard(found: os.stat_result) -> int | None:
    """The number of the standard stream that is this file."""
    for number in (1, 2):
        with suppress(OSError):
            if os.path.samestat(found, os.fstat(number)):
                return number
    return None


def _opened(path: Path) -> BinaryIO:
    """A stream to write to: a standard one as it stands, so that nothing written before is overwritten."""
    number = _standard(path.stat())
    return path.open("wb") if number is None else os.fdopen(os.dup(number), "wb")


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
