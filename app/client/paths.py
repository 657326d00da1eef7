"""Names out of a downloaded archive or manifest, before they become paths: none may lead out of its folder."""

import re
from pathlib import Path, PurePosixPath

from app.client.errors import VerificationFailed

_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*")


def place(folder: str, name: str) -> str:
    """As `inside`, for names by the thousand: nearly all are seen to be harmless at a glance."""
    return f"{folder}/{name}" if _PLAIN.fullmatch(name) else str(inside(Path(folder), name))


def inside(folder: Path, name: str) -> Path:
    """The path of `name` below `folder`; raises VerificationFailed for a name that could lead elsewhere."""
    parts = PurePosixPath(name).parts
    if (
        not parts
        or name.startswith("/")
        or any(part in ("..", ".") or "\\" in part or ":" in part or "\0" in part for part in parts)
        or parts[0].startswith(".")
    ):
        raise VerificationFailed(f"the dataset names a file {name!r}, which is no place in its folder", [name])
    return folder.joinpath(*parts)


def make_parents(folder: Path, path: Path, known: set[Path]) -> None:
    """Make the folders above a path below `folder`; none of them may be a link. `known` holds those seen."""
    parent = path.parent
    if parent in known or parent == folder:
        return
    make_parents(folder, parent, known)
    parent.mkdir(exist_ok=True)
    if parent.is_symlink():
        raise VerificationFailed(f"{parent} is a link; nothing is written through it", [str(parent)])
    known.add(parent)
