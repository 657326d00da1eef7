"""DET curves: the band that is drawn around one, and the DET of a verdict, the new scores' over the baseline's.

Of scores it is FNMR over FMR, of searches FNIR over FPIR; both axes are logarithmic.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from app.charts.svg import Chart, logarithmic
from app.dataset.candidates import SearchesFound
from app.dataset.evaluation import Evaluation, ScoresFound
from app.dataset.galleries import GalleriesFound
from app.dataset.measures import DetPoint

OTHERS = {"real": "c0", "synthetic": "c1", "mixed": "c2"}
"""Colours of what galleries are made of."""

SCORES = ("false match rate (FMR)", "false non-match rate (FNMR)")
SEARCHES = ("false-positive identification rate (FPIR)", "false-negative identification rate (FNIR)")


class Curve(NamedTuple):
    """One line of a DET."""

    name: str
    colour: str
    points: tuple[DetPoint, ...]
    marked: tuple[float, float] | None = None
    """The point that a verdict is about."""
    dashed: bool = False


def falling_band(points: Sequence[DetPoint]) -> list[tuple[float, float, float]]:
    """A DET's band as it is drawn: FNMR cannot rise with FMR, so neither do its limits. (FMR, low, high), FMR falling.

    Without an error the interval is one over subjects, wider than its neighbours' from the bootstrap: a limit at a
    lower FMR holds there as well.
    """
    band: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda point: point.at):
        low, high = point.band
        before = band[-1] if band else (0.0, 1.0, 1.0)
        band.append((point.at, min(low, before[1]), min(high, before[2])))
    return band[::-1]


def det_chart(found: Evaluation) -> Chart:
    """95% bands where the points have intervals, the compared points marked.

    Readable without colour, for the baseline is dashed. A rate of 0 lies on the axis.
    """
    curves = [Curve("new scores", "c1", found.scores.det, _compared(found.scores))]
    if found.baseline:
        curves.append(Curve("baseline", "c0", found.baseline.det, _compared(found.baseline), dashed=True))
    return _chart(curves, SCORES, f"DET, {found.set.release or found.set.name or found.set.dataset}")


def lists_det(found: SearchesFound) -> Chart | None:
    """FNIR over FPIR of candidate lists, over the baseline's; None of what an older version measured."""
    curves = []
    for name, colour, one in (("new lists", "c1", found), ("baseline", "c0", found.baseline)):
        if one is not None and one.det:
            at = one.points[0].fpir.value, one.points[0].fnir.value
            curves.append(Curve(name, colour, one.det, at, dashed=name == "baseline"))
    if not curves:
        return None
    of = found.set.release or found.set.name or found.set.dataset
    return _chart(curves, SEARCHES, f"DET of searches among {found.gallery:,}, {of}")


def galleries_det(found: GalleriesFound) -> Chart | None:
    """FNIR over FPIR in the widest galleries of each kind of others; None of what an older version measured."""
    fpir = found.rule.at_fpir[0]
    curves = []
    for curve in found.curves:
        measured = [point for point in curve.at(fpir) if not point.extrapolated]
        if curve.det and measured:
            name = f"{curve.others} {measured[-1].size:,}"
            curves.append(Curve(name, OTHERS[curve.others], curve.det, (measured[-1].fpir, measured[-1].fnir)))
    before = [curve for curve in found.baseline if curve.others == found.decisive.others and curve.det]
    curves += [Curve("baseline", "c3", curve.det, dashed=True) for curve in before]
    return _chart(curves, SEARCHES, f"DET of searches in the widest galleries, {found.name}") if curves else None


def _chart(curves: Sequence[Curve], titles: tuple[str, str], label: str) -> Chart:
    points = [point for curve in curves for point in curve.points]
    left = _decade(min((point.fmr for point in points if point.fmr > 0), default=0.1), 1e-8)
    low = _decade(min((point.fnmr for point in points if point.fnmr > 0), default=0.01), 1e-6)
    chart = Chart(
        logarithmic(titles[0], left, 1.0, form=_percent),
        logarithmic(titles[1], low, 1.0, form=_percent),
        label,
        width=560 if len(curves) < 3 else 680,
        height=420,
    )
    for curve in curves:
        banded = [point for point in curve.points if point.low is not None]
        if len(banded) > 1:
            chart.band(falling_band(banded), curve.colour)
    for curve in curves:
        chart.line([(point.fmr, point.fnmr) for point in curve.points], curve.colour, dashed=curve.dashed)
        if curve.marked is not None:
            chart.dots([curve.marked], curve.colour)
        chart.named(curve.colour, curve.name, dashed=curve.dashed)
    return chart


def _percent(rate: float) -> str:
    return f"{100 * rate:g}%"


def _decade(lowest: float, least: float) -> float:
    """The power of ten at or below a rate, a tenth at the most."""
    return float(10.0 ** math.floor(math.log10(min(max(lowest, least), 0.1))))


def _compared(scores: ScoresFound) -> tuple[float, float]:
    return scores.points[0].fmr.value, scores.points[0].fnmr.value
