"""Where an evaluation's numbers come from: a dataset's folder, and files of scores or templates in their forms."""

import io
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from app.client.manifest import Manifest
from app.client.released import comparisons_file
from app.dataset.evaluation import EvaluatedSet
from app.errors import Corrupt
from workers.biometrics.errors import ScoresRefused
from workers.biometrics.templates import Metric
from workers.verdict.album import Album, album_of
from workers.verdict.blocks import Block
from workers.verdict.columns import NPZ_MAGIC, PARQUET_MAGIC, read_npz, read_parquet
from workers.verdict.listed import Listed, read_comparisons
from workers.verdict.score_rows import read_csv
from workers.verdict.template_files import compare_templates, read_template_npz, read_template_parquet

CHUNK = 1024 * 1024

ON_DISK_BYTES = 64 * 1024 * 1024
"""A file that cannot be sought and is longer than this is laid down on disk where its form needs seeking."""


def read_set(folder: Path, place: Callable[[str, str], str] | None = None) -> tuple[EvaluatedSet, Listed, Album]:
    """A pulled or downloaded dataset: its manifest and its comparisons; no image is needed.

    `place` makes a path or URL of a sample's label and its file below the folder; left out, pictures lie in the folder.

    Raises VerificationFailed for a folder without a manifest, Corrupt where the comparisons are not the manifest's.
    """
    manifest = Manifest(folder / "manifest.json")
    summary = manifest.summary
    file = comparisons_file(folder, summary)
    digest = file.check()
    listed = read_comparisons(file)
    found = EvaluatedSet(
        dataset=summary.dataset,
        release=_release_of(folder),
        name=summary.name,
        comparisons=listed.count,
        comparisons_sha256=digest,
    )
    album = album_of(manifest.samples(), place or (lambda sample, file: (folder / file).as_posix()))
    return found, listed, album


def chunks_of(path: Path) -> Iterator[bytes]:
    """A file's bytes."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def read_blocks(
    chunks: Iterable[bytes], listed: Listed, metric: Metric | None, on_bytes: Callable[[int], None] = lambda count: None
) -> Iterator[Block]:
    """Scores out of a file's bytes: CSV, npz or Parquet, told apart by how they begin.

    With a `metric` the file holds templates, and every comparison listed is made. Raises ScoresRefused.
    """
    flow = _counted(chunks, on_bytes)
    first = b""
    for chunk in flow:
        first += chunk
        if len(first) >= len(NPZ_MAGIC):
            break
    if first.startswith(b"\x1f\x8b"):
        raise ScoresRefused("this file is compressed with gzip; unpack it first")
    columnar = first.startswith((NPZ_MAGIC, PARQUET_MAGIC))
    if metric is None and not columnar:
        yield from read_csv(_joined(first, flow))
        return
    if not columnar:
        raise ScoresRefused("templates come as .npz or Parquet; this file is neither")
    npz = first.startswith(NPZ_MAGIC)
    with tempfile.SpooledTemporaryFile(ON_DISK_BYTES) as spooled:
        for chunk in _joined(first, flow):
            spooled.write(chunk)
        spooled.seek(0)
        file = cast(BinaryIO, _seekable(spooled))
        if metric is None:
            yield from (read_npz if npz else read_parquet)(file)
            return
        ids, templates = (read_template_npz if npz else read_template_parquet)(file)
    yield from compare_templates(listed, ids, templates, metric)


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _counted(chunks: Iterable[bytes], on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        on_bytes(seen)
        yield chunk


def _seekable(spooled: "tempfile.SpooledTemporaryFile[bytes]") -> IO[bytes]:
    """The file itself, for readers that ask for more of it than a spooled file has."""
    inner = cast("IO[bytes] | None", getattr(spooled, "_file", None))
    return inner if isinstance(inner, io.IOBase) else spooled


def _release_of(folder: Path) -> str | None:
    """NAME@VERSION, if the folder is of a release."""
    try:
        record = json.loads((folder / "release.json").read_text(encoding="utf-8"))
        return f"{record['name']}@{record['version']}"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise Corrupt(f"{folder / 'release.json'} cannot be read: {exc}; pull the release anew") from exc
