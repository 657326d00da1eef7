"""The report's charts, each from the report's own data; None where there is nothing to show."""

from collections.abc import Sequence

from app.charts.det import falling_band
from app.charts.svg import Axis, Chart, linear, logarithmic, probit
from app.dataset.calibration import Calibration, Contract
from app.dataset.measures import Distribution
from app.dataset.report import Differential, IdentificationPoint, JudgeReport, Leakage, Pose, QualityMeasure
from workers.report.qualities import spelt_out
from workers.report.wording import fmr_text, number, power, without

COLOURS = ("c0", "c1", "c2", "c3")
"""Of judges, in the report's order."""

MATED, NON_MATED = "mated", "nonmated"

FMR_OF_TAIL = 0.1
"""The tail of non-mated scores begins here."""


def _ticked(share: float) -> str:
    return f"{100 * share:g}%"


def _counted(value: float) -> str:
    return f"{value:,.0f}"


def _span(*distributions: Distribution) -> tuple[float, float]:
    """From the lowest bin to the end of the highest."""
    return (
        min(one.bins.low for one in distributions),
        max(one.bins.low + one.bins.width * len(one.bins.counts) for one in distributions),
    )


def _overlaid(
    label: str, title: str, parts: Sequence[tuple[Distribution, str, str]], *, height: int = 250, width: int = 430
) -> Chart:
    """Histograms of one bin width, each as shares of its own values."""
    low, high = _span(*(one for one, _, _ in parts))
    tallest = max(max(one.bins.counts) / one.count for one, _, _ in parts)
    chart = Chart(
        linear(title, low, high),
        linear("share", 0, 1.08 * tallest, form=_ticked, steps=4),
        label,
        width=width,
        height=height,
        legend=len(parts) > 1,
    )
    for one, colour, name in parts:
        chart.histogram(one.bins, colour, over=one.count)
        if len(parts) > 1:
            chart.named(colour, f"{name} ({one.count:,})")
    return chart


def scores(judge: JudgeReport) -> str | None:
    """Mated and non-mated comparison scores of one judge."""
    parts = [
        (one, colour, name)
        for one, colour, name in ((judge.non_mated, NON_MATED, "non-mated"), (judge.mated, MATED, "mated"))
        if one
    ]
    if not parts:
        return None
    chart = _overlaid(
        f"Distributions of comparison scores by {judge.matcher.name}", f"comparison score, {judge.matcher.name}", parts
    )
    point = judge.at_fmr(1e-3) or judge.at_fmr(1e-2)
    if point and point.threshold is not None:
        chart.upright(point.threshold, f"FMR {fmr_text(point.target_fmr)}")
    return chart.render()


def det(judges: Sequence[JudgeReport]) -> str | None:
    """DET curves of all judges with their bands, on probit axes; what is not resolved is dashed."""
    curves = [(judge, COLOURS[number % len(COLOURS)]) for number, judge in enumerate(judges) if judge.det]
    if not curves:
        return None
    points = [point for judge, _ in curves for point in judge.det]
    lowest = max(min(point.at for point in points) * 0.9, 1e-8)
    floor = max(1e-4, min([point.fnmr for point in points if point.fnmr > 0], default=0.01) * 0.6)
    ceiling = min(0.999, max(0.5, *(point.band[1] for point in points)))
    chart = Chart(
        probit("false match rate (FMR)", lowest, 0.42, form=_ticked),
        probit("false non-match rate (FNMR)", floor, ceiling, form=_ticked),
        "DET curves with 95% bands",
        width=640,
        height=400,
    )
    for judge, colour in curves:
        solid = [point for point in judge.det if point.resolved]
        dotted = [*solid[-1:], *(point for point in judge.det if not point.resolved)]
        chart.band(falling_band(judge.det), colour)
        chart.line([(point.at, point.fnmr) for point in solid], colour)
        if len(dotted) > 1:
            chart.line([(point.at, point.fnmr) for point in dotted], colour, dashed=True)
        marked = [(point.target_fmr, point.fnmr.value) for point in judge.points if point.fnmr]
        chart.dots(marked, colour)
        chart.named(colour, judge.matcher.name)
    return chart.render()


def calibration(found: Calibration, contract: Contract) -> str:
    """FNMR against scale as the calibration measured it, what was asked, and what was delivered."""
    asked = contract.asked
    slack, delivered = asked.fnmr * asked.tolerance, contract.delivered.fnmr
    low, high = delivered.interval.low, delivered.interval.high
    near = [point for point in found.curve if point.measured.fnmr.value <= 4 * asked.fnmr] or list(found.curve)
    intervals = [(point.scale, point.measured.fnmr.interval) for point in near]
    bands = [(scale, found.low, found.high) for scale, found in intervals]
    scales = [point.scale for point in near] + [contract.scale]
    chart = Chart(
        linear("scale of the observation latents (σ)", max(0.0, min(scales) * 0.95), max(scales) * 1.05),
        linear(
            f"FNMR at FMR {fmr_text(asked.fmr)}",
            0,
            min(1.0, max([*(band[2] for band in bands), high, asked.fnmr + slack]) * 1.05),
            form=_ticked,
        ),
        "Calibration curve: FNMR against scale, with what was asked and what was delivered",
        width=640,
        height=320,
    )
    chart.level(asked.fnmr - slack, asked.fnmr + slack, "c2", f"asked {fmr_text(asked.fnmr)} ± {asked.tolerance:.0%}")
    chart.band(bands, "c0")
    chart.line([(point.scale, point.smoothed) for point in near], "c0")
    chart.dots([(point.scale, point.measured.fnmr.value) for point in near], "c0", hollow=True)
    chart.whisker(contract.scale, low, high, "c1")
    chart.dots([(contract.scale, delivered.value)], "c1")
    chart.named("c0", "calibration")
    chart.named("c1", "delivered")
    return chart.render()


