"""1:N search in galleries drawn from a pool of references: every probe, every size, several draws.

A gallery of N holds N − 1 references of others and the probe's mate (a mated search), or N of others (a non-mated
one). Others come from a *pool*: real people's references, distractors, or both; what a curve shows is what the pool
does to the same probes. A draw orders the pool; its first N others are the gallery, so galleries are nested.
Only the DEPTH best of the whole pool are looked at; where none of them is in a small gallery, it is searched itself,
and where the mate stands behind all of them, whoever stands before it is counted.
Legend: P probes, N the pool's references, G sizes, R draws, K = DEPTH candidates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.identification import Searches
from workers.biometrics.nearest_k import COLUMNS, nearest_k
from workers.biometrics.templates import Comparer, Metric, TemplateTable

DEPTH = 128
"""Candidates of each search of the whole pool that are looked at."""

Floats32 = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """Others that galleries are drawn from; one template a subject."""

    table: TemplateTable
    synthetic: NDArray[np.bool_]
    """[N] whether a reference is of nobody."""

    def __post_init__(self) -> None:
        if len(np.unique(self.table.subjects)) != len(self.table):
            raise ScoresRefused("a gallery has several templates of a subject; keep one of each")
        if not self.table.extracted.all():
            raise ScoresRefused("a gallery has references without a template; leave them out and count them")

    def __len__(self) -> int:
        return len(self.table)

    def take(self, rows: Rows | NDArray[np.bool_]) -> "Pool":
        """Some of it."""
        return Pool(table=self.table.take(rows), synthetic=self.synthetic[rows])

    def order(self, seed: int, draw: int) -> Rows:
        """A draw's order [N]: random; where there are real and synthetic ones by turns, as long as both last."""
        shuffled = np.random.Generator(np.random.Philox(key=[seed, draw])).permutation(len(self))
        sides = [shuffled[~self.synthetic[shuffled]], shuffled[self.synthetic[shuffled]]]
        turns = np.concatenate([np.arange(len(side)) for side in sides])
        return np.concatenate(sides)[np.argsort(turns, kind="stable")]


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What searching a pool gave."""

    searches: Searches
    ranks: NDArray[np.int32]
    """[R, G, P] rank of the mate in a mated search, a tie with another against it; 0: no mate."""
    best: Floats32
    """[P, K] the best others of the whole pool, descending: the tail of each probe's non-mated scores."""
    best_rows: Rows
    """[P, K] which of the pool."""
    largest: int
    """Others that every probe has in the whole pool."""


def largest_gallery(pool: Pool, probes: TemplateTable) -> int:
    """Others that are there for every probe."""
    return len(pool) - int(np.isin(probes.subjects, pool.table.subjects).any())


