"""The manifest: what a finished dataset is. Written as a stream, a line a sample, so that its size is no matter."""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from app.dataset.comparisons import Groups
from app.dataset.content import Content, ContentDigest
from app.dataset.naming import Naming
from app.dataset.plan import FinalPlan, PlannedModel
from app.dataset.products import Kind
from app.dataset.report import Listed
from app.dataset.shard import IdentityChoice, Missing, Rejection, SampleRow, ShardReport
from app.dataset.source_type import source_type_uri
from app.errors import Corrupt

_SAMPLES = b' "samples": ['
"""The line after which samples come, one a line."""

_END = b"\n ]\n}\n"

_LATE = ("truncation", "content", "licence", "provenance", "templates", "naming")
"""Fields of a summary that are not written where there is nothing to say."""


class _Part(BaseModel):
    # What a later version adds is left out by this one.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Counts(_Part):
    """What came out."""

    subjects: int
    """With a sample at least."""
    distractors: int
    """The same."""
    samples: int
    rejected: int
    """Draws of samples."""
    shortfall: int
    bytes: int
    rejected_identities: int | None = None
    """None without the uniqueness check."""

    def as_dict(self) -> dict[str, int]:
        """By name; what was not counted is left out."""
        return {name: value for name, value in self if value is not None}


class Asked(_Part):
    """What was asked for."""

    subjects: int
    samples: int
    distractors: int
    sample_counts: Groups = ()
    """Where subjects have different numbers of samples: the first so many subjects have so many each, and so on."""

    @property
    def samples_per_subject(self) -> int:
        """Of every subject, or of the one that has most."""
        if self.sample_counts:
            return max(samples for samples, _ in self.sample_counts)
        return (self.samples - self.distractors) // self.subjects


class UniqueCheck(_Part):
    """How the uniqueness check was made, and whom it rejected."""

    matcher: str
    matcher_digest: str
    threshold: float
    rejected_identities: tuple[Rejection, ...]


class ChecksMade(_Part):
    """What samples and identities had to pass."""

    face_found: bool
    unique: UniqueCheck | None


class Digests(_Part):
    """SHA-256 over the lines `id digest` of all samples in order."""

    pixels: str
    files: str


class ShardReports(_Part):
    """What pins the shards' reports."""

    count: int
    sha256: str
    """Over their digests, a line each."""


class Synthetic(_Part):
    """How the samples say that they are synthetic."""

    digital_source_type: str
    marked: str
    c2pa: Literal["embedded", "detached"] | None = None
    watermark: str | None = None
    """Id of its key."""


class Templates(_Part):
    """What templates.npz holds, of a set of which no image is kept: then a row's `file` is that file, and its `bytes`
    and `file_sha256` are those of the sample's template there (little-endian float32)."""

    matcher: str
    matcher_digest: str
    dimensions: int
    failed: int
    """Samples without a template, whose row is NaN."""


class Origin(_Part):
    """Digests of what the set was made from."""

    plan_sha256: str
    model_sha256: str
    weights_sha256: str | None
    corpus_sha256: str | None
    software: str


class Summary(_Part):
    """Everything of a manifest but the sample lines. Not every version has the fields with a default."""

    schema_version: Literal[1] = 1
    dataset: str
    name: str
    created_at: str
    """ISO 8601, UTC."""
    request: dict[str, Any]
    """As the user wrote it."""
    model: PlannedModel
    seed: int
    sigma: dict[str, float]
    """With which samples were drawn."""
    truncation: float | None = None
    """ψ that identities were truncated by; left out where the model does not truncate."""
    contract: dict[str, Any] | None = None
    """What the report says of a target."""
    counts: Counts
    asked: Asked
    checks: ChecksMade
    shortfall: tuple[Missing, ...]
    digests: Digests
    shard_reports: ShardReports
    comparisons: Listed | None = None
    products: dict[str, str | None] = {}
    """SHA-256 of the files beside the samples, by name; null for what itself pins the manifest."""
    device: str
    synthetic: Synthetic
    content: Content | None = None
    licence: str | None = None
    provenance: Origin | None = None
    templates: Templates | None = None
    """None where images are kept, and not written then."""
    naming: Naming | None = None
    """How the gallery of the request's profile calls folders and files; not written where it is not known."""

    @property
    def kind(self) -> Kind:
        """What it is delivered as."""
        return "images" if self.templates is None else "templates"

    @property
    def comparisons_sha256(self) -> str | None:
        """Of comparisons.csv, where the manifest says it."""
        return self.comparisons.sha256 if self.comparisons else None

    def content_by(self, digest: ContentDigest) -> Content:
        """The digests of the content, once all samples were taken in; to be called once for each `digest`."""
        return digest.finish(model=self.model.digest, sigma=self.sigma, comparisons=self.comparisons_sha256)

    def as_json(self) -> dict[str, Any]:
        """As manifests and summary.json have it."""
        counts: dict[str, Any] = {"counts": self.counts.as_dict()}
        if not self.asked.sample_counts:
            counts["asked"] = self.asked.model_dump(mode="json", exclude={"sample_counts"})
        late = {name for name in _LATE if getattr(self, name) is None}
        return {**self.model_dump(mode="json", exclude=late), **counts}


def content_of(summary: Summary, rows: Iterable[SampleRow]) -> Content:
    """The digests of a whole manifest: its summary and its samples in order."""
    digest = ContentDigest()
    for row in rows:
        digest.add(row)
    return summary.content_by(digest)


