"""FNIR over gallery sizes, by what galleries are made of."""

from app.charts.svg import Chart, linear, logarithmic
from app.dataset.galleries import GalleriesFound

COLOURS = {"real": "c0", "synthetic": "c1", "mixed": "c2"}


def gallery_chart(found: GalleriesFound) -> Chart:
    """FNIR against gallery size at the first FPIR, a curve a kind of others with its band; foretold sizes dashed."""
    fpir = found.rule.at_fpir[0]
    curves = [(curve, curve.at(fpir)) for curve in found.curves]
    every = [point for _, there in curves for point in there]
    top = max([0.01, *(min(point.interval.high, 1.0) for point in every)]) * 1.05
    sizes = [point.size for point in every]
    chart = Chart(
        logarithmic("others in the gallery, N", min(sizes) * 0.85, max(sizes) * 1.2, form="{:,.0f}".format),
        linear("FNIR", 0, min(top, 1.0), form=lambda share: f"{100 * share:g}%"),
        f"FNIR at FPIR {100 * fpir:g}% against gallery size, {found.name}",
        width=640,
        height=400,
    )
    for curve, there in curves:
        colour = COLOURS[curve.others]
        chart.band([(p.size, p.interval.low, min(p.interval.high, 1.0)) for p in there], colour)
        measured = [(p.size, p.fnir) for p in there if not p.extrapolated]
        foretold = [(p.size, p.fnir) for p in there if p.extrapolated]
        chart.line(measured, colour)
        chart.dots(measured, colour)
        if foretold:
            chart.line([*measured[-1:], *foretold], colour, dashed=True)
            chart.dots(foretold, colour, hollow=True)
        chart.named(colour, f"{curve.others} others")
    return chart
