"""What releases are called: a name, and a version that says which of two is the later one.

Versions are those of Semantic Versioning 2.0.0 (https://semver.org) less what surprises: no build metadata, which
would make two versions of equal rank; lower case only, for file systems that do not tell `RC` from `rc`; and no
leading `v`.
"""

import re
from functools import total_ordering
from typing import NamedTuple

from app.errors import RequestRefused

RELEASE_NAME = "^[a-z0-9][a-z0-9-]{0,63}$"
_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
_IDENTIFIER = r"(?:0|[1-9][0-9]{0,8}|[0-9]*[a-z-][0-9a-z-]*)"
VERSION = rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?$"
VERSION_LENGTH = 64
"""Characters at the most."""

LATEST = "latest"
"""Stands for the highest version that is no pre-release."""

RESERVED_NAMES = frozenset({"by-digest"})
"""What stands at a name's place in a path of the API."""

_NAME_FORM = re.compile(RELEASE_NAME.strip("^$"))
_VERSION_FORM = re.compile(VERSION.strip("^$"))


@total_ordering
class Version:
    """A version, ordered by precedence: 1.0.0-alpha < 1.0.0-alpha.1 < 1.0.0-beta < 1.0.0 < 1.0.1."""

    def __init__(self, text: str) -> None:
        """Read a version; raises ValueError."""
        if len(text) > VERSION_LENGTH or not _VERSION_FORM.fullmatch(text):
            raise ValueError(
                f"{text[:80]!r} is no version; versions are like 1.2.0 or 1.2.0-rc.1: three numbers without leading "
                "zeros, then perhaps '-' and parts of a-z, 0-9 and '-' with dots between; nothing after a '+'"
            )
        numbers, _, pre = text.partition("-")
        self._text = text
        self._numbers = tuple(int(part) for part in numbers.split("."))
        self._pre = tuple(pre.split(".")) if pre else ()

    @property
    def prerelease(self) -> bool:
        """Whether it comes before the version that its three numbers name."""
        return bool(self._pre)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Version({self._text!r})"

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._text == other._text

    def __lt__(self, other: "Version") -> bool:
        return self._rank < other._rank

    @property
    def _rank(self) -> tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]:
        # Numbers rank below words and by value; words by their characters; and of two where one is the beginning
        # of the other the longer ranks higher. Without a pre-release part a version ranks above all that have one.
        parts = tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in self._pre)
        return self._numbers, not self._pre, parts


class ReleaseRef(NamedTuple):
    """A release as people write it: NAME@VERSION."""

    name: str
    version: str
    """A version, or `latest`."""

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def is_release_name(text: str) -> bool:
    """Whether a release may be called so."""
    return bool(_NAME_FORM.fullmatch(text)) and text not in RESERVED_NAMES


def is_version(text: str) -> bool:
    """Whether this is a version."""
    return len(text) <= VERSION_LENGTH and bool(_VERSION_FORM.fullmatch(text))


def check_ref(name: str, version: str) -> ReleaseRef:
    """The name and version that a release is to have; raises RequestRefused. `latest` is no version."""
    problems = []
    if not is_release_name(name):
        problems.append(
            (
                "name",
                f"{name[:80]!r} must be 1 to 64 of a-z, 0-9 and '-', beginning with a letter or digit, "
                f"and not {' or '.join(sorted(RESERVED_NAMES))}",
            )
        )
    try:
        Version(version)
    except ValueError as exc:
        problems.append(("version", str(exc)))
    if problems:
        raise RequestRefused(problems)
    return ReleaseRef(name, version)


def parse_ref(text: str) -> ReleaseRef:
    """Read NAME@VERSION, where the version may be `latest` or left out, which means it; raises RequestRefused."""
    name, at, version = text.partition("@")
    if not at:
        version = LATEST
    if version == LATEST and is_release_name(name):
        return ReleaseRef(name, version)
    return check_ref(name, version)


def latest(versions: list[str]) -> str | None:
    """The highest version that is no pre-release, by precedence and not by time; None if there is none."""
    ranked = [version for version in map(Version, versions) if not version.prerelease]
    return str(max(ranked)) if ranked else None
