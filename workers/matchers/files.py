"""Files of networks: found inside a package without importing it, and believed only by their digest."""

from importlib.util import find_spec
from pathlib import Path

from app.errors import Corrupt, Misconfigured
from workers.digests import file_sha256


def package_file(module: str, *parts: str, install: str) -> Path:
    """Path of a file inside an installed package, whose code is not run; raises Misconfigured.

    `install` is what pip calls the package.
    """
    spec = find_spec(module)
    path = Path(spec.origin).parent.joinpath(*parts) if spec and spec.origin else None
    if path is None or not path.exists():
        raise Misconfigured(f"the face network {parts[-1]} is missing; install it with: pip install {install}")
    return path


def check_sha256(path: Path, wanted: str, said_by: str) -> None:
    """Raise Corrupt, naming the file, unless it has the digest that `said_by` says."""
    try:
        found = file_sha256(path)
    except OSError as exc:
        raise Corrupt(f"{path} cannot be read: {exc}") from exc
    if found != wanted:
        raise Corrupt(f"{path} has SHA-256 {found[:12]}… and {said_by} says {wanted[:12]}…: it is another file")
