"""Templates handed in instead of scores: every sample's, compared here in the order of the dataset's list.

An .npz holds either `ids` [N] and `templates` [N, D], or an array an id; a Parquet file holds columns `id` and
`template`. A sample from which no template could be extracted has a row of NaN: its comparisons failed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.errors import ScoresRefused
from workers.biometrics.templates import Comparer, Metric
from workers.verdict.blocks import NOWHERE, Block, Places, name_of
from workers.verdict.columns import MOST_ROWS, check_names, places_of_names, texts_of, texts_of_column
from workers.verdict.listed import ABSENT, Listed
from workers.verdict.npz import Array, open_npz
from workers.verdict.parquet import MOST_DIMENSIONS, NAME, TEMPLATE, batches, open_parquet

Floats = NDArray[np.float32]

ROWS = 1_024
"""Templates of a block."""

SPARSE_ROWS = 16_384
"""Comparisons made at once where few of all pairs are listed."""

DENSE_ROWS = 1_024
"""References compared at once with all probes where most pairs are listed."""

DENSE_COLUMNS = 4_096

NAMED = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplateBlock:
    """Some rows of a file of templates, one after another."""

    places: Places
    """[n]"""
    templates: Floats
    """[n, D]"""


def read_template_npz(file: BinaryIO, most: int = MOST_ROWS) -> Iterator[TemplateBlock]:
    """Ids and templates out of an .npz, a piece at a time; nothing is unpickled."""
    arrays = open_npz(file)
    if not arrays:
        raise ScoresRefused("this .npz is empty; it must hold ids and templates")
    if not {"ids", "templates"} <= set(arrays):
        yield from _one_array_an_id(arrays, most)
        return
    ids, templates = arrays["ids"], arrays["templates"]
    if len(ids.shape) != 1:
        raise ScoresRefused("ids must be a list of text")
    check_names(ids)
    count = ids.shape[0]
    numbers = templates.dtype.kind in "fiu" and len(templates.shape) == 2
    if not numbers or templates.shape[0] != count or not templates.shape[1]:
        raise ScoresRefused(f"templates must be numbers [{count}, D], not {templates.dtype} {list(templates.shape)}")
    check_width(templates.shape[1])
    check_count(count, most)
    first = 1
    for names, rows in zip(ids.pieces(ROWS), templates.pieces(ROWS), strict=True):
        yield _block(texts_of(names, first), rows.astype(np.float32), first)
        first += len(names)


def _one_array_an_id(arrays: dict[str, Array], most: int) -> Iterator[TemplateBlock]:
    check_count(len(arrays), most)
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or len(array.shape) != 1:
            raise _no_list(name)
    width = max(array.shape[0] for array in arrays.values())
    check_width(width)
    names = list(arrays)
    for first in range(0, len(names), ROWS):
        some = names[first : first + ROWS]
        rows = [next(arrays[name].pieces(MOST_DIMENSIONS), np.zeros(0)) for name in some]
        yield _block(some, stacked(some, rows, width), first + 1)


def read_template_parquet(file: BinaryIO, most: int = MOST_ROWS) -> Iterator[TemplateBlock]:
    """Ids and templates out of a Parquet file, a batch at a time."""
    names = open_parquet(file).schema_arrow.names
    if not {"id", "template"} <= set(names):
        raise ScoresRefused(f"there are columns {', '.join(names)[:200]}; there must be id and template")
    first, width = 1, 0
    for batch in batches(file, {"id": NAME, "template": TEMPLATE}, rows=ROWS, most=most):
        ids = texts_of_column(batch.column("id"), "id", first)
        rows = lists_of(batch.column("template"))
        # A failed extraction may be one NaN, so what comes before the first template does not tell the width.
        width = max(width, max((row.size for row in rows), default=0))
        check_width(width)
        yield _block(ids, stacked(ids, rows, width), first)
        first += len(ids)


def lists_of(column: Any) -> list[NDArray[np.generic]]:
    """The numbers of every row; one NaN where there is none."""
    import pyarrow.compute as pc

    flat = column.flatten()
    if flat.null_count:
        raise ScoresRefused("a template has an empty number; give a failed extraction a row of NaN")
    values = flat.to_numpy(zero_copy_only=False)
    rows, at = [], 0
    for length in pc.list_value_length(column).to_pylist():
        rows.append(np.array([np.nan]) if length is None else values[at : at + length])
        at += length or 0
    return rows


def gather(blocks: Iterable[TemplateBlock], needed: Places) -> Floats:
    """Templates [needed, D] of those places, out of a whole file; raises ScoresRefused where one has no row, or two.

    Memory: the templates that are needed, whatever else the file holds.
    """
    found = np.zeros((len(needed), 0), np.float32)
    seen: list[Places] = []
    for block in blocks:
        seen.append(block.places)
        width = block.templates.shape[1]
        if width != found.shape[1]:
            found = _widened(found, width, seen[:-1], needed)
        at = np.searchsorted(needed, block.places)
        at[at == len(needed)] = 0
        here = needed[at] == block.places
        found[at[here]] = block.templates[here]
    places = np.sort(np.concatenate(seen)) if seen else np.zeros(0, np.int64)
    if (twice := np.flatnonzero(np.diff(places) == 0)).size:
        raise ScoresRefused(
            f"sample {name_of(places[twice[0]])} has two templates, and {twice.size:,} rows are too many; "
            "leave one of each"
        )
    missing = needed[~np.isin(needed, places)]
    if missing.size:
        first = ", ".join(name_of(place) for place in missing[:NAMED])
        raise ScoresRefused(
            f"{missing.size:,} samples have no template ({first}{' …' if missing.size > NAMED else ''}); "
            "give one that could not be extracted a row of NaN"
        )
    partly = np.flatnonzero(~np.isfinite(found).all(1) & ~np.isnan(found).all(1))
    if partly.size:
        raise ScoresRefused(
            f"the template of {name_of(needed[partly[0]])} holds NaN or infinity among numbers; a failed extraction is "
            "a row of NaN throughout"
        )
    return found


def _widened(found: Floats, width: int, seen: list[Places], needed: Places) -> Floats:
    """The same templates with another number of dimensions, where all that came before were failures of one NaN."""
    before = np.isin(needed, np.concatenate(seen)) if seen else np.zeros(len(needed), bool)
    if width < found.shape[1] or (found.shape[1] and not np.isnan(found[before]).all()):
        raise ScoresRefused(f"there are templates of {found.shape[1]} numbers and of {width}; all must have one length")
    wider = np.zeros((len(needed), width), np.float32)
    wider[before] = np.nan
    return wider


def compare_templates(listed: Listed, blocks: Iterable[TemplateBlock], metric: Metric) -> Iterator[Block]:
    """Yield the scores of all listed comparisons; raises ScoresRefused where a sample has no row, or two."""
    needed = np.unique(np.concatenate([listed.references, listed.probes]))
    templates = gather(blocks, needed)
    blank = np.isnan(templates[:, 0])
    templates[blank] = 1
    yield from _compared(listed, needed, templates, blank, metric)


def _compared(
    listed: Listed, needed: Places, templates: Floats, blank: NDArray[np.bool_], metric: Metric
) -> Iterator[Block]:
    left, right = (np.searchsorted(needed, places) for places in (listed.references, listed.probes))
    comparer = Comparer.of(templates[left], templates[right], metric)
    row = 1
    for references, probes, scores in _pieces(listed, comparer):
        values = scores.astype(np.float64)
        values[blank[left[references]] | blank[right[probes]]] = np.nan
        yield Block(references=listed.references[references], probes=listed.probes[probes], values=values, first=row)
        row += len(values)


def _pieces(listed: Listed, comparer: Comparer) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]:
    """Numbers of references and of probes, and their scores."""
    width = len(listed.probes)
    if listed.keys is not None:
        for start in range(0, len(listed.keys), SPARSE_ROWS):
            references, probes = np.divmod(listed.keys[start : start + SPARSE_ROWS], width)
            yield references, probes, comparer.pairs(references, probes)
        return
    table = listed.states.reshape(-1, width)
    for top in range(0, len(table), DENSE_ROWS):
        for begin in range(0, width, DENSE_COLUMNS):
            rows, columns = (
                slice(top, min(top + DENSE_ROWS, len(table))),
                slice(begin, min(begin + DENSE_COLUMNS, width)),
            )
            here = np.nonzero(table[rows, columns] != ABSENT)
            if len(here[0]):
                yield here[0] + top, here[1] + begin, comparer.block(rows, columns)[here]


def stacked(ids: list[str], rows: list[NDArray[np.generic]], width: int) -> Floats:
    """Rows [n, D]; a single NaN stands for a whole row of them."""
    for name, row in zip(ids, rows, strict=True):
        if row.size not in (1, width):
            raise ScoresRefused(f"the template of {name[:100]!r} is not a list of {width} numbers")
        if row.size == 1 < width and not np.isnan(float(row[0])):
            raise ScoresRefused(f"the template of {name[:100]!r} has one number and others have {width}")
    return np.stack([np.broadcast_to(row.astype(np.float32), (width,)) for row in rows])


def _block(ids: list[str], templates: Floats, first: int) -> TemplateBlock:
    places = places_of_names(ids)
    if (nowhere := np.flatnonzero(places == NOWHERE)).size:
        row = int(nowhere[0])
        raise ScoresRefused(f"{ids[row][:100]!r} is no sample's name; use the dataset's ids", first + row)
    return TemplateBlock(places=places, templates=templates)


def _no_list(name: str) -> ScoresRefused:
    return ScoresRefused(f"the template of {name[:100]!r} is not a list of numbers")


def check_width(width: int) -> None:
    """Raise ScoresRefused for a number of dimensions that no template has."""
    if not 0 < width <= MOST_DIMENSIONS:
        raise ScoresRefused(f"templates have {width:,} dimensions; between 1 and {MOST_DIMENSIONS:,} are read")


def check_count(count: int, most: int) -> None:
    """Raise ScoresRefused for more templates than are read."""
    if count > most:
        raise ScoresRefused(f"there are {count:,} templates; at most {most:,} are read for this set")
