"""The charts of the console, each from one answer of the API."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from app.charts.det import det_chart, galleries_det, lists_det
from app.charts.galleries import gallery_chart, rank_chart
from app.charts.svg import Axis, Chart, linear
from app.dataset.candidates import SearchesFound
from app.dataset.evaluation import Evaluation
from app.dataset.galleries import GalleriesFound

Json = Mapping[str, Any]

WIDE, HIGH = 560, 340
COLOURS = ("c0", "c1", "c2", "c3")
MOST_LABELS, LONGEST_LABEL = 5, 13
"""So many fit beside each other in a telephone's larger letters."""


def calibration_chart(target: Json, curve: Sequence[Json]) -> Markup:
    """FNMR over the scale, as a calibration found it so far, with the target across."""
    points = [(point["scale"], point["measured"]["fnmr"]["value"]) for point in curve]
    band = []
    for point in curve:
        between = _between(point["measured"]["fnmr"])
        band.append((point["scale"], between["low"], between["high"]))
    top = max([high for _, _, high in band] + [target["fnmr"] * 1.3])
    chart = _chart(
        linear("scale σ", 0.0, max(scale for scale, _ in points) * 1.05 if points else 1.0),
        linear(f"FNMR at FMR {target['fmr']:g}", 0.0, min(1.0, top * 1.05), form=_percent),
        f"FNMR over the scale at {len(points)} scales, with 95% intervals; the target is {target['fnmr']:g}",
        legend=False,
    )
    chart.level(target["fnmr"], target["fnmr"], "ink", f"target {_percent(target['fnmr'])}")
    chart.band(band, "c0")
    chart.line(points, "c0")
    chart.dots(points, "c0")
    return _shown(chart)


def model_chart(curve: Sequence[Json]) -> Markup:
    """EER over σ, a curve a judge, from a card's evaluation."""
    judges = list(dict.fromkeys(point["judge"] for point in curve))
    top = max(point["eer_high"] for point in curve)
    chart = _chart(
        linear("scale σ", 0.0, max(point["sigma"] for point in curve) * 1.05),
        linear("EER", 0.0, min(1.0, top * 1.1 + 0.01), form=_percent),
        f"Equal error rate over the scale by {' and '.join(judges)}, with 95% intervals",
    )
    for number, judge in enumerate(judges):
        colour = COLOURS[number % len(COLOURS)]
        mine = [point for point in curve if point["judge"] == judge]
        points = [(point["sigma"], point["eer"]) for point in mine]
        chart.band([(point["sigma"], point["eer_low"], point["eer_high"]) for point in mine], colour)
        chart.line(points, colour)
        chart.dots(points, colour)
        chart.named(colour, judge)
    return _shown(chart)


def verdict_chart(result: Json) -> Markup:
    """The DET of an evaluation, as its `det.svg` has it."""
    return _shown(det_chart(Evaluation.model_validate(result)))


def lists_chart(searches: Json) -> Markup | None:
    """FNIR over FPIR of candidate lists; None of what an older version measured."""
    chart = lists_det(SearchesFound.model_validate(searches))
    return None if chart is None else _shown(chart)


def gallery_charts(galleries: Json) -> dict[str, Markup]:
    """Charts of templates that were searched, by what they show."""
    found = GalleriesFound.model_validate(galleries)
    charts = {
        f"FNIR at FPIR {_percent(found.rule.at_fpir[0])} over gallery size": gallery_chart(found),
        "Missed at rank one over gallery size": rank_chart(found),
        "DET in the widest galleries": galleries_det(found),
    }
    return {what: _shown(chart) for what, chart in charts.items() if chart is not None}


def history_chart(evaluations: Sequence[Json]) -> Markup | None:
    """FNMR from one evaluation to the next, oldest first, with intervals; None where nothing was measured."""
    told = [found for found in reversed(evaluations) if found["fnmr"]]
    if not told:
        return None
    bands = [(_between(found["fnmr"])["low"], _between(found["fnmr"])["high"]) for found in told]
    step = -(-len(told) // MOST_LABELS)
    names = [(at, _short(found["name"] or found["id"][-6:])) for at, found in enumerate(told) if at % step == 0]
    chart = _chart(
        Axis(title="", low=-0.5, high=len(told) - 0.5, ticks=tuple((float(at), name) for at, name in names)),
        linear("generalised FNMR", 0.0, min(1.0, max(high for _, high in bands) * 1.15 + 0.001), form=_percent),
        f"Generalised FNMR of {len(told)} evaluations, oldest first, with 95% intervals",
        legend=False,
    )
    points = [(float(at), found["fnmr"]["value"]) for at, found in enumerate(told)]
    chart.line(points, "c0")
    for (at, _), (low, high) in zip(points, bands, strict=True):
        chart.whisker(at, low, high, "c0")
    chart.dots(points, "c0")
    return _shown(chart)


def _between(rate: Json) -> Json:
    found: Json = rate["by_subject"] or rate["exact"]
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.6g}%"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _chart(x: Axis, y: Axis, label: str, *, legend: bool = True) -> Chart:
    return Chart(x, y, label, width=WIDE, height=HIGH, legend=legend)


def _shown(chart: Chart) -> Markup:
    return Markup(chart.render())  # noqa: S704  (a chart escapes every text in it)
