"""Small charts as SVG: axes, lines, bands, histograms. Inline, colours and fonts are the page's, by class; a chart that
stands alone brings its own.

Every coordinate has one decimal, so the same data give the same bytes. Colours: class `c0`, `c1` … sets `color`, and
shapes are drawn in currentColor.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import NormalDist

from app.dataset.measures import Bins

Point = tuple[float, float]

LEFT, RIGHT, TOP, BOTTOM = 52, 14, 30, 42
"""Margins, px; the legend is in the upper one."""
WIDE = 500
"""A chart wider than this is shrunk on a telephone, where its page makes the letters larger: they need more room."""

BARE_TOP = 10
"""Without a legend."""

STYLE = (
    "svg{--paper:#fff;font-family:sans-serif;color:#1d2429;background:#fff}text{font-size:11px;fill:currentColor}"
    ".grid{stroke:#d9dee2;stroke-width:.7;fill:none}.axis{stroke:#5b666e;fill:none}.tick,.title,.ink{color:#5b666e}"
    ".head{font-size:13px}.c0,.mated{color:#0b6e99}.c1,.nonmated{color:#b3541e}.c2{color:#3f7d20}.c3{color:#6b4c9a}"
)
"""Of a chart that stands alone."""

PROBITS = (1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: what it shows, from where to where, and how a value becomes a place."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    place: Callable[[float], float] = float
    """Monotone."""

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high one; what lies outside is laid on the end."""
        low, high = self.place(self.low), self.place(self.high)
        return (self.place(min(max(value, self.low), self.high)) - low) / (high - low)


