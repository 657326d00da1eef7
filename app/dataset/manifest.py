"""The manifest: what a finished dataset is. Written as a stream, a line a sample, so that its size is no matter."""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from app.dataset.content import Content, ContentDigest
from app.dataset.plan import Plan
from app.dataset.shard import IdentityChoice, Missing, SampleRow, ShardReport
from app.errors import Corrupt

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC term for media made by a trained model. https://cv.iptc.org/newscodes/digitalsourcetype/"""

SCHEMA_VERSION = 1

_SAMPLES = b' "samples": ['
"""The line after which samples come, one a line."""


class Tally:
    """Counts and digests over the shards' reports, taken up one by one; small whatever the set's size."""

    def __init__(self) -> None:
        self.samples = 0
        self.bytes = 0
        self.rejected = 0
        self.missing: list[Missing] = []
        self._subjects = 0
        self._distractors = 0
        self._last_subject = ""
        self._content = ContentDigest()
        self._pixels = hashlib.sha256()
        self._files = hashlib.sha256()

    def add(self, report: ShardReport) -> None:
        """Take up the next shard's report; shards must come in order."""
        for stored in report.samples:
            row = stored.row
            self._content.add(row)
            self.samples += 1
            self.bytes += row.bytes
            if row.subject != self._last_subject:  # rows come subject by subject
                self._last_subject = row.subject
                if row.role == "distractor":
                    self._distractors += 1
                else:
                    self._subjects += 1
            self._pixels.update(f"{row.id} {row.pixel_sha256}\n".encode())
            self._files.update(f"{row.id} {row.file_sha256}\n".encode())
        self.rejected += len(report.rejected)
        self.missing.extend(report.missing)

    def counts(self) -> dict[str, int]:
        """What came out: subjects and distractors with a sample at least, samples, rejected draws, shortfall."""
        return {
            "subjects": self._subjects,
            "distractors": self._distractors,
            "samples": self.samples,
            "rejected": self.rejected,
            "shortfall": len(self.missing),
            "bytes": self.bytes,
        }

    def content(self, summary: dict[str, Any]) -> Content:
        """The digests of the content, with what the summary says beside the samples; to be called once, at the end."""
        return self._content.finish(summary)

    def digests(self) -> dict[str, str]:
        """SHA-256 over the lines `id digest` of all samples in order, of pixels and of files."""
        return {"pixels": self._pixels.hexdigest(), "files": self._files.hexdigest()}


def summarize(
    plan: Plan,
    request: dict[str, Any],
    *,
    name: str,
    created_at: str,
    tally: Tally,
    choice: IdentityChoice | None,
    comparisons: dict[str, Any],
    device: str,
    report_digests: list[str],
    contract: dict[str, Any] | None = None,
    products: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Build everything of the manifest but the sample lines.

    `plan` is the one that was carried out: with a target, scaled. `contract` is what its report says of
    it, `products` the SHA-256 (hex) of files beside the samples, by name.
    """
    counts = tally.counts()
    if choice:
        counts["rejected_identities"] = len(choice.rejected)
    summary = {
        "schema_version": SCHEMA_VERSION,
        "dataset": plan.dataset,
        "name": name,
        "created_at": created_at,
        "request": request,
        "model": plan.model.model_dump(),
        "seed": plan.seed,
        "sigma": plan.sigma,
        "contract": contract,
        "counts": counts,
        "asked": {
            "subjects": plan.subjects,
            "samples": plan.samples,
            "distractors": plan.distractors,
        },
        "checks": {
            "face_found": plan.face_found,
            "unique": choice
            and {
                "matcher": choice.matcher,
                "matcher_digest": choice.matcher_digest,
                "threshold": choice.threshold,
                "rejected_identities": [item.model_dump() for item in choice.rejected],
            },
        },
        "shortfall": [item.model_dump() for item in tally.missing],
        "digests": tally.digests(),
        "shard_reports": {
            "count": len(report_digests),
            "sha256": hashlib.sha256("\n".join(report_digests).encode()).hexdigest(),
        },
        "comparisons": comparisons,
        "products": products or {},
        "device": device,
        "synthetic": {
            "digital_source_type": DIGITAL_SOURCE_TYPE,
            "marked": "in every file",
            "c2pa": plan.marking.c2pa,
            "watermark": plan.marking.watermark,
        },
    }
    return {**summary, "content": tally.content(summary).model_dump()}


def manifest_lines(summary: dict[str, Any], rows: Iterable[SampleRow]) -> Iterator[bytes]:
    """Yield the manifest as UTF-8 JSON: the summary's fields, then `samples`, one line each."""
    head = json.dumps(summary, indent=1, ensure_ascii=False)
    yield head[: head.rindex("\n}")].encode() + b",\n" + _SAMPLES + b"\n"
    first = True
    for row in rows:
        line = json.dumps(row.model_dump(mode="json", exclude_none=True), ensure_ascii=False, separators=(", ", ": "))
        yield (b"  " if first else b",\n  ") + line.encode()
        first = False
    yield b"\n ]\n}\n"


def read_manifest(chunks: Iterable[bytes]) -> tuple[dict[str, Any], Iterator[SampleRow]]:
    """Read what `manifest_lines` wrote, in chunks of any size: the summary, and the samples one by one.

    Raises Corrupt, at once or while the samples are read.
    """
    lines = _lines(chunks)
    head = list(itertools.takewhile(lambda line: line != _SAMPLES, lines))
    try:
        summary: dict[str, Any] = json.loads(b"\n".join(head).rstrip().removesuffix(b",") + b"}")
    except ValueError as exc:
        raise Corrupt(f"this is no manifest: {exc}") from exc
    return summary, _rows(lines)


def _rows(lines: Iterator[bytes]) -> Iterator[SampleRow]:
    for line in lines:
        text = line.strip().removesuffix(b",")
        if text == b"]":
            return
        try:
            if text:
                yield SampleRow.model_validate_json(text)
        except ValidationError as exc:
            raise Corrupt(f"a sample's line in the manifest cannot be read: {exc}") from exc
    raise Corrupt("the manifest breaks off")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
