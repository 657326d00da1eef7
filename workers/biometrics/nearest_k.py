"""The K templates of a table that score highest with each query: exactly, by faiss where it is installed.

Legend: P queries, N templates of the table, K candidates; ties go to the lower row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from app.errors import Cancelled
from workers.biometrics.templates import Comparer, Metric, TemplateTable, unit

AT_ONCE = 256
"""Queries searched between two looks at whether to stop."""

COLUMNS = 16_384
"""Templates compared at once without faiss."""

Floats32 = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """What was found."""

    scores: Floats32
    """[P, K] descending."""
    rows: Rows
    """[P, K] of the table."""


def nearest_k(
    queries: TemplateTable,
    table: TemplateTable,
    count: int,
    *,
    metric: Metric = "cosine",
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Candidates:
    """Search a table for each query. No row may lack a template; `count` must be at most N.

    With faiss: its flat index, exact, float32; without, blocks of products, as exact. Scores are then computed from
    the pairs, so that both give the same. Raises Cancelled.
    """
    if not 1 <= count <= len(table):
        raise ValueError(f"{count} candidates of {len(table)} templates make no sense")
    search = _by_faiss(table, metric) if find_spec("faiss") else _by_blocks(queries, table, metric)
    comparer = Comparer.of(queries.templates, table.templates, metric)
    rows = np.empty((len(queries), count), np.int64)
    scores = np.empty((len(queries), count), np.float32)
    for start in range(0, len(queries), AT_ONCE):
        if should_cancel():
            raise Cancelled("the search was called off")
        part = slice(start, min(start + AT_ONCE, len(queries)))
        found = search(queries.templates[part], part, count)
        lines = np.repeat(np.arange(part.start, part.stop), count)
        exact = comparer.pairs(lines, found.ravel()).reshape(found.shape)
        order = np.lexsort((found, -exact), axis=1)
        rows[part] = np.take_along_axis(found, order, 1)
        scores[part] = np.take_along_axis(exact, order, 1)
        on_progress(part.stop, len(queries))
    return Candidates(scores=scores, rows=rows)


Search = Callable[[Floats32, slice, int], Rows]


def _by_faiss(table: TemplateTable, metric: Metric) -> Search:
    import faiss

    kind = faiss.IndexFlatIP if metric == "cosine" else faiss.IndexFlatL2
    index = kind(table.templates.shape[1])
    index.add(unit(table.templates) if metric == "cosine" else table.templates)

    def search(asked: Floats32, part: slice, count: int) -> Rows:
        return np.asarray(index.search(unit(asked) if metric == "cosine" else asked, count)[1], np.int64)

    return search


def _by_blocks(queries: TemplateTable, table: TemplateTable, metric: Metric) -> Search:
    comparer = Comparer.of(queries.templates, table.templates, metric)

    def search(asked: Floats32, part: slice, count: int) -> Rows:
        kept_scores = np.zeros((len(asked), 0), np.float32)
        kept_rows = np.zeros((len(asked), 0), np.int64)
        for begin in range(0, len(table), COLUMNS):
            columns = slice(begin, min(begin + COLUMNS, len(table)))
            scores = np.hstack([kept_scores, comparer.block(part, columns)])
            here = np.broadcast_to(np.arange(begin, columns.stop), (len(asked), columns.stop - begin))
            rows = np.hstack([kept_rows, here])
            if scores.shape[1] > count:
                best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
                scores, rows = np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
            kept_scores, kept_rows = scores, rows
        return kept_rows

    return search