class Tally:
    """Counts and digests over the shards' reports, taken up one by one; small whatever the set's size."""

    def __init__(self) -> None:
        self.samples = 0
        self.bytes = 0
        self.rejected = 0
        self.missing: list[Missing] = []
        self.content = ContentDigest()
        self._subjects = 0
        self._distractors = 0
        self._last_subject = ""
        self._pixels = hashlib.sha256()
        self._files = hashlib.sha256()
        self._reports: list[str] = []
        self._devices: set[str] = set()

    def add(self, report: ShardReport, sha256: str) -> None:
        """Take up the next shard's report, and its digest; shards must come in order."""
        for stored in report.samples:
            row = stored.row
            self.content.add(row)
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
        self._reports.append(sha256)
        self._devices.add(report.device)

    def counts(self, choice: IdentityChoice | None = None) -> Counts:
        """What came out."""
        return Counts(
            subjects=self._subjects,
            distractors=self._distractors,
            samples=self.samples,
            rejected=self.rejected,
            shortfall=len(self.missing),
            bytes=self.bytes,
            rejected_identities=len(choice.rejected) if choice else None,
        )

    def digests(self) -> Digests:
        """Over pixels and files."""
        return Digests(pixels=self._pixels.hexdigest(), files=self._files.hexdigest())

    def shard_reports(self) -> ShardReports:
        """What pins the reports."""
        joined = "\n".join(self._reports)
        return ShardReports(count=len(self._reports), sha256=hashlib.sha256(joined.encode()).hexdigest())

    @property
    def device(self) -> str:
        """Where samples were made."""
        return ", ".join(sorted(self._devices))


def summarize(
    plan: FinalPlan,
    request: dict[str, Any],
    *,
    name: str,
    created_at: str,
    tally: Tally,
    choice: IdentityChoice | None,
    comparisons: Listed,
    contract: dict[str, Any] | None = None,
    products: Mapping[str, str | None] | None = None,
    licence: str | None = None,
    provenance: Origin | None = None,
    templates: Templates | None = None,
) -> Summary:
    """Build everything of the manifest but the sample lines; to be called once for each `tally`.

    `contract` is what the report says of a target, `products` the SHA-256 (hex) of files beside the samples, by name.
    """
    checked = choice and UniqueCheck(
        matcher=choice.matcher,
        matcher_digest=choice.matcher_digest,
        threshold=choice.threshold,
        rejected_identities=choice.rejected,
    )
    summary = Summary(
        dataset=plan.dataset,
        name=name,
        created_at=created_at,
        request=request,
        model=plan.model,
        seed=plan.seed,
        sigma=plan.sigma,
        truncation=plan.truncation,
        contract=contract,
        counts=tally.counts(choice),
        asked=Asked(
            subjects=plan.subjects,
            samples=plan.samples,
            distractors=plan.distractors,
            sample_counts=plan.sample_counts,
        ),
        checks=ChecksMade(face_found=plan.face_found, unique=checked),
        shortfall=tuple(tally.missing),
        digests=tally.digests(),
        shard_reports=tally.shard_reports(),
        comparisons=comparisons,
        products=dict(products or {}),
        device=tally.device,
        synthetic=Synthetic(
            digital_source_type=source_type_uri(plan.model.source_type),
            marked="in every file" if templates is None else "in templates.npz",
            c2pa=plan.marking.c2pa,
            watermark=plan.marking.watermark,
        ),
        licence=licence,
        provenance=provenance,
        templates=templates,
        naming=plan.naming,
    )
    return summary.model_copy(update={"content": summary.content_by(tally.content)})


def manifest_lines(summary: Summary, rows: Iterable[SampleRow]) -> Iterator[bytes]:
    """Yield the manifest as UTF-8 JSON: the summary's fields, then `samples`, one line each."""
    return whole_manifest(summary, sample_lines(rows))


def sample_lines(rows: Iterable[SampleRow]) -> Iterator[bytes]:
    """Yield the manifest's lines about samples, in chunks."""
    between = b"  "
    for row in rows:
        line = json.dumps(row.model_dump(mode="json", exclude_none=True), ensure_ascii=False, separators=(", ", ": "))
        yield between + line.encode()
        between = b",\n  "


def whole_manifest(summary: Summary, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the manifest out of its summary and what `sample_lines` made."""
    head = json.dumps(summary.as_json(), indent=1, ensure_ascii=False)
    yield head[: head.rindex("\n}")].encode() + b",\n" + _SAMPLES + b"\n"
    yield from lines
    yield _END


LONGEST_LINE = 1024 * 1024
"""Bytes; whoever reads a manifest holds one line, and a stranger's must not fill the memory."""

LONGEST_HEAD = 64 * 1024 * 1024
"""Bytes of all lines before the samples. Most of them are those that name what is missing."""


def read_manifest(chunks: Iterable[bytes]) -> tuple[Summary, Iterator[SampleRow]]:
    """Read what `manifest_lines` wrote, in chunks of any size: the summary, and the samples one by one.

    Raises Corrupt, at once or while the samples are read.
    """
    lines = _lines(chunks)
    head, size = [], 0
    for line in itertools.takewhile(lambda line: line != _SAMPLES, lines):
        head.append(line)
        size += len(line) + 64  # what a line costs beside its bytes
        if size > LONGEST_HEAD:
            raise Corrupt(f"this is no manifest: what stands before its samples is longer than {LONGEST_HEAD:,} bytes")
    return read_summary(b"\n".join(head).rstrip().removesuffix(b",") + b"}"), _rows(lines)


def read_summary(data: bytes) -> Summary:
    """Read a summary by itself, as summary.json has it; raises Corrupt."""
    try:
        return Summary.model_validate_json(data)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Corrupt(f"this is no manifest: {where and where + ': '}{first['msg']}") from exc


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
        if len(rest) > LONGEST_LINE:
            raise Corrupt(f"this is no manifest: it has a line of more than {LONGEST_LINE:,} bytes")
    if rest:
        yield rest
