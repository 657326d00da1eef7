"""Names and versions of releases."""

import random
from functools import cmp_to_key

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataset.version import ReleaseRef, Version, check_ref, is_release_name, is_version, latest, parse_ref
from app.errors import RequestRefused

numbers = st.integers(0, 12).map(str)
words = st.from_regex(r"[0-9]{0,2}[a-z-][0-9a-z-]{0,3}", fullmatch=True)
versions = st.builds(
    lambda core, pre: ".".join(core) + ("-" + ".".join(pre) if pre else ""),
    st.tuples(numbers, numbers, numbers),
    st.lists(numbers | words, max_size=3),
)


def precedence(one: str, other: str) -> int:
    """-1, 0 or 1, word for word after https://semver.org/#spec-item-11."""
    core, _, pre = one.partition("-")
    other_core, _, other_pre = other.partition("-")
    mine, theirs = [int(part) for part in core.split(".")], [int(part) for part in other_core.split(".")]
    if mine != theirs:
        return -1 if mine < theirs else 1
    if not pre or not other_pre:
        return (not pre) - (not other_pre)
    parts, other_parts = pre.split("."), other_pre.split(".")
    for left, right in zip(parts, other_parts, strict=False):
        if left == right:
            continue
        if left.isdigit() and right.isdigit():
            return -1 if int(left) < int(right) else 1
        if left.isdigit() or right.isdigit():
            return -1 if left.isdigit() else 1
        return -1 if left < right else 1
    return (len(parts) > len(other_parts)) - (len(parts) < len(other_parts))


def test_the_example_of_the_specification() -> None:
    ascending = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.2.0",
        "1.10.0",
        "2.0.0",
    ]
    shuffled = random.Random(1).sample(ascending, len(ascending))
    assert [str(version) for version in sorted(map(Version, shuffled))] == ascending


@given(st.lists(versions, max_size=12))
def test_the_order_is_the_specifications(texts: list[str]) -> None:
    expected = sorted(set(texts), key=cmp_to_key(precedence))
    assert [str(version) for version in sorted({Version(text) for text in texts})] == expected


@given(versions)
def test_a_version_is_written_as_it_was_read(text: str) -> None:
    assert str(Version(text)) == text
    assert is_version(text)
    assert parse_ref(f"gate-7@{text}") == ("gate-7", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.0",
        "v1.0.0",
        "1.0.0+build",
        "1.0.0-",
        "1.0.0-a..b",
        "01.0.0",
        "1.0.0-01",
        "1.0.0-RC",
        "1.0.0 ",
        "1.0.0\n",
        "-1.0.0",
        "1.0.0-a/b",
        "../1.0.0",
        "latest",
        "١.0.0",
        "1234567890.0.0",
        "1.0.0-" + "a" * 60,
    ],
)
def test_what_is_no_version(text: str) -> None:
    assert not is_version(text)
    with pytest.raises(ValueError, match="is no version"):
        Version(text)
    with pytest.raises(RequestRefused, match="version: "):
        check_ref("gate", text)


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a.b", "a/b", "..", "a@b", "a\n", "by-digest", "a" * 65, "é"])
def test_what_is_no_name(name: str) -> None:
    assert not is_release_name(name)
    with pytest.raises(RequestRefused, match="name: "):
        check_ref(name, "1.0.0")


def test_latest_is_by_precedence_and_never_a_prerelease() -> None:
    assert latest(["1.9.0", "1.10.0", "2.0.0-rc.1", "1.2.0"]) == "1.10.0"
    assert latest(["2.0.0-rc.1"]) is None
    assert latest([]) is None


def test_references() -> None:
    assert parse_ref("gate-smoke") == ReleaseRef("gate-smoke", "latest")
    assert parse_ref("gate-smoke@latest") == ReleaseRef("gate-smoke", "latest")
    assert str(parse_ref("gate-smoke@1.0.0-rc.1")) == "gate-smoke@1.0.0-rc.1"
    for text in ("gate@", "@1.0.0", "a@1.0.0@2.0.0", "Gate"):
        with pytest.raises(RequestRefused):
            parse_ref(text)
