"""Measures as the report spells them: rounded to six digits (thresholds are not), infinite ones left out."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.charts.svg import nice_step
from app.dataset.measures import Bins, DetPoint, Distribution, EqualErrorRate, Interval, Rate
from workers.biometrics.histogram import ScoreHistogram

BINS = 60
"""About so many bins show how values lie."""

Values = NDArray[np.floating[Any]]


def rounded(value: float) -> float:
    """To six digits."""
    return float(f"{value:.6g}")


def finite(value: float) -> float | None:
    """None for an infinite one."""
    return rounded(value) if math.isfinite(value) else None


def threshold(value: float) -> float | None:
    """As it is; None where every score matches."""
    return float(value) if math.isfinite(value) else None


def interval(found: Interval) -> Interval:
    """An interval's ends, rounded."""
    return found.model_copy(update={"low": rounded(found.low), "high": rounded(found.high)})


def rate(found: Rate) -> Rate:
    """A rate and its intervals, rounded."""
    return found.model_copy(
        update={
            "value": rounded(found.value),
            "exact": interval(found.exact),
            "by_subject": interval(found.by_subject) if found.by_subject else None,
            "rounding": rounded(found.rounding),
        }
    )


def equal_error_rate(found: EqualErrorRate) -> EqualErrorRate:
    """An EER and its interval, rounded; its threshold is not."""
    by_subject = interval(found.by_subject) if found.by_subject else None
    return found.model_copy(
        update={"value": rounded(found.value), "rounding": rounded(found.rounding), "by_subject": by_subject}
    )


def det_point(found: DetPoint) -> DetPoint:
    """A point of a DET, rounded."""
    shares = ("target_fmr", "fmr", "fnmr", "low", "high")
    known = {name: value for name in shares if (value := getattr(found, name)) is not None}
    return found.model_copy(update={name: rounded(value) for name, value in known.items()})


def nice_width(span: float, bins: int = BINS) -> float:
    """A bin's width of 1, 2 or 5 times a power of ten that lays about so many bins over a span."""
    if not span > 0:
        return 1.0
    return nice_step(span / bins)


def distribution(values: Values, *, width: float | None = None) -> Distribution | None:
    """How values lie; None where there are none. `width` is that of the bins, else it is chosen."""
    if not len(values):
        return None
    exact = np.asarray(values, np.float64)
    low, high = float(exact.min()), float(exact.max())
    step = width or nice_width(high - low)
    first = math.floor(low / step)
    places = np.floor(exact / step).astype(np.int64) - first
    # A value at a bin's edge may be rounded out of it.
    counts = np.bincount(np.maximum(places, 0))
    quantiles = np.quantile(exact, [0.05, 0.5, 0.95], method="inverted_cdf")
    return Distribution(
        count=len(exact),
        mean=rounded(float(exact.mean())),
        deviation=rounded(float(exact.std())),
        minimum=rounded(low),
        p05=rounded(float(quantiles[0])),
        median=rounded(float(quantiles[1])),
        p95=rounded(float(quantiles[2])),
        maximum=rounded(high),
        bins=Bins(low=rounded(first * step), width=rounded(step), counts=tuple(counts.tolist())),
    )


def distribution_of_bins(fine: ScoreHistogram, *, width: float) -> Distribution | None:
    """The same out of fine bins, too many scores to be held: means and quantiles are good to a fine bin's width."""
    there = np.flatnonzero(fine.counts)
    if not len(there):
        return None
    edges, counts = fine.edges, fine.counts.astype(np.float64)
    middle = (edges[:-1] + edges[1:]) / 2
    total = fine.total
    mean = float(middle @ counts) / total
    running = np.cumsum(fine.counts)
    p05, median, p95 = (float(edges[1 + np.searchsorted(running, share * total)]) for share in (0.05, 0.5, 0.95))
    first = math.floor(float(edges[there[0]]) / width)
    places = np.floor(middle[there] / width).astype(np.int64) - first
    coarse = np.bincount(places, weights=fine.counts[there]).astype(np.int64)
    return Distribution(
        count=total,
        mean=rounded(mean),
        deviation=rounded(float(np.sqrt(((middle - mean) ** 2) @ counts / total))),
        minimum=rounded(float(edges[there[0]])),
        p05=rounded(p05),
        median=rounded(median),
        p95=rounded(p95),
        maximum=rounded(float(edges[there[-1] + 1])),
        bins=Bins(low=rounded(first * width), width=rounded(width), counts=tuple(coarse.tolist())),
    )
