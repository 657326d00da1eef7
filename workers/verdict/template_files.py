"""Templates handed in instead of scores: every sample's, compared here in the order of the dataset's list.

An .npz holds either `ids` [N] and `templates` [N, D], or an array an id; a Parquet file holds columns `id` and
`template`. A sample from which no template could be extracted has a row of NaN: its comparisons failed.
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.errors import ScoresRefused
from workers.biometrics.templates import Comparer, Metric, TemplateTable
from workers.verdict.blocks import NOWHERE, SAMPLES, Block, Places, name_of
from workers.verdict.columns import npz_arrays, open_parquet, places_of_names, texts_of, texts_of_column
from workers.verdict.listed import ABSENT, Listed

Floats = NDArray[np.float32]

SPARSE_ROWS = 16_384
"""Comparisons made at once where few of all pairs are listed."""

DENSE_ROWS = 1_024
"""References compared at once with all probes where most pairs are listed."""

DENSE_COLUMNS = 4_096

NAMED = 10


def read_template_npz(file: BinaryIO) -> tuple[list[str], Floats]:
    """Ids and templates [N, D] out of an .npz; nothing is unpickled."""
    arrays = npz_arrays(file)
    if {"ids", "templates"} <= set(arrays):
        ids, templates = arrays["ids"], arrays["templates"]
        if ids.ndim != 1:
            raise ScoresRefused("ids must be a list of text")
        return texts_of(ids, 1), _numbers(templates, len(ids))
    if not arrays:
        raise ScoresRefused("this .npz is empty; it must hold ids and templates")
    return list(arrays), _stacked(list(arrays), list(arrays.values()))


def read_template_parquet(file: BinaryIO) -> tuple[list[str], Floats]:
    """Ids and templates [N, D] out of a Parquet file."""
    table = open_parquet(file)
    if not {"id", "template"} <= set(table.schema_arrow.names):
        raise ScoresRefused(
            f"there are columns {', '.join(table.schema_arrow.names)[:200]}; there must be id and template"
        )
    read = table.read(["id", "template"])
    ids = texts_of_column(read.column("id"), "id", 1)
    rows = [np.asarray(row if row is not None else [np.nan]) for row in read.column("template").to_pylist()]
    return ids, _stacked(ids, rows)


def compare_templates(listed: Listed, ids: list[str], templates: Floats, metric: Metric) -> Iterator[Block]:
    """Yield the scores of all listed comparisons; raises ScoresRefused where a sample has no row, or two."""
    places = places_of_names(ids)
    if (nowhere := np.flatnonzero(places == NOWHERE)).size:
        raise ScoresRefused(
            f"{ids[nowhere[0]][:100]!r} is no sample's name; use the dataset's ids", int(nowhere[0]) + 1
        )
    order = np.argsort(places, kind="stable")
    if (twice := np.flatnonzero(np.diff(places[order]) == 0)).size:
        raise ScoresRefused(
            f"sample {ids[order[twice[0]]]} has {twice.size + 1:,} templates or more; leave one of each"
        )
    needed = np.unique(np.concatenate([listed.references, listed.probes]))
    missing = needed[~np.isin(needed, places)]
    if missing.size:
        first = ", ".join(name_of(place) for place in missing[:NAMED])
        raise ScoresRefused(
            f"{missing.size:,} samples have no template ({first}{' …' if missing.size > NAMED else ''}); "
            "give one that could not be extracted a row of NaN"
        )
    table = TemplateTable(templates=templates, subjects=places // SAMPLES)  # refuses what is half NaN
    rows = order[np.searchsorted(places[order], needed)]
    blank = ~table.extracted[rows]
    filled = np.where(blank[:, None], np.float32(1), table.templates[rows])
    yield from _compared(listed, needed, filled, blank, metric)


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


def _stacked(ids: list[str], rows: list[NDArray[np.generic]]) -> Floats:
    width = max((row.size for row in rows), default=0)
    for name, row in zip(ids, rows, strict=True):
        if row.dtype.kind not in "fiu" or row.ndim != 1 or row.size not in (1, width):
            raise ScoresRefused(f"the template of {name[:100]!r} is not a list of {width} numbers")
        if row.size == 1 < width and not np.isnan(float(row[0])):
            raise ScoresRefused(f"the template of {name[:100]!r} has one number and others have {width}")
    return np.stack([np.broadcast_to(row.astype(np.float32), (width,)) for row in rows])


def _numbers(templates: NDArray[np.generic], count: int) -> Floats:
    if templates.ndim != 2 or len(templates) != count or templates.dtype.kind not in "fiu" or not templates.shape[1]:
        raise ScoresRefused(f"templates must be numbers [{count}, D], not {templates.dtype} {list(templates.shape)}")
    return templates.astype(np.float32)