def nearest(judge: JudgeReport) -> str | None:
    """Scores of every identity with its nearest other."""
    found = judge.uniqueness
    if not found:
        return None
    chart = _overlaid(
        f"Scores with the nearest other identity by {judge.matcher.name}",
        f"score with the nearest other identity, {judge.matcher.name}",
        [(found.nearest, NON_MATED, "nearest other")],
        height=230,
    )
    chart.upright(found.threshold, f"FMR {fmr_text(found.target_fmr)}")
    return chart.render()


def tail(judge: JudgeReport) -> str | None:
    """FMR against threshold in the non-mated tail."""
    ordered = [point for point in sorted(judge.tail, key=lambda point: point.rank) if point.fmr <= FMR_OF_TAIL]
    if len(ordered) < 2 or ordered[0].score == ordered[-1].score:
        return None
    chart = Chart(
        linear(f"threshold, {judge.matcher.name}", ordered[-1].score, ordered[0].score),
        logarithmic("FMR", min(point.low for point in ordered), max(point.high for point in ordered), form=power),
        f"Tail of non-mated scores by {judge.matcher.name}",
        height=230,
        legend=False,
    )
    chart.band([(point.score, point.low, point.high) for point in ordered], NON_MATED)
    chart.line([(point.score, point.fmr) for point in ordered], NON_MATED)
    return chart.render()


def identification(judge: JudgeReport) -> str | None:
    """FNIR against gallery size; extrapolated sizes are dashed and hollow."""
    points = [point for point in judge.identification if point.resolved or point.extrapolated]
    if not points:
        return None
    sizes = [point.size for point in points]
    top = min(1.0, max(point.by_subject.high for point in points) * 1.05)
    chart = Chart(
        logarithmic(
            f"references in the gallery, {judge.matcher.name}", min(sizes) * 0.85, max(sizes) * 1.2, form=_counted
        ),
        linear("FNIR", 0, max(top, 0.01), form=_ticked),
        f"FNIR against gallery size by {judge.matcher.name}",
    )
    for index, fpir in enumerate(sorted({point.target_fpir for point in points}, reverse=True)):
        colour = COLOURS[index % len(COLOURS)]
        there = sorted((point for point in points if point.target_fpir == fpir), key=lambda point: point.size)
        chart.band([(p.size, p.by_subject.low, min(p.by_subject.high, 1.0)) for p in there], colour)
        measured = [point for point in there if not point.extrapolated]
        beyond = [*measured[-1:], *(point for point in there if point.extrapolated)]
        chart.line(_fnirs(measured), colour)
        chart.dots(_fnirs(measured), colour)
        if len(beyond) > 1:
            chart.line(_fnirs(beyond), colour, dashed=True)
            chart.dots(_fnirs(beyond[1:]), colour, hollow=True)
        chart.named(colour, f"FPIR {_ticked(fpir)}")
    return chart.render()


def _fnirs(points: Sequence[IdentificationPoint]) -> list[tuple[float, float]]:
    return [(point.size, point.fnir) for point in points]


def leakage(found: Leakage, matcher: str) -> str:
    """Nearest-neighbour scores with the training set: samples, and identities that were held out."""
    return _overlaid(
        f"Nearest-neighbour scores with the training set by {matcher}",
        f"score with the nearest training identity, {matcher}",
        [(found.strangers, "c2", "held out"), (found.synthetic, "c0", "this set")],
    ).render()


def groups(found: Differential) -> str | None:
    """FNMR of every group with its interval."""
    there = [(group.group, group.fnmr) for group in found.groups if group.fnmr]
    if not there:
        return None
    intervals = [rate.interval for _, rate in there]
    top = min(1.0, max([interval.high for interval in intervals] + [0.01]) * 1.05)
    axis = Axis(
        title=found.attribute.replace("_", " "),
        low=-0.5,
        high=len(there) - 0.5,
        ticks=tuple((float(number), without(name, found.attribute)) for number, (name, _) in enumerate(there)),
    )
    chart = Chart(
        axis,
        linear("FNMR", 0, top, form=_ticked, steps=4),
        f"FNMR by {found.attribute.replace('_', ' ')}",
        width=300,
        height=200,
        legend=False,
    )
    for index, ((_, rate), interval) in enumerate(zip(there, intervals, strict=True)):
        chart.whisker(index, interval.low, min(interval.high, 1.0), "c0")
        chart.dots([(index, rate.value)], "c0")
    return chart.render()


def pose(found: Pose) -> str:
    """Yaw asked for and yaw measured."""
    return _overlaid(
        "Yaw asked for and yaw measured",
        "yaw, degrees",
        [(found.asked, "c2", "asked for"), (found.measured, "c0", "measured")],
        height=230,
    ).render()


def measure(found: QualityMeasure) -> str | None:
    """One measure of quality."""
    if not found.values or found.values.minimum == found.values.maximum:
        return None
    unit = f", {found.unit}" if found.unit else ""
    title = found.title or spelt_out(found.name)
    return _overlaid(
        f"Distribution of {title}: median {number(found.values.median)}",
        f"{title}{unit}",
        [(found.values, "c0", title)],
        width=300,
        height=180,
    ).render()
