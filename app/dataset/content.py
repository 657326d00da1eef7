"""The digest of what a set consists of: the same for the same bytes, whoever made them, whenever and under which name.

    sample line   [id, file, role, pixel_sha256, file_sha256, attributes]        in the manifest's order
                  and what the image shows behind them, where the manifest says it
    subject node  SHA-256 over the lines ["facsimile samples 1", subject] and its sample lines
    root          SHA-256 over the lines ["facsimile samples 1"] and [subject, node] for every subject
    digest        SHA-256 over {"content": …, "model": …, "sigma": …, "comparisons": …, "samples": root}

Every line, and what the digest is over, is canonical JSON: keys sorted, no spaces, ASCII; a line ends in "\\n". The
tree over pixels is the same with "facsimile pixels 1" and sample lines [id, pixel_sha256].
A dataset's id, name, time and request are no part of it. Every file carries its dataset's id in its metadata, so two
datasets of one request have equal pixels and different files: their `pixels` are equal, their `digest` is not.

A set is taken in sample by sample: memory does not grow with it, and what differs can be named by subject.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.dataset.shard import SampleRow

SHA256 = "^[0-9a-f]{64}$"
CONTENT = "facsimile content 1"
"""Names this definition; another one would get another number, and old digests would stay what they are."""


class Content(BaseModel):
    """What a set consists of, in three digests (SHA-256, hex)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str = Field(pattern=SHA256)
    """Over everything: files, labels, comparisons, model and σ."""
    samples: str = Field(pattern=SHA256)
    """Root over the samples: their names, files, pixels, roles and attributes."""
    pixels: str = Field(pattern=SHA256)
    """Root over the samples' names and pixels alone."""


class _Tree:
    """Lines by subject → nodes → root; small whatever the number of lines."""

    def __init__(self, heading: str) -> None:
        self._heading = heading
        self._root = hashlib.sha256(_line([heading]))
        self._node = hashlib.sha256()
        self._subject: str | None = None

    def add(self, subject: str, sample: list[Any]) -> None:
        if subject != self._subject:
            self._close()
            self._subject = subject
            self._node = hashlib.sha256(_line([self._heading, subject]))
        self._node.update(_line(sample))

    def root(self) -> str:
        self._close()
        return self._root.hexdigest()

    def _close(self) -> None:
        if self._subject is not None:
            self._root.update(_line([self._subject, self._node.hexdigest()]))
        self._subject = None


class ContentDigest:
    """Takes in samples, subject by subject as a manifest lists them, and gives the digests at the end."""

    def __init__(self) -> None:
        self._samples = _Tree("facsimile samples 1")
        self._pixels = _Tree("facsimile pixels 1")

    def add(self, row: SampleRow) -> None:
        """Take in the next sample."""
        line = [row.id, row.file, row.role, row.pixel_sha256, row.file_sha256, row.attributes]
        if row.shown is not None:
            line.append(row.shown.model_dump(exclude_none=True))
        self._samples.add(row.subject, line)
        self._pixels.add(row.subject, [row.id, row.pixel_sha256])

    def finish(self, *, model: str, sigma: Mapping[str, float], comparisons: str | None) -> Content:
        """The digests, with the model's digest, σ and the SHA-256 of the comparisons; to be called once, at the end."""
        samples = self._samples.root()
        text = canonical(
            {"content": CONTENT, "model": model, "sigma": dict(sigma), "comparisons": comparisons, "samples": samples}
        )
        return Content(digest=hashlib.sha256(text.encode()).hexdigest(), samples=samples, pixels=self._pixels.root())


def canonical(value: Any) -> str:
    """JSON that is the same for the same value: keys sorted, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _line(value: list[Any]) -> bytes:
    return canonical(value).encode() + b"\n"
