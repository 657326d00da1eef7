"""Templates with their subjects and roles, out of an .npz or a Parquet file, a block at a time.

Legend: n rows of a block, D dimensions of a template.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.errors import ScoresRefused
from workers.verdict.columns import MOST_ROWS, NPZ_MAGIC, check_names, texts_of, texts_of_column
from workers.verdict.npz import Array, open_npz
from workers.verdict.parquet import NAME, TEMPLATE, batches, open_parquet
from workers.verdict.template_files import ROWS, check_count, check_width, lists_of, stacked

Floats32 = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class NamedBlock:
    """Some rows of a file, one after another."""

    columns: dict[str, list[str]]
    """`ids` [n], and `subjects` [n] and `roles` [n] where the file has them."""
    templates: Floats32
    """[n, D]; [n, 1] of NaN where every extraction so far has failed, and no template told the width."""


def read_named_blocks(path: Path, most: int = MOST_ROWS) -> Iterator[NamedBlock]:
    """Yield what is in a file of at most so many rows; raises ScoresRefused."""
    with path.open("rb") as file:
        npz = file.read(len(NPZ_MAGIC)) == NPZ_MAGIC
        file.seek(0)
        yield from (read_named_npz if npz else read_named_parquet)(file, most)


def read_named_npz(file: BinaryIO, most: int = MOST_ROWS) -> Iterator[NamedBlock]:
    """Arrays `ids` [N], `templates` [N, D], and perhaps `subjects` [N] and `roles` [N]; nothing is unpickled."""
    arrays = open_npz(file)
    if not {"ids", "templates"} <= set(arrays):
        raise ScoresRefused(f"there are {', '.join(arrays)[:200]}; there must be ids and templates")
    count = arrays["ids"].shape[0]
    check_count(count, most)
    found = arrays["templates"]
    if found.dtype.kind not in "fiu" or len(found.shape) != 2 or found.shape[0] != count:
        raise ScoresRefused(f"templates must be numbers [{count}, D], not {list(found.shape)}")
    check_width(found.shape[1])
    if not count:
        return
    names = [name for name in ("ids", "subjects", "roles") if name in arrays]
    for name in names:
        _check_texts(arrays[name], count)
    texts = [arrays[name].pieces(ROWS) for name in names]
    for rows, *columns in zip(found.pieces(ROWS), *texts, strict=True):
        yield NamedBlock(
            columns={name: _texts(column) for name, column in zip(names, columns, strict=True)},
            templates=_narrow(rows),
        )


def read_named_parquet(file: BinaryIO, most: int = MOST_ROWS) -> Iterator[NamedBlock]:
    """Columns `id`, `template`, and perhaps `subject` and `role`."""
    there = open_parquet(file).schema_arrow.names
    if not {"id", "template"} <= set(there):
        raise ScoresRefused(f"there are {', '.join(there)[:200]}; there must be id and template")
    names = [name for name in ("id", "subject", "role") if name in there]
    first, width = 1, 0
    for batch in batches(file, {**dict.fromkeys(names, NAME), "template": TEMPLATE}, rows=ROWS, most=most):
        columns = {f"{name}s": texts_of_column(batch.column(name), name, first) for name in names}
        rows = lists_of(batch.column("template"))
        # A failed extraction may be one NaN, so what comes before the first template does not tell the width.
        width = max(width, max((row.size for row in rows), default=0))
        check_width(width)
        yield NamedBlock(columns=columns, templates=stacked(columns["ids"], rows, width))
        first += len(rows)


def joined(blocks: Iterator[NamedBlock]) -> NamedBlock:
    """A whole file as one block; raises ScoresRefused for templates of two widths, and where there is none."""
    columns: dict[str, list[str]] = {}
    pieces: list[Floats32] = []
    for block in blocks:
        for name, texts in block.columns.items():
            columns.setdefault(name, []).extend(texts)
        pieces.append(block.templates)
    if not pieces:
        raise ScoresRefused("the file holds no template")
    width = max(piece.shape[1] for piece in pieces)
    for number, piece in enumerate(pieces):
        if piece.shape[1] < width:
            if piece.shape[1] > 1 or not np.isnan(piece).all():
                raise ScoresRefused(
                    f"there are templates of {piece.shape[1]} numbers and of {width}; all must be alike"
                )
            pieces[number] = np.broadcast_to(np.float32(np.nan), (len(piece), width))
    return NamedBlock(columns=columns, templates=np.concatenate(pieces))


def _narrow(piece: NDArray[np.generic]) -> Floats32:
    """float32; what does not fit is infinite, and refused with its id."""
    with np.errstate(over="ignore"):
        return piece.astype(np.float32)


def _check_texts(array: Array, count: int) -> None:
    if array.shape != (count,):
        raise ScoresRefused(f"{array.name} must be a list of {count:,}, not {list(array.shape)}")
    if array.dtype.kind not in "iu":
        check_names(array)


def _texts(piece: NDArray[np.generic]) -> list[str]:
    return [str(number) for number in piece.tolist()] if piece.dtype.kind in "iu" else texts_of(piece, 1)
