"""Builds facsimile-faces-client: the checkout's client modules under the import name `facsimile_client`.

The service's modules are called `app` and `workers`. Nobody who installs a client wants packages of such names: their
own project has an `app`. So this build back-end copies what the client's commands need into a temporary folder, writes
`facsimile_client` for `app` and `facsimile_client.workers` for `workers` in their import statements, and lets
setuptools pack that folder. Nothing is kept twice in the checkout, and nothing is written into it.

What is copied follows from ROOTS: they, and every module of ours that they import, whether at once or later. A module
of the service among them ends the build, with the chain that led there.
"""

import ast
import contextlib
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from setuptools import build_meta

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent

NAMES = {"app": "facsimile_client", "workers": "facsimile_client.workers"}
"""Package of the checkout to what it is called in the client."""

ROOTS = ("app.client.*", "app.cli.*", "workers.commands.evaluate", "workers.commands.match", "workers.images")

NOT_THE_CLIENTS = ("app.main", "app.api", "app.jobs", "app.access", "app.queue", "app.storage", "app.stack", "app.web")
"""The service's; `lint-imports` forbids the way to them, too."""


class WrongImport(Exception):
    """A module of the client imports one of the service."""


def build_wheel(
    wheel_directory: str, config_settings: dict[str, str] | None = None, metadata_directory: str | None = None
) -> str:
    """See PEP 517."""
    to = str(Path(wheel_directory).absolute())
    with _staged():
        return str(build_meta.build_wheel(to, config_settings))


def build_sdist(sdist_directory: str, config_settings: dict[str, str] | None = None) -> str:
    """See PEP 517. What it packs is staged already, and needs no checkout."""
    to = str(Path(sdist_directory).absolute())
    with _staged():
        return str(build_meta.build_sdist(to, config_settings))


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: dict[str, str] | None = None) -> str:
    """See PEP 517."""
    to = str(Path(metadata_directory).absolute())
    with _staged():
        return str(build_meta.prepare_metadata_for_build_wheel(to, config_settings))


def get_requires_for_build_wheel(config_settings: dict[str, str] | None = None) -> list[str]:
    """See PEP 517: nothing beyond setuptools."""
    return []


get_requires_for_build_sdist = get_requires_for_build_wheel


@contextlib.contextmanager
def _staged() -> Iterator[None]:
    """Stand in a temporary folder that holds an ordinary setuptools project."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="facsimile-client-") as name:
        stage(Path(name))
        os.chdir(name)
        try:
            yield
        finally:
            os.chdir(before)


def stage(to: Path) -> None:
    """Write the client's project into a folder."""
    for module in sorted(modules()):
        source = _file(module)
        target = to / _renamed(module).replace(".", "/")
        target = target / "__init__.py" if source.name == "__init__.py" else target.with_suffix(".py")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(renamed(source.read_text(encoding="utf-8")), encoding="utf-8")
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    (to / "VERSION").write_text(version + "\n", encoding="utf-8")
    shutil.copy(HERE / "README.md", to)
    shutil.copy(CHECKOUT / "LICENSE", to)
    project = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    # What is staged needs no staging: an sdist of it builds anywhere.
    ours, plain = 'build-backend = "stage"\nbackend-path = ["."]', 'build-backend = "setuptools.build_meta"'
    project = project.replace(ours, plain)
    (to / "pyproject.toml").write_text(project, encoding="utf-8")


def modules() -> set[str]:
    """Every module that the client consists of; raises WrongImport."""
    found: dict[str, str] = {}
    open_ = [(root, "") for pattern in ROOTS for root in _matching(pattern)]
    while open_:
        module, by = open_.pop()
        if module in found:
            continue
        found[module] = by
        if module.startswith(NOT_THE_CLIENTS):
            raise WrongImport(f"{_chain(found, module)}: the client would bring a part of the service")
        if "." in module:
            open_.append((module.rpartition(".")[0], by))  # its package
        tree = ast.parse(_file(module).read_text(encoding="utf-8"))
        open_ += [(name, module) for node in ast.walk(tree) for name in _imported(node)]
    return set(found)


def renamed(text: str) -> str:
    """A module's text with its imports of ours called as they are in the client."""
    lines = text.splitlines(keepends=True)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and _ours(node.module):
            old = f"from {node.module} import"
            at = node.lineno - 1
            lines[at] = lines[at].replace(old, f"from {_renamed(node.module)} import", 1)
        elif isinstance(node, ast.Import) and any(_ours(alias.name) for alias in node.names):
            raise WrongImport(f"line {node.lineno}: write 'from … import …' where it is one of ours")
    return "".join(lines)


def _renamed(module: str) -> str:
    first, dot, rest = module.partition(".")
    return NAMES[first] + dot + rest


def _imported(node: ast.AST) -> Iterator[str]:
    """The modules of ours that an import statement names."""
    if isinstance(node, ast.ImportFrom) and node.module and _ours(node.module):
        yield node.module
        yield from (name for alias in node.names if _exists(name := f"{node.module}.{alias.name}"))


def _ours(module: str) -> bool:
    return module.partition(".")[0] in NAMES


def _matching(pattern: str) -> list[str]:
    if not pattern.endswith(".*"):
        return [pattern]
    package = pattern.removesuffix(".*")
    folder = CHECKOUT / package.replace(".", "/")
    return [package, *(f"{package}.{path.stem}" for path in sorted(folder.glob("[!_]*.py")))]


def _exists(module: str) -> bool:
    return bool(re.fullmatch(r"[\w.]+", module)) and any(path.is_file() for path in _candidates(module))


def _file(module: str) -> Path:
    return next(path for path in _candidates(module) if path.is_file())


def _candidates(module: str) -> tuple[Path, Path]:
    path = CHECKOUT / module.replace(".", "/")
    return path.with_suffix(".py"), path / "__init__.py"


def _chain(found: dict[str, str], module: str) -> str:
    steps = [module]
    while by := found.get(steps[-1]):
        steps.append(by)
    return " ← ".join(steps)
