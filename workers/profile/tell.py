"""Telling weights without telling on anyone: merging, rounding, and noise where a budget is given.

Legend: weights are float64 over the cells of a grid, in subjects; one subject moves all of them together by its
`sensitivity` at the most.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.dataset.profile import LEAST_CELL, ROUNDED_TO, Categories, Histogram, Quantity, grid

Floats = NDArray[np.float64]

HIDDEN = 36.0
"""Variance of a count, in subjects squared, for every statistic that is told."""

MOST_CELLS = 8
"""Of a statistic."""

NOISY_CELLS = 16
"""Of a grid, under differential privacy: noise of more cells adds up to more."""


class Noise(Protocol):
    """What is added to weights before anything else is done with them."""

    def add(self, name: str, weights: Floats, sensitivity: float) -> Floats:
        """The weights as they may be told on."""


class NoNoise:
    """Adds nothing."""

    def add(self, name: str, weights: Floats, sensitivity: float) -> Floats:
        """See Noise."""
        return weights


def coarseness(subjects: int, statistics: int, variance: float = 0.0) -> int:
    """To multiples of what counts are rounded, where so many statistics of so many subjects are told.

    Many true counts add up to a trace of everybody who is in them (Homer 2008, Dwork 2015). Rounding hides it as noise
    of the same variance would: what each cell must have of it grows with the statistics, less what chance leaves
    anyhow in cells of many subjects, and less the `variance` of noise that counts have already. HIDDEN is set by an
    attack (tests/profile/test_membership.py).
    """
    needed = HIDDEN * statistics - subjects / MOST_CELLS - variance
    return ROUNDED_TO * max(1, math.ceil(math.sqrt(max(6 * needed, 0.0)) / ROUNDED_TO))


def rounded(weight: float, to: int = ROUNDED_TO) -> int:
    """To the nearest multiple, halves up."""
    return to * math.floor(max(weight, 0.0) / to + 0.5)


def place(value: float, quantity: Quantity) -> int:
    """Cell of a grid that a value falls into; beyond an end, the cell there."""
    return min(max(bisect_right(_edges(quantity), value) - 1, 0), quantity.cells - 1)


@lru_cache(maxsize=256)
def _edges(quantity: Quantity) -> list[float]:
    return grid(quantity)


def subject_weights(values: Sequence[float | None], quantity: Quantity) -> Floats:
    """One subject's weights [cells + 1], 1 in all: each picture has a like part of it, the last cell is 'not known'."""
    weights = np.zeros(quantity.cells + 1)
    for value in values:
        weights[quantity.cells if value is None else place(value, quantity)] += 1 / len(values)
    return weights


def tell_histogram(
    name: str,
    weights: Floats,
    edges: Sequence[float],
    *,
    unit: str,
    told: int,
    noise: Noise,
    to: int = ROUNDED_TO,
    sensitivity: float = 1.0,
) -> Histogram:
    """A histogram of weights [cells + 1], the last of them not measured, in `told` cells or fewer.

    Cumulated counts are rounded to multiples of `to`. Edges are tried from the middle of the grid outwards by halves,
    and one is kept where at least LEAST_CELL subjects, `to`, and 1/`told` of all, lie on either side of it: so whether
    an edge is told hangs on its neighbourhood alone.
    """
    cells = len(weights) - 1
    if not isinstance(noise, NoNoise) and cells > NOISY_CELLS:
        step = cells // NOISY_CELLS
        weights = np.append(weights[:-1].reshape(-1, step).sum(1), weights[-1])
        edges = edges[::step]
        cells = NOISY_CELLS
    weights = noise.add(name, weights, sensitivity)
    cumulated = np.maximum.accumulate(np.concatenate([[0.0], np.cumsum(weights[:-1])]))
    least = max(float(LEAST_CELL), float(to), float(cumulated[-1]) / told)
    kept = [0, cells]
    step = cells // 2
    while step:
        for edge in range(step, cells, 2 * step):
            after = next(number for number, other in enumerate(kept) if other > edge)
            low, high = kept[after - 1], kept[after]
            if min(cumulated[edge] - cumulated[low], cumulated[high] - cumulated[edge]) >= least:
                kept.insert(after, edge)
        step //= 2
    at = [rounded(float(cumulated[edge]), to) for edge in kept]
    missing = float(weights[-1])
    return Histogram(
        unit=unit,
        edges=tuple(float(edges[edge]) for edge in kept),
        counts=tuple(high - low for low, high in pairwise(at)),
        not_measured=rounded(missing, to) if missing >= max(LEAST_CELL, to) else 0,
        one_subject=sensitivity,
    )


def tell_quantity(name: str, weights: Floats, quantity: Quantity, noise: Noise, to: int) -> Histogram:
    """A quantity's histogram."""
    return tell_histogram(name, weights, grid(quantity), unit=quantity.unit, told=quantity.told, noise=noise, to=to)


def tell_categories(name: str, weights: Mapping[str, float], noise: Noise, to: int) -> Categories:
    """Weights by word; one subject moves all of them together by 1 at the most."""
    noisy = noise.add(name, np.array(list(weights.values()), np.float64), 1.0)
    found = {word: float(weight) for word, weight in zip(weights, noisy, strict=True)}
    least = max(LEAST_CELL, to)
    rest = sum(weight for weight in found.values() if 0 < weight < least)
    return Categories(
        counts={word: rounded(weight, to) for word, weight in found.items() if weight >= least},
        merged=rounded(rest, to) if rest >= least else 0,
    )
