"""What σ does, to look at: a sheet of the same latents at every σ, and the curves of every judge as SVG."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from workers.evaluation.samples import samples_at
from workers.evaluation.table import FMR_OF_SWEEP, Evaluation
from workers.generator.base import Generator
from workers.images import Pixels, contact_sheet

COLOURS = ("#0b6e99", "#b3541e", "#3f7d20", "#6b4c9a")


def sweep_sheet(generator: Generator, sigmas: Sequence[float], *, subjects: int = 2, samples: int = 4) -> Pixels:
    """A row a σ: a few samples of a few subjects, always the same latents, uint8 [rows, columns, 3]."""
    rows: list[list[Pixels | None]] = []
    for sigma in sigmas:
        row: list[Pixels | None] = []
        for batch in samples_at(generator, sigma, subjects=subjects, samples=samples):
            row += list(batch.pixels)
        rows.append(row)
    return contact_sheet(rows, min(generator.card.sizes[0][0], 96))


def sweep_plot(evaluation: Evaluation) -> str:
    """FNMR against σ with its interval, a line a judge, as an SVG document."""
    width, height, left, top, right, bottom = 560, 340, 60, 30, 20, 50
    sigmas = sorted({point.sigma for point in evaluation.curve})
    highest = max([0.05, *(point.fnmr_high for point in evaluation.curve)])

    def x(sigma: float) -> float:
        return left + (width - left - right) * sigma / max(sigmas)

    def y(rate: float) -> float:
        return height - bottom - (height - top - bottom) * rate / highest

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="18">{escape(evaluation.model)} {escape(evaluation.version)}: '
        f"FNMR at FMR {FMR_OF_SWEEP:g} against σ ({evaluation.subjects} subjects × "
        f"{evaluation.samples_per_subject}, 95% by subject)</text>",
    ]
    for step in range(6):
        rate = highest * step / 5
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y(rate):.1f}" y2="{y(rate):.1f}" stroke="#ddd"/>'
            f'<text x="{left - 8}" y="{y(rate) + 4:.1f}" text-anchor="end">{rate:.0%}</text>'
        )
    parts += [
        f'<text x="{x(sigma):.1f}" y="{height - bottom + 18}" text-anchor="middle">{sigma:g}</text>' for sigma in sigmas
    ]
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle">σ</text>')
    for number, judge in enumerate(evaluation.judges):
        colour = COLOURS[number % len(COLOURS)]
        points = sorted((p for p in evaluation.curve if p.judge == judge), key=lambda p: p.sigma)
        band = [f"{x(p.sigma):.1f},{y(p.fnmr_high):.1f}" for p in points]
        band += [f"{x(p.sigma):.1f},{y(p.fnmr_low):.1f}" for p in reversed(points)]
        line = " ".join(f"{x(p.sigma):.1f},{y(p.fnmr):.1f}" for p in points)
        parts.append(f'<polygon points="{" ".join(band)}" fill="{colour}" opacity="0.15"/>')
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(
            f'<rect x="{left + 12}" y="{top + 8 + 18 * number}" width="12" height="12" fill="{colour}"/>'
            f'<text x="{left + 30}" y="{top + 18 + 18 * number}">{escape(judge)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])
