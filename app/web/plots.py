"""Charts as SVG in the page: no script draws them, the page's own style colours them, and a sentence describes them."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 44


class Axis(NamedTuple):
    """One axis: [low, high] in the data's unit, `low` > 0 where it is logarithmic."""

    title: str
    low: float
    high: float
    log: bool = False
    percent: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between low (0) and high (1), held to that."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = (math.log10(max(number, 1e-12)) for number in (value, low, high))
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def ticks(self) -> list[float]:
        """Round values within."""
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**power for power in powers]
        step = _round_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def label(self, value: float) -> str:
        """A tick's text."""
        return f"{100 * value:.6g}%" if self.percent else f"{value:.6g}"


class Curve(NamedTuple):
    """A line with a band around it, and a name for the legend."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    """(x, low, high)."""
    dots: bool = False
    stepped: bool = False


def chart(
    x: Axis, y: Axis, curves: Sequence[Curve], *, describe: str, lines: Sequence[tuple[float, str]] = ()
) -> Markup:
    """Curves over axes; `lines` are (y, text), drawn across."""
    parts = [_grid(x, y)]
    for number, curve in enumerate(curves):
        parts.append(_curve(x, y, curve, number))
    for value, text in lines:
        at = _y(y, value)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(
            f'<text class="note" x="{WIDTH - RIGHT - 4}" y="{at - 5:.1f}" text-anchor="end">{escape(text)}</text>'
        )
    if len(curves) > 1:
        parts.append(_legend([curve.name for curve in curves]))
    return _svg(parts, describe)


def histogram(x: Axis, series: Sequence[tuple[str, float, float, Sequence[int]]], *, describe: str) -> Markup:
    """Distributions as areas of equal size: (name, low, width, counts) each."""
    shapes = []
    highest = 0.0
    for name, low, width, counts in series:
        total = sum(counts) or 1
        density = [count / total / width for count in counts]
        highest = max([highest, *density])
        shapes.append((name, low, width, density))
    y = Axis("density", 0.0, highest * 1.05 or 1.0)
    parts = [_grid(x, y, y_ticks=False)]
    for number, (_, low, width, density) in enumerate(shapes):
        points = [(low, 0.0)]
        for at, value in enumerate(density):
            points += [(low + at * width, value), (low + (at + 1) * width, value)]
        points.append((low + len(density) * width, 0.0))
        parts.append(f'<polygon class="area s{number}" points="{_points(x, y, points)}"/>')
    parts.append(_legend([name for name, *_ in shapes]))
    return _svg(parts, describe)


def trend(
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[tuple[float, float, float] | None]]],
    *,
    y: Axis,
    describe: str,
) -> Markup:
    """Values with intervals from one label to the next: (value, low, high), None where there is none."""
    x = Axis("", -0.5, max(len(labels) - 0.5, 0.5))
    parts = [_grid(x, y, x_ticks=False)]
    for at, label in enumerate(labels):
        if len(labels) <= 12 or at % -(-len(labels) // 12) == 0:
            text = label if len(label) <= 14 else f"{label[:13]}…"
            parts.append(
                f'<text class="tick" x="{_x(x, at)}" y="{HEIGHT - 24}" text-anchor="middle">{escape(text)}</text>'
            )
    for number, (_, values) in enumerate(series):
        shift = (number - (len(series) - 1) / 2) * 0.12
        known = [(at + shift, value) for at, value in enumerate(values) if value]
        for place, (value, low, high) in known:
            across = _x(x, place)
            parts.append(
                f'<line class="bar s{number}" x1="{across}" x2="{across}" y1="{_y(y, low)}" y2="{_y(y, high)}"/>'
                f'<circle class="dot s{number}" cx="{across}" cy="{_y(y, value)}" r="3.5"/>'
            )
        line = _points(x, y, [(place, found[0]) for place, found in known])
        parts.append(f'<polyline class="line thin s{number}" points="{line}"/>')
    if len(series) > 1:
        parts.append(_legend([name for name, _ in series]))
    return _svg(parts, describe)


def decades(values: Iterable[float], *, floor: float = 1e-6) -> tuple[float, float]:
    """Whole powers of ten around positive values, at least one apart and none above 1."""
    known = [max(value, floor) for value in values if value > 0] or [0.1]
    low = 10.0 ** math.floor(math.log10(min(known)) + 1e-9)
    return min(low, 0.1), 1.0


def _curve(x: Axis, y: Axis, curve: Curve, number: int) -> str:
    parts = []
    if curve.band:
        upper = [(at, high) for at, _, high in curve.band]
        lower = [(at, low) for at, low, _ in reversed(curve.band)]
        parts.append(f'<polygon class="band s{number}" points="{_points(x, y, [*upper, *lower])}"/>')
    points = list(curve.points)
    if curve.stepped:
        points = [corner for before, after in pairwise(points) for corner in (before, (after[0], before[1]))] + points[
            -1:
        ]
    parts.append(f'<polyline class="line s{number}" points="{_points(x, y, points)}"/>')
    if curve.dots:
        parts += [f'<circle class="dot s{number}" cx="{_x(x, a)}" cy="{_y(y, b)}" r="3.5"/>' for a, b in curve.points]
    return "".join(parts)


def _grid(x: Axis, y: Axis, *, x_ticks: bool = True, y_ticks: bool = True) -> str:
    parts = []
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in y.ticks() if y_ticks else ():
        at = _y(y, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{y.label(value)}</text>')
    for value in x.ticks() if x_ticks else ():
        at = _x(x, value)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{at}" y="{bottom + 16}" text-anchor="middle">{x.label(value)}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
    parts.append(
        f'<text class="title" x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x.title)}</text>'
    )
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text class="title" x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">'
        f"{escape(y.title)}</text>"
    )
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    parts = []
    for number, name in enumerate(names):
        at = TOP + 10 + 17 * number
        parts.append(f'<rect class="key s{number}" x="{WIDTH - 176}" y="{at - 8}" width="10" height="10" rx="2"/>')
        text = name if len(name) <= 24 else f"{name[:23]}…"
        parts.append(f'<text class="note" x="{WIDTH - 160}" y="{at + 1}">{escape(text)}</text>')
    return "".join(parts)


def _svg(parts: Iterable[str], describe: str) -> Markup:
    return Markup(  # noqa: S704  (every text in it was escaped above)
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(describe)}">'
        f"{''.join(parts)}</svg>"
    )


def _points(x: Axis, y: Axis, points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_x(x, a)},{_y(y, b)}" for a, b in points)


def _x(axis: Axis, value: float) -> float:
    return round(LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT), 1)


def _y(axis: Axis, value: float) -> float:
    return round(HEIGHT - BOTTOM - axis.share(value) * (HEIGHT - TOP - BOTTOM), 1)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= step * 0.999)
