"""Where an evaluation's numbers come from: a dataset's folder, and files of scores or templates in their forms."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import cast

from app.client.manifest import Manifest
from app.client.paths import set_folder
from app.client.released import comparisons_file
from app.dataset.evaluation import EvaluatedSet
from app.errors import Corrupt
from workers.biometrics.errors import ScoresRefused
from workers.biometrics.templates import Metric
from workers.verdict.album import Album, album_of
from workers.verdict.apart import laid_down, read_apart
from workers.verdict.blocks import Block
from workers.verdict.columns import NPZ_MAGIC, PARQUET_MAGIC
from workers.verdict.frames import Kind
from workers.verdict.listed import Listed, read_comparisons
from workers.verdict.reading_child import read_columns
from workers.verdict.score_rows import read_csv
from workers.verdict.template_files import TemplateBlock, compare_templates

CHUNK = 1024 * 1024

SPARE_ROWS = 1_000_000
"""A file may have so many rows beyond twice the comparisons listed before it is not read at all: what it gives twice,
or without being asked, is told more exactly while it is read."""


def read_set(folder: Path, place: Callable[[str, str], str] | None = None) -> tuple[EvaluatedSet, Listed, Album]:
    """A pulled or downloaded dataset: its manifest and its comparisons; no image is needed.

    `place` makes a path or URL of a sample's label and its file below the folder; left out, pictures lie in the folder.

    Raises VerificationFailed for a folder without a manifest, Corrupt where the comparisons are not the manifest's.
    """
    folder = set_folder(folder)
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


def identify(folder: Path, manifest: Manifest) -> EvaluatedSet:
    """Which set a folder holds, by its manifest alone."""
    summary = manifest.summary
    listed = summary.comparisons
    return EvaluatedSet(
        dataset=summary.dataset,
        release=_release_of(folder),
        name=summary.name,
        comparisons=listed.mated + listed.non_mated if listed else 0,
        comparisons_sha256=summary.comparisons_sha256,
    )


def chunks_of(path: Path) -> Iterator[bytes]:
    """A file's bytes."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def read_blocks(
    chunks: Iterable[bytes],
    listed: Listed,
    metric: Metric | None,
    on_bytes: Callable[[int], None] = lambda count: None,
    *,
    stranger: bool = False,
) -> Iterator[Block]:
    """Scores out of a file's bytes: CSV, npz or Parquet, told apart by how they begin.

    With a `metric` the file holds templates, and every comparison listed is made. A `stranger`'s npz or Parquet is
    read in a process of its own, with limits. Raises ScoresRefused.
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
    kind: Kind = "scores" if metric is None else "templates"
    most = 2 * listed.count + SPARE_ROWS
    with laid_down(_joined(first, flow)) as path:
        parts = read_apart(path, kind, most) if stranger else read_columns(path, kind, most)
        if metric is None:
            yield from cast(Iterator[Block], parts)
        else:
            yield from compare_templates(listed, cast(Iterator[TemplateBlock], parts), metric)


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _counted(chunks: Iterable[bytes], on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        on_bytes(seen)
        yield chunk


def _release_of(folder: Path) -> str | None:
    """NAME@VERSION, if the folder is of a release."""
    try:
        record = json.loads((folder / "release.json").read_text(encoding="utf-8"))
        return f"{record['name']}@{record['version']}"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise Corrupt(f"{folder / 'release.json'} cannot be read: {exc}; pull the release anew") from exc
