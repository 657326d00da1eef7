"""DET curves: the band that is drawn around one, and the DET of a verdict, the new scores' over the baseline's."""

import math
from collections.abc import Sequence

from app.charts.svg import Chart, logarithmic
from app.dataset.evaluation import Evaluation, ScoresFound
from app.dataset.measures import DetPoint

COLOURS = {"new scores": "c1", "baseline": "c0"}


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
    """Both axes logarithmic, 95% bands where the points have intervals, the compared points marked.

    Readable without colour, for the baseline is dashed. A rate of 0 lies on the axis.
    """
    curves = {"new scores": found.scores} | ({"baseline": found.baseline} if found.baseline else {})
    points = [point for scores in curves.values() for point in scores.det]
    left = _decade(min((point.fmr for point in points if point.fmr > 0), default=0.1), 1e-8)
    low = _decade(min((point.fnmr for point in points if point.fnmr > 0), default=0.01), 1e-6)
    chart = Chart(
        logarithmic("false match rate (FMR)", left, 1.0, form=_percent),
        logarithmic("false non-match rate (FNMR)", low, 1.0, form=_percent),
        f"DET, {found.set.release or found.set.name or found.set.dataset}",
        width=560,
        height=420,
    )
    for name, scores in curves.items():
        banded = [point for point in scores.det if point.low is not None]
        if len(banded) > 1:
            chart.band(falling_band(banded), COLOURS[name])
    for name, scores in curves.items():
        chart.line([(point.fmr, point.fnmr) for point in scores.det], COLOURS[name], dashed=name == "baseline")
        chart.dots([_compared(scores)], COLOURS[name])
        chart.named(COLOURS[name], name)
    return chart


def _percent(rate: float) -> str:
    return f"{100 * rate:g}%"


def _decade(lowest: float, least: float) -> float:
    """The power of ten at or below a rate, a tenth at the most."""
    return float(10.0 ** math.floor(math.log10(min(max(lowest, least), 0.1))))


def _compared(scores: ScoresFound) -> tuple[float, float]:
    return scores.points[0].fmr.value, scores.points[0].fnmr.value
