"""Templates in a table, and how two tables are compared block by block.

Legend: N templates of D dimensions, float32 [N, D]; a row of NaN is a sample from which no template was extracted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.errors import Cancelled
from workers.biometrics.errors import ScoresRefused

Metric = Literal["cosine", "euclidean"]
"""cosine: the cosine of two templates, in [-1, 1]. euclidean: minus their distance, so that higher is more alike."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplateTable:
    """Templates and whose they are."""

    templates: Floats
    """[N, D]"""
    subjects: NDArray[np.int64]
    """[N] codes, shared by all tables that are compared with each other."""

    def __post_init__(self) -> None:
        templates = np.ascontiguousarray(self.templates, np.float32)
        subjects = np.ascontiguousarray(self.subjects, np.int64)
        if templates.ndim != 2 or subjects.shape != templates.shape[:1]:
            raise ScoresRefused(f"templates {templates.shape} want one subject each, not {subjects.shape}")
        if subjects.size and subjects.min() < 0:
            raise ScoresRefused("a subject's code must not be negative")
        missing = np.isnan(templates)
        partly = np.flatnonzero(missing.any(1) & ~missing.all(1)).tolist()
        infinite = np.flatnonzero(np.isinf(templates).any(1)).tolist()
        if partly or infinite:
            raise ScoresRefused(
                f"template {(partly + infinite)[0]} holds NaN or infinity among numbers; a failed extraction is a row "
                "of NaN throughout"
            )
        object.__setattr__(self, "templates", templates)
        object.__setattr__(self, "subjects", subjects)

    def __len__(self) -> int:
        return len(self.templates)

    @cached_property
    def extracted(self) -> NDArray[np.bool_]:
        """[N] whether there is a template."""
        return ~np.isnan(self.templates[:, 0]) if self.templates.shape[1] else np.zeros(len(self), bool)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "TemplateTable":
        """Some rows, in the order given."""
        return TemplateTable(templates=self.templates[rows], subjects=self.subjects[rows])

    def per_subject(self, subjects: int) -> NDArray[np.float64]:
        """Templates [subjects] extracted of each subject."""
        return np.bincount(self.subjects[self.extracted], minlength=subjects).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Comparer:
    """Scores of blocks of two tables; rows of the tables are prepared once."""

    metric: Metric
    left: Floats
    right: Floats
    _left_squares: Floats
    _right_squares: Floats
    _close: float
    """Squared distance below which squares cancel too far."""

    @classmethod
    def of(cls, references: Floats, probes: Floats, metric: Metric) -> "Comparer":
        """Prepare templates without NaN; raises ScoresRefused for one of length 0 under cosine."""
        if references.shape[1] != probes.shape[1]:
            raise ScoresRefused(f"templates of {references.shape[1]} and of {probes.shape[1]} dimensions never match")
        if metric == "cosine":
            left = unit(references)
            right = left if probes is references else unit(probes)
        elif metric == "euclidean":
            # Moved to the middle, which changes no distance, so that less cancels.
            middle = references.mean(0) if len(references) else 0
            left, right = np.asarray(references - middle), np.asarray(probes - middle)
        else:
            raise ValueError(f"metric {metric!r} is not known; take 'cosine' or 'euclidean'")
        squares = _squares(left), _squares(right)
        close = 1e-3 * max(float(square.max(initial=0)) for square in squares)
        return cls(metric, left, right, *squares, close)

    def block(self, rows: slice, columns: slice) -> Floats:
        """Scores [rows, columns], float32, higher is more alike.

        Rounding: about 1e-7 for cosines. For distances about 1e-6 of the templates' spread: squares cancel where
        templates are close, so close pairs are computed again by their difference.
        """
        scores: Floats = self.left[rows] @ self.right[columns].T
        if self.metric == "euclidean":
            scores *= -2
            scores += self._left_squares[rows, None]
            scores += self._right_squares[columns]
            close = np.flatnonzero(scores < self._close)
            np.maximum(scores, 0, out=scores)
            np.sqrt(scores, out=scores)
            np.negative(scores, out=scores)
            for start in range(0, len(close), 65_536):
                some = close[start : start + 65_536]
                left, right = np.divmod(some, scores.shape[1])
                scores.ravel()[some] = self.pairs(left + rows.start, right + columns.start)
        return scores

    def pairs(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
        """Scores [P] of single pairs of rows, float32, computed without cancellation."""
        left, right = self.left[rows], self.right[columns]
        if self.metric == "cosine":
            return np.asarray(np.einsum("pd,pd->p", left, right))
        return np.asarray(-np.sqrt(_squares(left - right)))

    @property
    def lowest(self) -> float:
        """No score is below this."""
        if self.metric == "cosine":
            return -1.0
        squares = [squares.max() for squares in (self._left_squares, self._right_squares) if squares.size]
        return -max(float(sum(np.sqrt(float(square)) for square in squares)), 1e-6)

    @property
    def highest(self) -> float:
        """No score is above this."""
        return 1.0 if self.metric == "cosine" else 0.0


def unit(templates: Floats) -> Floats:
    """Templates scaled to length 1; raises ScoresRefused for one of length 0."""
    length = np.linalg.norm(templates, axis=1, keepdims=True)
    if np.any(length == 0):
        raise ScoresRefused(f"template {int(np.argmin(length))} is all zeros; it has no direction to compare")
    return np.asarray(templates / length, np.float32)


def _squares(templates: Floats) -> Floats:
    return np.asarray(np.einsum("nd,nd->n", templates, templates))


@dataclass(frozen=True, kw_only=True, eq=False)
class Nearest:
    """For every query the table's template that scores highest with it, of another subject where that was asked."""

    scores: Floats
    """[N]; −inf if there was nothing to compare with, NaN for a query that has no template."""
    rows: NDArray[np.int64]
    """[N] row of the table; −1 where there is none."""


def nearest(
    queries: TemplateTable,
    table: TemplateTable,
    *,
    metric: Metric = "cosine",
    other_subjects: bool = True,
    block: int = 2_048,
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Nearest:
    """Search the table for each query; with `other_subjects` a query's own subject is passed over.

    Ties go to the lowest row. Memory: a block of `block` × 4·`block` scores.
    """
    scores = np.full(len(queries), np.nan, np.float32)
    rows = np.full(len(queries), -1, np.int64)
    asked, held = np.flatnonzero(queries.extracted), np.flatnonzero(table.extracted)
    scores[asked] = -np.inf
    comparer = Comparer.of(queries.templates[asked], table.templates[held], metric)
    owners, others = queries.subjects[asked], table.subjects[held]
    for start in range(0, len(asked), block):
        if should_cancel():
            raise Cancelled("the search for nearest templates was called off")
        part = slice(start, start + block)
        best, place = scores[asked[part]], rows[asked[part]]
        for begin in range(0, len(held), 4 * block):
            columns = slice(begin, begin + 4 * block)
            found = comparer.block(part, columns)
            if other_subjects:
                found[owners[part, None] == others[columns]] = -np.inf
            column = found.argmax(1)
            score = found[np.arange(len(found)), column]
            better = score > best
            best[better] = score[better]
            place[better] = held[begin + column[better]]
        scores[asked[part]], rows[asked[part]] = best, place
        on_progress(min(start + block, len(asked)), len(asked))
    return Nearest(scores=scores, rows=rows)
