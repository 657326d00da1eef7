"""The DET of new scores over the baseline's, as SVG: both axes logarithmic, the compared points marked."""

from html import escape

import numpy as np

from app.dataset.evaluation import DetPoint, Evaluation, ScoresFound

WIDTH, HEIGHT = 560, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 60

COLOURS = {"new": "#c2410c", "baseline": "#1d4ed8"}


def det_svg(found: Evaluation) -> str:
    """Draw the curves; readable without colour, for the baseline is dashed."""
    curves = {"new": found.scores} | ({"baseline": found.baseline} if found.baseline else {})
    points = [point for scores in curves.values() for point in scores.det]
    left = min(max(min((point.fmr for point in points if point.fmr > 0), default=0.1), 1e-8), 0.1)
    low = min(max(min((point.fnmr for point in points if point.fnmr > 0), default=0.01), 1e-6), 0.1)
    x_from, y_from = np.floor(np.log10(left)), np.floor(np.log10(low))

    def place(point: DetPoint) -> tuple[float, float]:
        across = (np.log10(max(point.fmr, 10**x_from)) - x_from) / -x_from
        up = (np.log10(max(point.fnmr, 10**y_from)) - y_from) / -y_from
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    title = escape(f"DET, {found.set.release or found.set.name}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="12"><title>{title}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{title}</text>',
    ]
    for decade in range(int(x_from), 1):
        x, _ = place(DetPoint(fmr=10.0**decade, fnmr=1.0))
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM) + _text(x, HEIGHT - BOTTOM + 18, f"{10.0**decade:g}", "middle"))
    for decade in range(int(y_from), 1):
        _, y = place(DetPoint(fmr=1.0, fnmr=10.0**decade))
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y) + _text(LEFT - 8, y + 4, f"{10.0**decade:g}", "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, "FMR", "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<g transform="rotate(-90 16 {middle})">{_text(16, middle, "FNMR", "middle")}</g>')
    for number, (name, scores) in enumerate(curves.items()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, scores.det))
        dash = "" if name == "new" else ' stroke-dasharray="6 4"'
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"{dash}/>')
        x, y = place(_compared(scores))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{COLOURS[name]}"/>')
        at = TOP + 18 + 18 * number
        parts.append(
            f'<line x1="{WIDTH - RIGHT - 120}" y1="{at}" x2="{WIDTH - RIGHT - 90}" y2="{at}" stroke="{COLOURS[name]}" '
            f'stroke-width="2"{dash}/>'
            + _text(WIDTH - RIGHT - 82, at + 4, {"new": "new scores"}.get(name, name), "start")
        )
    return "".join(parts) + "</svg>\n"


def _compared(scores: ScoresFound) -> DetPoint:
    return DetPoint(fmr=scores.points[0].fmr.value, fnmr=scores.points[0].fnmr.value)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
