"""The DET of new scores over the baseline's, as an SVG file: both axes logarithmic, the compared points marked."""

import math

from app.dataset.evaluation import Evaluation, ScoresFound
from workers.report.svg import Chart, logarithmic

COLOURS = {"new scores": "c1", "baseline": "c0"}


def det_svg(found: Evaluation) -> str:
    """Draw the curves; readable without colour, for the baseline is dashed."""
    curves = {"new scores": found.scores} | ({"baseline": found.baseline} if found.baseline else {})
    points = [point for scores in curves.values() for point in scores.det]
    left = _decade(min((point.fmr for point in points if point.fmr > 0), default=0.1), 1e-8)
    low = _decade(min((point.fnmr for point in points if point.fnmr > 0), default=0.01), 1e-6)
    chart = Chart(
        logarithmic("false match rate (FMR)", left, 1.0, form="{:g}".format),
        logarithmic("false non-match rate (FNMR)", low, 1.0, form="{:g}".format),
        f"DET, {found.set.release or found.set.name or found.set.dataset}",
        width=560,
        height=420,
    )
    for name, scores in curves.items():
        chart.line([(point.fmr, point.fnmr) for point in scores.det], COLOURS[name], dashed=name == "baseline")
        chart.dots([_compared(scores)], COLOURS[name])
        chart.named(COLOURS[name], name)
    return chart.document()


def _decade(lowest: float, least: float) -> float:
    """The power of ten at or below a rate, a tenth at the most."""
    return float(10.0 ** math.floor(math.log10(min(max(lowest, least), 0.1))))


def _compared(scores: ScoresFound) -> tuple[float, float]:
    return scores.points[0].fmr.value, scores.points[0].fnmr.value
