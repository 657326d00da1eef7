"""FNIR, and misses at rank one, over gallery sizes, by what galleries are made of."""

from collections.abc import Sequence
from typing import NamedTuple

from app.charts.det import OTHERS
from app.charts.svg import Chart, linear, logarithmic
from app.dataset.galleries import Curve, GalleriesFound


class _Place(NamedTuple):
    size: int
    value: float
    low: float
    high: float
    extrapolated: bool = False


def gallery_chart(found: GalleriesFound) -> Chart:
    """FNIR against gallery size at the first FPIR, a curve a kind of others with its band; foretold sizes dashed.

    Of the baseline the curve that limits are about.
    """
    fpir = found.rule.at_fpir[0]

    def places(curve: Curve) -> list[_Place]:
        return [
            _Place(point.size, point.fnir, point.interval.low, point.interval.high, point.extrapolated)
            for point in curve.at(fpir)
        ]

    return _chart(found, {curve: places(curve) for curve in _drawn(found)}, "FNIR", f"FNIR at FPIR {100 * fpir:g}%")


def rank_chart(found: GalleriesFound) -> Chart:
    """Mated searches whose mate does not stand alone at rank 1, against gallery size; nothing of it is extrapolated."""

    def places(curve: Curve) -> list[_Place]:
        return [_Place(one.size, one.missed, one.interval.low, one.interval.high) for one in curve.ranks]

    return _chart(found, {curve: places(curve) for curve in _drawn(found)}, "missed at rank one", "Missed at rank one")


def _drawn(found: GalleriesFound) -> list[Curve]:
    """The curves, and the baseline's that limits are about; no curve twice."""
    before = [curve for curve in found.baseline if curve.others == found.decisive.others]
    return [*found.curves, *(curve for curve in before if curve not in found.curves)]


def _chart(found: GalleriesFound, drawn: dict[Curve, list[_Place]], title: str, what: str) -> Chart:
    every = [place for there in drawn.values() for place in there]
    top = max([0.01, *(min(place.high, 1.0) for place in every)]) * 1.05
    sizes = [place.size for place in every]
    chart = Chart(
        logarithmic("others in the gallery, N", min(sizes) * 0.85, max(sizes) * 1.2, form="{:,.0f}".format),
        linear(title, 0, min(top, 1.0), form=lambda share: f"{100 * share:g}%"),
        f"{what} against gallery size, {found.name}",
        width=640,
        height=400,
    )
    for curve, there in drawn.items():
        _draw(chart, there, OTHERS[curve.others] if curve in found.curves else "c3")
    for curve in drawn:
        before = curve not in found.curves
        chart.named("c3" if before else OTHERS[curve.others], "baseline" if before else curve.others)
    if any(place.extrapolated for place in every):
        chart.named("ink", "extrapolated", dashed=True)
    return chart


def _draw(chart: Chart, there: Sequence[_Place], colour: str) -> None:
    chart.band([(place.size, place.low, min(place.high, 1.0)) for place in there], colour)
    measured = [(place.size, place.value) for place in there if not place.extrapolated]
    foretold = [(place.size, place.value) for place in there if place.extrapolated]
    chart.line(measured, colour)
    chart.dots(measured, colour)
    if foretold:
        chart.line([*measured[-1:], *foretold], colour, dashed=True)
        chart.dots(foretold, colour, hollow=True)