def search_pool(
    references: TemplateTable,
    probes: TemplateTable,
    pool: Pool,
    sizes: Sequence[int],
    *,
    strangers: NDArray[np.bool_] | None = None,
    metric: Metric = "cosine",
    draws: int = 8,
    seed: int = 0,
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Found:
    """Search probes, each in galleries of every size.

    `references` hold the mates, one template a subject; a probe whose subject has none makes non-mated searches only.
    `strangers` [P] are the probes whose non-mated searches count; None: all. No probe may lack a template.
    Raises ScoresRefused for two references of a subject, Unresolvable for a size that the pool does not allow.
    """
    largest = largest_gallery(pool, probes)
    wanted = tuple(sorted(set(sizes)))
    if not wanted or wanted[0] < 2 or wanted[-1] > largest or not len(probes):
        raise Unresolvable(
            f"gallery sizes must lie between 2 and {largest:,}, the references of others that there are for every "
            f"probe; there are {len(probes):,} probes"
        )
    depth = min(DEPTH, largest)
    found = nearest_k(
        probes,
        pool.table,
        min(depth + 1, len(pool)),
        metric=metric,
        should_cancel=should_cancel,
        on_progress=on_progress,
    )
    own = pool.table.subjects[found.rows] == probes.subjects[:, None]
    # A stable sort by "is the probe's own" leaves the others in order and the own one last, to be cut off.
    kept = np.argsort(own, axis=1, kind="stable")[:, :depth]
    best, rows = np.take_along_axis(found.scores, kept, 1), np.take_along_axis(found.rows, kept, 1)
    mates = _mates(references, probes, metric)
    own_row = _row_of(pool.table.subjects, probes.subjects)
    shape = (draws, len(wanted), len(probes))
    best_mated, best_non_mated = np.empty(shape, np.float32), np.empty(shape, np.float32)
    ranks = np.zeros(shape, np.int32)
    places = np.empty((draws, len(pool)), np.int64)
    for draw in range(draws):
        order, place = pool.order(seed, draw), places[draw]
        place[order] = np.arange(len(pool))
        own_place = np.where(own_row >= 0, place[own_row], len(pool))
        # Where the others stand once the probe's own subject is taken out.
        at = place[rows] - (place[rows] > own_place[:, None])
        for number, size in enumerate(wanted):
            for others, target in ((size - 1, best_mated), (size, best_non_mated)):
                target[draw, number] = _best_among(probes, pool, order, own_place, at < others, best, others, metric)
            ahead = ((at < size - 1) & (best >= mates[:, None])).sum(1)
            ranks[draw, number] = np.where(np.isnan(mates), 0, ahead + 1)
    if far := np.flatnonzero(best[:, -1] >= mates).tolist() if depth < largest else []:
        ranks[:, :, far] = 1 + _ahead(probes, pool, mates, np.array(far), places, own_row, wanted, metric)
    return Found(
        searches=Searches(
            sizes=wanted,
            mates=mates,
            best_mated=best_mated,
            best_non_mated=best_non_mated,
            subjects=np.unique(probes.subjects, return_inverse=True)[1].astype(np.int64),
            probes_failed=0,
            references_failed=0,
            strangers=strangers,
        ),
        ranks=ranks,
        best=best,
        best_rows=rows,
        largest=largest,
    )


def _best_among(
    probes: TemplateTable,
    pool: Pool,
    order: Rows,
    own_place: Rows,
    inside: NDArray[np.bool_],
    best: Floats32,
    others: int,
    metric: Metric,
) -> Floats32:
    """[P] highest score of the first so many others of an order; `inside` [P, K] says which candidates are of them."""
    found = np.where(inside.any(1), best[np.arange(len(best)), inside.argmax(1)], -np.inf).astype(np.float32)
    left = np.flatnonzero(~inside.any(1))
    if left.size and others:
        columns = order[: min(others + 1, len(order))]
        comparer = Comparer.of(probes.templates[left], pool.table.templates[columns], metric)
        for start in range(0, len(left), 512):
            part = slice(start, min(start + 512, len(left)))
            scores = comparer.block(part, slice(0, len(columns)))
            if len(columns) > others:
                # One more than needed was compared: the probe's own, or else the last.
                scores[np.arange(len(scores)), np.minimum(own_place[left[part]], others)] = -np.inf
            found[left[part]] = scores.max(1)
    return found


def _ahead(
    probes: TemplateTable,
    pool: Pool,
    mates: Floats32,
    far: Rows,
    places: Rows,
    own_row: Rows,
    sizes: Sequence[int],
    metric: Metric,
) -> Rows:
    """[R, G, F] others at least as high as the mate in the galleries of some probes' mated searches.

    `far` [F] are the probes, `places` [R, N] where each of the pool stands in a draw, `own_row` [P] the probe's own.
    """
    found = np.zeros((len(places), len(sizes) + 1, len(far)), np.int64)
    ends = np.array(sizes) - 1
    comparer = Comparer.of(probes.templates[far], pool.table.templates, metric)
    for start in range(0, len(far), 256):
        part = slice(start, min(start + 256, len(far)))
        for begin in range(0, len(pool), COLUMNS):
            columns = slice(begin, min(begin + COLUMNS, len(pool)))
            scores, asked = comparer.block(part, columns), mates[far[part], None]
            close = np.nonzero(np.abs(scores - asked) < 1e-5)  # a tie must be one: by the pair, as the mate's is
            scores[close] = comparer.pairs(close[0] + start, close[1] + begin)
            lines, rows = np.nonzero(scores >= asked)
            others = own_row[far[lines + start]] != rows + begin
            lines, rows = lines[others] + start, rows[others] + begin
            own = own_row[far[lines]]
            for draw, place in enumerate(places):
                at = place[rows] - ((own >= 0) & (place[rows] > place[own]))
                first = np.searchsorted(ends, at, "right")  # the first size whose mated search has it
                np.add.at(found[draw], (first, lines), 1)
    return np.cumsum(found, axis=1)[:, :-1]


def _row_of(table: Rows, wanted: Rows) -> Rows:
    """Row of each subject in a table of one row a subject; −1 where it has none."""
    order = np.argsort(table)
    at = np.minimum(np.searchsorted(table[order], wanted), max(len(table) - 1, 0))
    rows = order[at] if len(table) else np.zeros(len(wanted), np.int64)
    return np.where(table[rows] == wanted, rows, -1) if len(table) else np.full(len(wanted), -1)


def _mates(references: TemplateTable, probes: TemplateTable, metric: Metric) -> Floats32:
    """[P] scores of probes with their mates; NaN where there is none."""
    held = references.take(references.extracted)
    if len(np.unique(held.subjects)) != len(held):
        raise ScoresRefused("the references have several templates of a subject; keep one of each")
    rows = _row_of(held.subjects, probes.subjects)
    mated = np.flatnonzero(rows >= 0)
    scores = np.full(len(probes), np.nan, np.float32)
    if mated.size:
        comparer = Comparer.of(probes.templates, held.templates, metric)
        scores[mated] = comparer.pairs(mated, rows[mated])
    return scores