def nice_step(rough: float) -> float:
    """The first of 1, 2 or 5 times a power of ten that is about as large, or larger; `rough` > 0."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def linear(title: str, low: float, high: float, *, form: Callable[[float], str] | None = None, steps: int = 5) -> Axis:
    """Ticks at round values; the ends stay as given."""
    if not low < high:
        low, high = low - 0.5, high + 0.5
    step = nice_step((high - low) / steps)
    digits = max(0, -math.floor(math.log10(step)))
    ticks = [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    show = form or (lambda value: f"{value:.{digits}f}".replace("-", "−"))
    return Axis(title=title, low=low, high=high, ticks=tuple((tick, show(tick)) for tick in ticks))


def logarithmic(title: str, low: float, high: float, *, form: Callable[[float], str]) -> Axis:
    """Ticks at powers of ten."""
    powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    return Axis(
        title=title, low=low, high=high, ticks=tuple((10.0**p, form(10.0**p)) for p in powers), place=math.log10
    )


def probit(title: str, low: float, high: float, *, form: Callable[[float], str]) -> Axis:
    """A share on the scale of normal deviates, on which DET curves of normal scores are straight."""
    ticks = tuple((tick, form(tick)) for tick in PROBITS if low <= tick <= high)
    return Axis(title=title, low=low, high=high, ticks=ticks, place=NormalDist().inv_cdf)


class Chart:
    """One chart, filled shape by shape and then rendered."""

    def __init__(
        self, x: Axis, y: Axis, label: str, *, width: int = 430, height: int = 290, legend: bool = True
    ) -> None:
        self._x, self._y, self._label = x, y, label
        self._width, self._height = width, height
        self._top = TOP if legend else BARE_TOP
        self._wide = width > WIDE
        self._left = LEFT + (18 if self._wide else 0)
        self._shapes: list[str] = []
        self._legend: list[tuple[str, str, bool]] = []

    def line(self, points: Sequence[Point], colour: str, *, dashed: bool = False) -> None:
        """Join points."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._shapes.append(
            f'<polyline class="{colour}" points="{self._path(points)}" fill="none" stroke="currentColor" '
            f'stroke-width="1.8" stroke-linejoin="round"{dash}/>'
        )

    def band(self, points: Sequence[tuple[float, float, float]], colour: str) -> None:
        """Fill between (x, low, high)."""
        outline = [(x, high) for x, _, high in points] + [(x, low) for x, low, _ in reversed(points)]
        self._shapes.append(
            f'<polygon class="{colour}" points="{self._path(outline)}" fill="currentColor" fill-opacity="0.16"/>'
        )

    def dots(self, points: Sequence[Point], colour: str, *, hollow: bool = False) -> None:
        """Mark points."""
        fill = 'fill="var(--paper)" stroke="currentColor" stroke-width="1.6"' if hollow else 'fill="currentColor"'
        self._shapes.extend(
            f'<circle class="{colour}" cx="{self._at_x(x):.1f}" cy="{self._at_y(y):.1f}" r="3.2" {fill}/>'
            for x, y in points
        )

    def whisker(self, x: float, low: float, high: float, colour: str) -> None:
        """An upright interval."""
        at, bottom, top = self._at_x(x), self._at_y(low), self._at_y(high)
        self._shapes.append(
            f'<path class="{colour}" d="M{at:.1f} {bottom:.1f}V{top:.1f}M{at - 4:.1f} {bottom:.1f}h8'
            f'M{at - 4:.1f} {top:.1f}h8" fill="none" stroke="currentColor" stroke-width="1.6"/>'
        )

    def histogram(self, bins: Bins, colour: str, *, over: float) -> None:
        """Bins as a filled outline, their heights divided by `over`."""
        base = self._at_y(self._y.low)
        path = [f"M{self._at_x(bins.low):.1f} {base:.1f}"]
        for number, count in enumerate(bins.counts):
            left, right = bins.low + number * bins.width, bins.low + (number + 1) * bins.width
            path.append(f"L{self._at_x(left):.1f} {self._at_y(count / over):.1f}H{self._at_x(right):.1f}")
        self._shapes.append(
            f'<path class="{colour}" d="{"".join(path)}V{base:.1f}Z" fill="currentColor" fill-opacity="0.22" '
            'stroke="currentColor" stroke-width="1.3" stroke-linejoin="round"/>'
        )

    def upright(self, x: float, text: str, colour: str = "ink") -> None:
        """A dashed line at x, named at its top."""
        at = self._at_x(x)
        end = at > self._width - 110
        self._shapes.append(
            f'<path class="{colour}" d="M{at:.1f} {self._top}V{self._height - BOTTOM}" stroke="currentColor" '
            'stroke-width="1" stroke-dasharray="3 3"/>'
            f'<text class="{colour} note" x="{at + (-4 if end else 4):.1f}" y="{self._top + 10}" '
            f'text-anchor="{"end" if end else "start"}">{escape(text)}</text>'
        )

    def level(self, low: float, high: float, colour: str, text: str = "") -> None:
        """A stripe between two values of y, or a line where they are one."""
        top, bottom = self._at_y(high), self._at_y(low)
        right = self._width - RIGHT
        self._shapes.append(
            f'<rect class="{colour}" x="{self._left}" y="{top:.1f}" width="{right - self._left}" '
            f'height="{max(bottom - top, 0.8):.1f}" fill="currentColor" fill-opacity="{0.14 if high > low else 0.8}"/>'
        )
        if text:
            self._shapes.append(
                f'<text class="{colour} note" x="{self._left + 5}" y="{top - 4:.1f}">{escape(text)}</text>'
            )

    def named(self, colour: str, text: str, *, dashed: bool = False) -> None:
        """An entry of the legend: a patch of the colour, or a dashed line."""
        self._legend.append((colour, text, dashed))

    def render(self) -> str:
        """The chart as an SVG element, for a page that has its style; texts are escaped."""
        return (
            f'<svg class="chart" viewBox="0 0 {self._width} {self._height}" role="img" '
            f'aria-label="{escape(self._label)}" xmlns="http://www.w3.org/2000/svg">{self._body()}</svg>'
        )

    def document(self) -> str:
        """The chart as a file of its own, its label above it."""
        above = 26
        label = escape(self._label)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width} {self._height + above}" role="img">'
            f'<title>{label}</title><style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
            f'<text class="head" x="{self._left}" y="18">{label}</text>'
            f'<g transform="translate(0 {above})">{self._body()}</g></svg>\n'
        )

    def _body(self) -> str:
        right, bottom = self._width - RIGHT, self._height - BOTTOM
        parts = []
        middle = (self._top + bottom) / 2
        for value, text in self._y.ticks:
            at = self._at_y(value)
            parts.append(
                f'<path class="grid" d="M{self._left} {at:.1f}H{right}"/>'
                f'<text class="tick" x="{self._left - 7}" y="{at + 3.5:.1f}" text-anchor="end">{escape(text)}</text>'
            )
        for value, text in self._x.ticks:
            at = self._at_x(value)
            parts.append(
                f'<path class="grid" d="M{at:.1f} {self._top}V{bottom}"/>'
                f'<text class="tick" x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">{escape(text)}</text>'
            )
        parts.append(f'<path class="axis" d="M{self._left} {bottom}H{right}"/>')
        parts += self._shapes
        parts.append(
            f'<text class="title" x="{(self._left + right) / 2:.1f}" y="{self._height - 6}" text-anchor="middle">'
            f"{escape(self._x.title)}</text>"
            f'<text class="title" transform="translate({16 if self._wide else 12} {middle:.1f}) rotate(-90)" '
            f'text-anchor="middle">{escape(self._y.title)}</text>'
        )
        at = float(self._left)
        for colour, text, dashed in self._legend:
            parts.append(
                f'<path class="{colour}" d="M{at:.1f} 13.5h12" stroke="currentColor" stroke-width="1.8" '
                'stroke-dasharray="5 2"/>'
                if dashed
                else f'<rect class="{colour}" x="{at:.1f}" y="8" width="11" height="11" rx="2" fill="currentColor"/>'
            )
            parts.append(f'<text class="legend" x="{at + 16:.1f}" y="17.5">{escape(text)}</text>')
            at += 30 + (9.4 if self._wide else 6.1) * len(text)
        return "".join(parts)

    def _at_x(self, value: float) -> float:
        return self._left + self._x.share(value) * (self._width - self._left - RIGHT)

    def _at_y(self, value: float) -> float:
        return self._height - BOTTOM - self._y.share(value) * (self._height - self._top - BOTTOM)

    def _path(self, points: Sequence[Point]) -> str:
        return " ".join(f"{self._at_x(x):.1f},{self._at_y(y):.1f}" for x, y in points)
