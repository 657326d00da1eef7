"""The manifest: exact content, valid JSON, written a line a sample."""

import hashlib
import json
from collections.abc import Callable, Iterator

import pytest

from app.dataset.manifest import Summary, Tally, manifest_lines, read_manifest, summarize
from app.dataset.plan import Plan
from app.dataset.report import Listed
from app.dataset.shard import IdentityChoice, Missing, Rejection, SampleRow, ShardReport, StoredSample
from app.dataset.source_type import source_type_uri
from app.errors import Corrupt


def row(subject: int, sample: int, role: str) -> SampleRow:
    name = f"S{subject:07d}_{sample:04d}"
    return SampleRow.model_validate(
        {
            "id": name,
            "subject": f"S{subject:07d}",
            "role": role,
            "file": f"samples/S{subject:07d}/{name}.png",
            "width": 128,
            "height": 128,
            "bytes": 1000 + 10 * subject + sample,
            "pixel_sha256": hashlib.sha256(f"pixels {name}".encode()).hexdigest(),
            "file_sha256": hashlib.sha256(f"file {name}".encode()).hexdigest(),
            "identity_attempt": 0,
            "attempt": sample,
            "attributes": {"sex": "female", "age": 33.5, "glasses": False, "note": "“}”\n]"},
        }
    )


LISTED = Listed(selection="balanced", mated=2, non_mated=2, left_out=0, sha256="c" * 64)
ROWS = [row(0, 0, "reference"), row(0, 1, "probe"), row(1, 0, "reference"), row(2, 0, "distractor")]
MISSING = Missing(id="S0000001_0001", reason="no face found in 5 draws")


def report(shard: int, rows: list[SampleRow], missing: list[Missing], rejected: int = 0) -> ShardReport:
    return ShardReport(
        shard=shard,
        samples=tuple(StoredSample(row=item, offset=512) for item in rows),
        rejected=tuple(Rejection(id="S0000000_0001", attempt=n, reason="no face") for n in range(rejected)),
        missing=tuple(missing),
        tar_bytes=2048,
        device="cpu",
    )


@pytest.fixture
def tally() -> Tally:
    taken = Tally()
    taken.add(report(0, ROWS[:2], [], rejected=1), "a")
    taken.add(report(1, ROWS[2:], [MISSING], rejected=2), "b")
    return taken


def test_counts(tally: Tally) -> None:
    assert tally.counts().as_dict() == {
        "subjects": 2,
        "distractors": 1,
        "samples": 4,
        "rejected": 3,
        "shortfall": 1,
        "bytes": 1000 + 1001 + 1010 + 1020,
    }


def test_digests_run_over_ids_and_digests_in_order(tally: Tally) -> None:
    def over(field: str) -> str:
        lines = "".join(f"{item.id} {getattr(item, field)}\n" for item in ROWS)
        return hashlib.sha256(lines.encode()).hexdigest()

    assert tally.digests().model_dump() == {"pixels": over("pixel_sha256"), "files": over("file_sha256")}


def test_digests_do_not_depend_on_the_shard_size(tally: Tally) -> None:
    other = Tally()
    for number, item in enumerate(ROWS):
        other.add(report(number, [item], []), "")
    assert other.digests() == tally.digests()


def test_one_changed_pixel_digest_changes_the_digest_of_pixels_only(tally: Tally) -> None:
    other = Tally()
    other.add(report(0, [ROWS[0].model_copy(update={"pixel_sha256": "0" * 64}), *ROWS[1:]], []), "")
    assert other.digests().pixels != tally.digests().pixels
    assert other.digests().files == tally.digests().files


@pytest.mark.parametrize("rows", [[], ROWS[:1], ROWS], ids=["none", "one", "four"])
def test_the_manifest_is_valid_json_with_the_summary_and_every_sample(
    plan_of: Callable[..., Plan], tally: Tally, rows: list[SampleRow]
) -> None:
    plan = plan_of(subjects=2, samples_per_subject=2, distractors=1)
    choice = IdentityChoice(
        matcher="sface",
        matcher_digest="d" * 64,
        threshold=0.5,
        attempts={1: 2},
        rejected=(Rejection(id="S0000001", attempt=0, reason="like S0000000"),) * 2,
        missing={},
    )
    summary = summarize(
        plan.final(),
        {"name": "Tür “7”\n}", "subjects": 2},
        name="Tür “7”\n}",
        created_at="2026-01-01T00:00:00.000+00:00",
        tally=tally,
        choice=choice,
        comparisons=LISTED,
    )
    text = b"".join(manifest_lines(summary, rows))
    read = json.loads(text)
    assert read.pop("samples") == [item.model_dump(mode="json", exclude_none=True) for item in rows]
    assert read == summary.as_json()
    assert read_manifest([text])[0] == summary
    # A line a sample, so that readers can stream it as well.
    lines = [line for line in text.decode().split("\n") if '"pixel_sha256"' in line]
    assert [SampleRow.model_validate_json(line.strip().rstrip(",")) for line in lines] == rows


def test_the_summary_says_what_was_asked_what_came_and_what_is_missing(
    plan_of: Callable[..., Plan], tally: Tally
) -> None:
    plan = plan_of(subjects=2, samples_per_subject=2, distractors=1, checks={"unique": False})
    summary = summarize(
        plan.final(),
        {},
        name="x",
        created_at="now",
        tally=tally,
        choice=None,
        comparisons=LISTED,
    )
    told = summary.as_json()
    assert told["asked"] == {"subjects": 2, "samples": 5, "distractors": 1}
    assert told["counts"]["samples"] + len(told["shortfall"]) == told["asked"]["samples"]
    assert told["shortfall"] == [{"id": "S0000001_0001", "reason": "no face found in 5 draws"}]
    assert told["checks"] == {"face_found": True, "unique": None}
    assert told["shard_reports"] == {"count": 2, "sha256": hashlib.sha256(b"a\nb").hexdigest()}
    assert told["synthetic"]["digital_source_type"] == source_type_uri("algorithmicMedia")
    assert told["seed"] == 7


def test_the_manifest_is_a_stream(summary_of: Callable[..., Summary]) -> None:
    asked = 0

    def endless() -> object:
        nonlocal asked
        while True:
            asked += 1
            yield ROWS[0]

    lines = manifest_lines(summary_of(), endless())  # type: ignore[arg-type]
    for _ in range(11):
        next(lines)
    assert asked == 10


def test_a_choice_lists_only_exceptions_from_the_first_draw() -> None:
    choice = IdentityChoice(matcher="m", matcher_digest="d", threshold=0.5, attempts={4: 2}, rejected=(), missing={})
    assert [choice.attempt(subject) for subject in (3, 4, 5)] == [0, 2, 0]
    assert IdentityChoice.model_validate_json(choice.model_dump_json()) == choice


@pytest.mark.parametrize("text", [b'{"a": "' + b"x" * 65_536, b'"x": 1,\n' * 8_192], ids=["one line", "a head"])
def test_a_strangers_manifest_does_not_fill_the_memory(text: bytes) -> None:
    """600 MB of it, as they come, are refused long before their end."""
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(600 * 2**20 // len(text)):
            taken += len(text)
            yield text

    with pytest.raises(Corrupt, match=r"longer than|of more than"):
        read_manifest(chunks())
    assert taken < 65 * 2**20
