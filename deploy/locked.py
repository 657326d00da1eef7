"""Print what deploy/requirements.lock holds for the extras named, as requirements for pip; needs nothing installed.

python deploy/locked.py [EXTRA…]             with hashes, for  pip install --require-hashes -r FILE
python deploy/locked.py --versions           all of it without hashes, for  pip install -c FILE
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LOCK = Path(__file__).resolve().parent / "requirements.lock"
BASE = "base"
"""Stands for what every installation needs."""


class Pin(NamedTuple):
    """One package of the lock."""

    name: str
    version: str
    hashes: tuple[str, ...]
    extras: frozenset[str]
    """Those that need it; BASE among them where all do."""


def read_lock(text: str) -> Iterator[Pin]:
    """The packages of a lock; each has its extras in a comment above it."""
    extras: frozenset[str] = frozenset()
    for block in text.replace(" \\\n", " ").splitlines():
        if block.startswith("#: "):
            extras = frozenset(block[3:].split())
        elif block and not block.startswith("#"):
            pinned, *hashes = block.split()
            name, _, version = pinned.partition("==")
            yield Pin(name, version, tuple(hashes), extras)


def main(arguments: list[str]) -> int:
    """Print; returns the exit status."""
    pins = list(read_lock(LOCK.read_text()))
    if arguments == ["--versions"]:
        sys.stdout.write("".join(f"{pin.name}=={pin.version}\n" for pin in pins))
        return 0
    wanted = {BASE, *arguments}
    for pin in pins:
        if pin.extras & wanted:
            sys.stdout.write(f"{pin.name}=={pin.version} {' '.join(pin.hashes)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
