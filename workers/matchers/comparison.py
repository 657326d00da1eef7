"""Comparison scores: what two templates' likeness is called, for one pair, many pairs, or all with all.

Legend: N references and M probes are float32 [N, d] and [M, d]; higher is more alike; match iff score >= threshold.
A row of NaN (an image without a template) gives NaN scores, never a number.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Templates = NDArray[np.float32]
Scores = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ScoreDefinition:
    """How a matcher's comparison scores are made; the same for both orders of two templates."""

    name: str
    formula: str
    """For people: what a report prints beside the scores."""
    low: float
    high: float
    """Between which scores lie, up to rounding."""
    cross: Callable[[Templates, Templates], Scores]
    """All with all: [N, d] and [M, d] → [N, M]."""
    pairs: Callable[[Templates, Templates], Scores]
    """Row by row: [N, d] and [N, d] → [N]."""


def _cosine(references: Templates, probes: Templates) -> Scores:
    return np.asarray(references @ probes.T, np.float32)


def _cosine_pairs(references: Templates, probes: Templates) -> Scores:
    return np.asarray(np.einsum("nd,nd->n", references, probes), np.float32)


def _minus_distance(references: Templates, probes: Templates) -> Scores:
    # |a - b|² = |a|² + |b|² - 2ab cancels almost wholly for mated pairs: float32 would be 1e-3 off near 0.
    a, b = references.astype(np.float64), probes.astype(np.float64)
    squared = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * (a @ b.T)
    return np.asarray(-np.sqrt(np.maximum(squared, 0)), np.float32)


def _minus_distance_pairs(references: Templates, probes: Templates) -> Scores:
    difference = references.astype(np.float64) - probes
    return np.asarray(-np.sqrt((difference * difference).sum(1)), np.float32)


COSINE = ScoreDefinition(
    name="cosine",
    formula="a·b of templates that have length 1",
    low=-1.0,
    high=1.0,
    cross=_cosine,
    pairs=_cosine_pairs,
)

MINUS_EUCLIDEAN = ScoreDefinition(
    name="minus-euclidean",
    formula="-|a - b|, the Euclidean distance with its sign changed",
    low=-np.inf,
    high=0.0,
    cross=_minus_distance,
    pairs=_minus_distance_pairs,
)
"""A distance limit t is the threshold -t, exactly."""

DEFINITIONS = {definition.name: definition for definition in (COSINE, MINUS_EUCLIDEAN)}


def unit(vector: NDArray[np.floating]) -> Templates:
    """Divide a vector by its length; raises ValueError for one that has none."""
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise ValueError(f"the network's output has length {length}: no direction can be taken from it")
    return np.asarray(vector / length, np.float32)
