"""Names out of a downloaded archive or manifest, before they become paths: none may lead out of its folder."""

import re
from pathlib import Path, PurePosixPath

from app.client.errors import VerificationFailed

_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*")


_TOP = re.compile("^(?:\\./)?(?:ds_[0-9a-z]+/)?")


def in_archive(name: str) -> str:
    """The name of a file in an archive without the archive's top folder, the dataset's id, if it has one.

    Archives of before have none.
    """
    return _TOP.sub("", name, count=1)


def set_folder(folder: Path) -> Path:
    """The folder that holds a set's manifest: the one given, or the one top folder of an archive unpacked into it."""
    if not (folder / "manifest.json").is_file():
        tops = [path for path in folder.glob("ds_*") if (path / "manifest.json").is_file()]
        if len(tops) == 1:
            return tops[0]
    return folder


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
