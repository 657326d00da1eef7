"""1:N search beyond what was searched: a model from verification scores, and a line through gallery sizes.

Legend: B bootstrap replicates, G gallery sizes searched.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.dataset.resolution import ERRORS
from workers.biometrics.bootstrap import DEFAULT, Bootstrap
from workers.biometrics.errors import Unresolvable
from workers.biometrics.identification import (
    IdentificationPoint,
    Searches,
    has_mate,
    replicate_searches,
    threshold_allowing,
)
from workers.biometrics.intervals import resampled_interval
from workers.biometrics.rates import OperatingPoint, Source, allowed, fnmr_at_fmr

Floats = NDArray[np.float64]

FARTHEST = 100
"""Nothing is extrapolated beyond so many times the largest gallery measured."""

CAUTION = (
    "Synthetic images vary less than real ones, so extrapolation to very large galleries is uncertain beyond the "
    "interval stated (IFPC 2020)."
)


def independent_fnir(source: Source, size: int, fpir: float) -> OperatingPoint:
    """FNIR as verification scores predict it, if the N comparisons of a search were independent.

    Then FPIR = 1 − (1 − FMR)^N, so the threshold is that of FMR = 1 − (1 − FPIR)^(1/N), and FNIR is FNMR there.
    They are not independent (some probes resemble everybody), and thresholds come out higher than measured: compare
    with `fnir_at_fpir` before believing it beyond. `resolved` says if there are comparisons enough.
    """
    if size < 1 or not 0 < fpir < 1:
        raise ValueError(f"a gallery of {size} at FPIR {fpir} makes no sense; size >= 1 and 0 < FPIR < 1")
    return fnmr_at_fmr(source, -float(np.expm1(np.log1p(-fpir) / size)))


def extrapolate(
    searches: Searches, sizes: Sequence[int], fpir: float, *, bootstrap: Bootstrap = DEFAULT
) -> list[IdentificationPoint]:
    """FNIR (by threshold, any rank) for galleries larger than were searched.

    Method: the highest of N scores from a tail that falls exponentially grows with ln N, so the threshold at a FPIR
    is fitted by a straight line in ln N over the sizes searched, read off at N, and FNIR is the share of mated
    scores below. Tails of bounded scores fall faster than that; then the threshold is too high and FNIR errs upward.
    The interval comes of fitting anew in every replicate: it holds the chance of sampling, not that of the line
    being wrong. Raises Unresolvable with fewer than three sizes over a factor of four, beyond 100 times the largest,
    or where the FPIR is not resolved.
    """
    mated = has_mate(searches)
    measured = np.array(searches.sizes, np.float64)
    searched = searches.best_non_mated.shape[2]
    if len(measured) < 3 or measured[-1] < 4 * measured[0]:
        raise Unresolvable("a line in ln N needs at least three gallery sizes, the largest four times the smallest")
    if max(sizes) > FARTHEST * measured[-1]:
        raise Unresolvable(f"{max(sizes):,} is more than {FARTHEST} times the largest gallery, {int(measured[-1]):,}")
    if fpir * searched < ERRORS:
        raise Unresolvable(f"FPIR {fpir:g} needs {int(np.ceil(ERRORS / fpir)):,} searches and there are {searched:,}")
    thresholds, _ = replicate_searches(searches, fpir, False, bootstrap)
    each = [
        [threshold_allowing(best, allowed(fpir, searched)) for best in searches.best_non_mated[:, number]]
        for number in range(len(measured))
    ]
    wanted = np.log(np.array(sizes, np.float64))
    point = _line(np.log(measured), np.mean(each, 1)[None], wanted)[0]  # [sizes]
    band = _line(np.log(measured), thresholds, wanted)  # [B, sizes]
    order = np.argsort(searches.mates[mated])
    scores, owners = searches.mates[mated][order].astype(np.float64), searches.subjects[mated][order]
    rates = np.full(band.shape, np.nan)
    for part, weights in bootstrap.multiplicities(int(searches.subjects.max()) + 1, len(scores)):
        running = np.cumsum(weights[:, owners], 1)
        running = np.concatenate([np.zeros((len(running), 1)), running], 1)
        below = np.searchsorted(scores, band[part], "left")
        whole = running[:, -1:]
        rates[part] = np.where(whole > 0, np.take_along_axis(running, below, 1) / np.maximum(whole, 1), np.nan)
    return [
        IdentificationPoint(
            size=int(size),
            target_fpir=fpir,
            fpir=fpir,
            threshold=float(point[number]),
            fnir=float(np.mean(scores < point[number])),
            mated=int(mated.sum()),
            non_mated=searched,
            by_subject=resampled_interval(
                rates[:, number],
                float(np.mean(scores < point[number])),
                len(np.unique(owners)),
                "line in ln N, refitted in a bootstrap by probe subject and gallery",
                bootstrap.confidence,
                over="probe subjects",
            ),
            resolved=False,
            extrapolated=True,
            note=CAUTION,
        )
        for number, size in enumerate(sizes)
    ]


def _line(x: Floats, y: Floats, at: Floats) -> Floats:
    """Least-squares lines through y [B, G] over x [G], read off at `at`: [B, len(at)]."""
    middle = x - x.mean()
    slope = y @ middle / (middle @ middle)
    return np.asarray(y.mean(1)[:, None] + slope[:, None] * (at - x.mean()))
