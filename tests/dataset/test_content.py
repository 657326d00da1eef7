"""Digests of content: golden values, what changes them and what does not, and the manifest they are read from."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataset.content import ContentDigest
from app.dataset.manifest import Summary, content_of, manifest_lines, read_manifest
from app.dataset.shard import SampleRow, Shown
from app.errors import Corrupt

SUMMARY = Summary.model_validate(
    {
        "dataset": "ds_1",
        "name": "gate 7",
        "created_at": "2026-01-01T00:00:00.000+00:00",
        "request": {},
        "model": {"name": "toy", "version": "1.0.0", "digest": "m" * 64},
        "seed": 7,
        "sigma": {"pose": 0.5, "illumination": 1.5},
        "counts": {"subjects": 3, "distractors": 0, "samples": 6, "rejected": 0, "shortfall": 0, "bytes": 54},
        "asked": {"subjects": 3, "samples": 6, "distractors": 0},
        "checks": {"face_found": False, "unique": None},
        "shortfall": [],
        "digests": {"pixels": "p" * 64, "files": "f" * 64},
        "shard_reports": {"count": 1, "sha256": "r" * 64},
        "comparisons": {"selection": "balanced", "mated": 3, "non_mated": 3, "left_out": 0, "sha256": "c" * 64},
        "device": "cpu",
        "synthetic": {"digital_source_type": "http://example/synthetic", "marked": "in every file"},
    }
)


def other(**fields: Any) -> Summary:
    """The summary with other fields; those of its parts are merged."""
    body = SUMMARY.as_json()
    merged = {
        name: {**body[name], **value} if name in ("model", "comparisons") else value for name, value in fields.items()
    }
    return Summary.model_validate(body | merged)


def row(subject: int, sample: int, **fields: Any) -> SampleRow:
    name = f"S{subject:07d}_{sample:04d}"
    text = {
        "id": name,
        "subject": name[:8],
        "role": "probe" if sample else "reference",
        "width": 8,
        "height": 8,
        "bytes": 9,
        "file": f"samples/{name[:8]}/{name}.png",
        "pixel_sha256": hashlib.sha256(b"p" + name.encode()).hexdigest(),
        "file_sha256": hashlib.sha256(b"f" + name.encode()).hexdigest(),
        "identity_attempt": 0,
        "attempt": 0,
        "attributes": {"sex": "female", "age": 41.3, "glasses": True},
    }
    return SampleRow.model_validate(text | fields)


ROWS = [row(subject, sample) for subject in range(3) for sample in range(2)]


def by_hand(rows: list[SampleRow], summary: Summary) -> str:
    """The digest after the words of app.dataset.content, written a second time."""

    def line(value: Any) -> bytes:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    root = line(["facsimile samples 1"])
    for subject in sorted({item.subject for item in rows}):
        node = line(["facsimile samples 1", subject])
        for item in rows:
            if item.subject == subject:
                node += line([item.id, item.file, item.role, item.pixel_sha256, item.file_sha256, item.attributes])
        root += line([subject, hashlib.sha256(node).hexdigest()])
    over = {
        "content": "facsimile content 1",
        "model": summary.model.digest,
        "sigma": summary.sigma,
        "comparisons": "c" * 64,
        "samples": hashlib.sha256(root).hexdigest(),
    }
    return hashlib.sha256(line(over).rstrip()).hexdigest()


def test_golden() -> None:
    """These must never change: they stand in lock files."""
    content = content_of(SUMMARY, ROWS)
    assert content.digest == by_hand(ROWS, SUMMARY)
    assert content.model_dump() == {
        "digest": "662e178b2fefefbb5aec9b8d123a3a8d961bb8c357b819d1f8985c198b0ef90f",
        "samples": "7a1afa04f44cb59c938f896218a4e47958221fbae2aae99cf40359d0046a9617",
        "pixels": "435ae1a33dade11f77c3fb8c0ca2d8f7ea1e481af59ce89a5601dcd143934125",
    }


def test_who_made_it_when_and_under_which_name_is_no_content() -> None:
    renamed = other(dataset="ds_2", name="another", created_at="now", request={"seed": 1}, seed=1)
    assert content_of(renamed, ROWS) == content_of(SUMMARY, ROWS)


@pytest.mark.parametrize(
    ("fields", "pixels_change"),
    [
        ({"pixel_sha256": "0" * 64}, True),
        ({"file_sha256": "0" * 64}, False),
        ({"file": "samples/x.png"}, False),
        ({"role": "distractor"}, False),
        ({"attributes": {"age": 41.4}}, False),
        ({"shown": Shown(glasses=False)}, False),
    ],
)
def test_a_sample_that_differs(fields: dict[str, Any], pixels_change: bool) -> None:
    before = content_of(SUMMARY, ROWS)
    after = content_of(SUMMARY, [*ROWS[:3], ROWS[3].model_copy(update=fields), *ROWS[4:]])
    assert after.digest != before.digest
    assert after.samples != before.samples
    assert (after.pixels != before.pixels) == pixels_change


@pytest.mark.parametrize(
    "fields",
    [{"model": {"digest": "n" * 64}}, {"sigma": {"pose": 0.5}}, {"comparisons": {"sha256": "d" * 64}}],
)
def test_a_set_that_differs_beside_its_samples(fields: dict[str, Any]) -> None:
    before, after = content_of(SUMMARY, ROWS), content_of(other(**fields), ROWS)
    assert after.digest != before.digest
    assert (after.samples, after.pixels) == (before.samples, before.pixels)


def test_samples_that_are_missing_in_another_order_or_with_another_subject_differ() -> None:
    moved = [*ROWS[:1], ROWS[1].model_copy(update={"subject": "S0000001"}), *ROWS[2:]]
    digests = {content_of(SUMMARY, rows).samples for rows in (ROWS, ROWS[1:], ROWS[:-1], ROWS[::-1], moved, [])}
    assert len(digests) == 6


@given(st.text(max_size=12), st.text(max_size=12))
def test_names_cannot_be_made_to_run_into_each_other(first: str, second: str) -> None:
    one = [ROWS[0].model_copy(update={"id": first, "file": second})]
    other = [ROWS[0].model_copy(update={"id": first + second, "file": ""})]
    assert (content_of(SUMMARY, one).samples == content_of(SUMMARY, other).samples) == (second == "")


@given(st.integers(1, 900))
def test_a_manifest_gives_the_same_digest_in_chunks_of_any_size(size: int) -> None:
    raw = b"".join(manifest_lines(SUMMARY, ROWS))
    summary, rows = read_manifest(raw[at : at + size] for at in range(0, len(raw), size))
    assert summary == SUMMARY
    assert content_of(summary, rows) == content_of(SUMMARY, ROWS)


def test_a_manifest_that_is_cut_short_is_not_a_short_manifest() -> None:
    raw = b"".join(manifest_lines(SUMMARY, ROWS))
    whole = raw.rindex(b"]")
    for length in (*range(0, whole, 37), whole):
        with pytest.raises(Corrupt):
            content_of(*_read(raw[:length]))
    assert (
        content_of(*_read(b"".join(manifest_lines(SUMMARY, [])))).pixels == SUMMARY.content_by(ContentDigest()).pixels
    )


def _read(raw: bytes) -> Any:
    summary, rows = read_manifest([raw])
    return summary, list(rows)
