"""How many identities can be held apart at a threshold: three numbers, from careful to bold.

1. *Without filtering*: how many identities may be drawn until one pair is to be expected to match.
2. *With filtering* (a draw that matches one kept before is drawn again): how many can be kept until half of all new
   draws are refused. It takes refusals for independent: a draw is accepted with (1 − p)^n.
3. *Packing*: an upper bound by geometry. Identities that do not match are directions further apart than the
   threshold's angle; so caps of half that angle do not overlap, and no more fit than the sphere has room for.

Assumed in 3, for cosine scores: directions lie around one common direction, and what is left of them is uniform on
a sphere of d dimensions, d being what the spread of the scores says. `model_match_rate` beside the measured p tells
how well that fits; where they differ widely, distrust 3. It is an estimate of the kind of arXiv 2308.02065, not that
paper's. All three hold for one matcher, one threshold and one sample an identity: variation within subjects only
lowers them. Use a threshold whose FMR was found on *other* data; on the same data p is that FMR by construction.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from app.dataset.measures import Interval
from app.dataset.resolution import ERRORS
from workers.biometrics.bootstrap import DEFAULT, Bootstrap
from workers.biometrics.errors import Unresolvable
from workers.biometrics.intervals import exact_interval, percentile_interval
from workers.biometrics.templates import TemplateTable, unit

Codes = NDArray[np.int64]
Floats32 = NDArray[np.float32]

BLOCK = 1_024
"""Identities compared with all others at once."""

LISTED = 500_000
"""Pairs that match and are resampled one by one."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """How many identities can be held apart at a threshold; see the module for what each number assumes."""

    threshold: float
    identities: int
    """Measured on."""
    match_rate: float
    """p: share of pairs of identities that match."""
    matches: int
    match_rate_interval: Interval
    resolved: bool
    """Whether at least 30 pairs match; below that p, and with it 1 and 2, are weakly founded."""
    without_filtering: float
    """n with n(n − 1)/2 · p = 1."""
    without_filtering_range: tuple[float, float]
    """From p's interval."""
    with_filtering: float
    """n with (1 − p)^n = 1/2."""
    with_filtering_range: tuple[float, float]
    packing_bound: float
    dimensions: float
    """d, effective."""
    common_cosine: float
    """Squared length of the common direction: what all identities share."""
    model_match_rate: float
    """Share of pairs that would match if the geometry of 3 were exact."""


def estimate_capacity(table: TemplateTable, threshold: float, *, bootstrap: Bootstrap = DEFAULT) -> Capacity:
    """Estimate from one template an identity, compared by cosine.

    Raises Unresolvable with fewer than 30 identities or with more than one template of some; ValueError for a
    threshold that is no cosine.
    """
    if not -1 < threshold < 1:
        raise ValueError(f"a cosine threshold must lie between -1 and 1, not {threshold}")
    kept = table.take(table.extracted)
    count = len(kept)
    if len(np.unique(kept.subjects)) != count:
        raise Unresolvable("capacity is measured on one template an identity; take centres first")
    if count < ERRORS:
        raise Unresolvable(f"{count} identities say nothing of capacity; at least {ERRORS} are needed")
    directions = unit(kept.templates)
    left, right, degrees = _matches(directions, threshold)
    matches, pairs = int(degrees.sum()) // 2, count * (count - 1) // 2
    interval = _by_identity(left, right, degrees, bootstrap)
    rate = matches / pairs
    common, dimensions = _geometry(directions)
    return Capacity(
        threshold=threshold,
        identities=count,
        match_rate=rate,
        matches=matches,
        match_rate_interval=interval,
        resolved=matches >= ERRORS,
        without_filtering=_unfiltered(rate),
        without_filtering_range=(_unfiltered(interval.high), _unfiltered(interval.low)),
        with_filtering=_filtered(rate),
        with_filtering_range=(_filtered(interval.high), _filtered(interval.low)),
        packing_bound=_packing(threshold, common, dimensions),
        dimensions=dimensions,
        common_cosine=common,
        model_match_rate=_cap((threshold - common) / (1 - common), dimensions),
    )


