"""The charts of the console, each from one answer of the API."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from app.web.plots import Axis, Curve, chart, decades, histogram, trend

Json = Mapping[str, Any]


def calibration_chart(target: Json, curve: Sequence[Json]) -> Markup:
    """FNMR over the scale, as a calibration found it so far, with the target across."""
    points = [(point["scale"], point["measured"]["fnmr"]["value"]) for point in curve]
    band = []
    for point in curve:
        rate = point["measured"]["fnmr"]
        between = rate["by_subject"] or rate["exact"]
        band.append((point["scale"], between["low"], between["high"]))
    top = max([high for _, _, high in band] + [target["fnmr"] * 1.3])
    x = Axis("scale σ", 0.0, max(scale for scale, _ in points) * 1.05 if points else 1.0)
    return chart(
        x,
        Axis(f"FNMR at FMR {target['fmr']:g}", 0.0, min(1.0, top * 1.05), percent=True),
        [Curve("measured", points, band, dots=True)],
        lines=[(target["fnmr"], f"target {100 * target['fnmr']:g}%")],
        describe=f"FNMR over the scale at {len(points)} scales, with 95% intervals; the target is {target['fnmr']:g}",
    )


def model_chart(curve: Sequence[Json]) -> Markup:
    """EER over σ, a curve a judge, from a card's evaluation."""
    judges = list(dict.fromkeys(point["judge"] for point in curve))
    curves = []
    for judge in judges:
        mine = [point for point in curve if point["judge"] == judge]
        curves.append(
            Curve(
                judge,
                [(point["sigma"], point["eer"]) for point in mine],
                [(point["sigma"], point["eer_low"], point["eer_high"]) for point in mine],
                dots=True,
            )
        )
    top = max(point["eer_high"] for point in curve)
    return chart(
        Axis("scale σ", 0.0, max(point["sigma"] for point in curve) * 1.05),
        Axis("EER", 0.0, min(1.0, top * 1.1 + 0.01), percent=True),
        curves,
        describe=f"Equal error rate over the scale by {' and '.join(judges)}, with 95% intervals",
    )


def det_chart(series: Sequence[tuple[str, Sequence[Json]]]) -> Markup:
    """DET curves, both axes logarithmic, with bands where the points carry `low` and `high`."""
    fmrs = [point["fmr"] for _, points in series for point in points]
    fnmrs = [point["fnmr"] for _, points in series for point in points]
    curves = []
    for name, points in series:
        shown = [point for point in points if point["fmr"] > 0]
        bands = [(point["fmr"], point["low"], point["high"]) for point in shown if point.get("low") is not None]
        curves.append(
            Curve(name, [(point["fmr"], max(point["fnmr"], 1e-6)) for point in shown], bands, stepped=not bands)
        )
    return chart(
        Axis("FMR", *decades(fmrs), log=True, percent=True),
        Axis("FNMR", *decades(fnmrs), log=True, percent=True),
        curves,
        describe=f"DET curve of {' and '.join(name for name, _ in series)}: FNMR over FMR, both logarithmic",
    )


def scores_chart(judge: Json) -> Markup | None:
    """How mated and non-mated scores of a judge lie; None where there are none."""
    series = []
    for name in ("non_mated", "mated"):
        if found := judge.get(name):
            bins = found["bins"]
            series.append((name.replace("_", "-"), bins["low"], bins["width"], bins["counts"]))
    if not series:
        return None
    low = min(start for _, start, _, _ in series)
    high = max(start + width * len(counts) for _, start, width, counts in series)
    return histogram(
        Axis("comparison score", low, high),
        series,
        describe=f"Distributions of mated and non-mated comparison scores by {judge['matcher']['name']}",
    )


def history_chart(evaluations: Sequence[Json]) -> Markup | None:
    """FNMR from one evaluation to the next, oldest first, with intervals; None where nothing was measured."""
    labels, values = [], []
    for found in reversed(evaluations):
        rate = found["fnmr"]
        if not rate:
            continue
        between = rate["by_subject"] or rate["exact"]
        labels.append(found["name"] or found["id"][-6:])
        values.append((rate["value"], between["low"], between["high"]))
    if not values:
        return None
    top = max(high for _, _, high in values)
    return trend(
        labels,
        [("FNMR", values)],
        y=Axis("generalised FNMR", 0.0, min(1.0, top * 1.15 + 0.001), percent=True),
        describe=f"Generalised FNMR of {len(values)} evaluations, oldest first, with 95% intervals",
    )