def _matches(directions: Floats32, threshold: float) -> tuple[Codes, Codes, Codes]:
    """Pairs that match, at most LISTED of them (both lists are empty if there are more), and how often each does."""
    degrees = np.zeros(len(directions), np.int64)
    pairs: list[NDArray[np.int64]] = []
    listed = 0
    for start in range(0, len(directions), BLOCK):
        scores = directions[start : start + BLOCK] @ directions.T
        above = scores >= np.float64(threshold)
        above[np.arange(len(above)), np.arange(start, start + len(above))] = False
        degrees[start : start + len(above)] = above.sum(1)
        if listed <= LISTED:
            rows, columns = np.nonzero(above)
            found = np.stack([rows + start, columns])[:, rows + start < columns]
            listed += found.shape[1]
            pairs.append(found)
    left, right = np.concatenate(pairs, axis=1) if listed <= LISTED else np.zeros((2, 0), np.int64)
    return left, right, degrees


def _by_identity(left: Codes, right: Codes, degrees: Codes, bootstrap: Bootstrap) -> Interval:
    """Interval of the match rate by resampling identities; linearised where more pairs match than were listed."""
    count, matches = len(degrees), int(degrees.sum()) // 2
    pairs = count * (count - 1) // 2
    if not matches:
        return exact_interval(0, pairs, bootstrap.confidence, over="pairs of identities")
    replicates = np.empty(bootstrap.replicates)
    for part, weights in bootstrap.multiplicities(count, len(left)):
        if len(left):
            whole = (weights.sum(1) ** 2 - (weights**2).sum(1)) / 2
            replicates[part] = (weights[:, left] * weights[:, right]).sum(1) / whole
        else:
            # A pair's share follows its two identities' own shares: the first term of Hoeffding's decomposition.
            replicates[part] = 2 * (weights @ (degrees / (count - 1))) / count - matches / pairs
    return percentile_interval(replicates, "bootstrap by identity", bootstrap.confidence)


def _geometry(directions: Floats32) -> tuple[float, float]:
    """Squared length of the common direction, and the effective dimensions of what is left.

    With x = √m·u + √(1 − m)·v, u common and v uniform, a cosine is m + (1 − m)·(v·v'), whose mean is m and whose
    variance (1 − m)² / d. Both moments over all pairs follow from sums over identities.
    """
    exact = directions.astype(np.float64)
    count = len(exact)
    pairs = count * (count - 1)
    mean = (float(np.sum(exact.sum(0) ** 2)) - count) / pairs
    square = (float(np.sum((exact.T @ exact) ** 2)) - count) / pairs
    common = float(np.clip(mean, 0, 1 - 1e-9))
    return common, (1 - common) ** 2 / max(square - mean**2, 1e-12)


def _unfiltered(rate: float) -> float:
    return (1 + np.sqrt(1 + 8 / rate)) / 2 if rate > 0 else np.inf


def _filtered(rate: float) -> float:
    if rate >= 1:
        return 1.0
    return float(np.log(0.5) / np.log1p(-rate)) if rate > 0 else np.inf


def _packing(threshold: float, common: float, dimensions: float) -> float:
    """Room on the sphere over what a cap of half the threshold's angle takes; 1 if any two identities match."""
    cosine = (threshold - common) / (1 - common)
    if cosine <= -1:
        return 1.0
    share = _cap(float(np.cos(np.arccos(cosine) / 2)), dimensions)
    return 1 / share if share > 0 else np.inf


def _cap(cosine: float, dimensions: float) -> float:
    """Share of the sphere in d dimensions within the angle arccos(cosine) of a point (Li 2011)."""
    if not -1 < cosine < 1:
        return 0.0 if cosine >= 1 else 1.0
    half = 0.5 * float(betainc((dimensions - 1) / 2, 0.5, 1 - cosine**2))
    return half if cosine >= 0 else 1 - half
