"""What σ does, to look at: a sheet of the same latents at every σ, and the curves of every judge as SVG."""

from collections.abc import Sequence

from app.charts.svg import Chart, linear
from workers.appraisal.samples import samples_at
from workers.appraisal.sweep import FMR_OF_SWEEP
from workers.appraisal.table import Appraisal
from workers.generator.base import Generator
from workers.images import Pixels, contact_sheet
from workers.report.plots import COLOURS


def sweep_sheet(generator: Generator, sigmas: Sequence[float], *, subjects: int = 2, samples: int = 4) -> Pixels:
    """A row a σ: a few samples of a few subjects, always the same latents, uint8 [rows, columns, 3]."""
    rows: list[list[Pixels | None]] = []
    for sigma in sigmas:
        row: list[Pixels | None] = []
        for batch in samples_at(generator, sigma, subjects=subjects, samples=samples):
            row += list(batch.pixels)
        rows.append(row)
    return contact_sheet(rows, min(generator.card.sizes[0][0], 96))


def sweep_plot(appraisal: Appraisal) -> str:
    """FNMR against σ with its interval, a line a judge, as an SVG document."""
    highest = max([0.05, *(point.fnmr_high for point in appraisal.curve)])
    chart = Chart(
        linear("σ", 0, max(point.sigma for point in appraisal.curve)),
        linear(f"FNMR at FMR {FMR_OF_SWEEP:g}", 0, highest, form="{:.0%}".format),
        f"{appraisal.model} {appraisal.version}: FNMR at FMR {FMR_OF_SWEEP:g} against σ ({appraisal.subjects} "
        f"subjects × {appraisal.samples_per_subject}, {appraisal.spread})",
        width=560,
        height=320,
    )
    for number, judge in enumerate(appraisal.judges):
        colour = COLOURS[number % len(COLOURS)]
        points = sorted((point for point in appraisal.curve if point.judge == judge), key=lambda point: point.sigma)
        chart.band([(point.sigma, point.fnmr_low, point.fnmr_high) for point in points], colour)
        chart.line([(point.sigma, point.fnmr) for point in points], colour)
        chart.named(colour, judge)
    return chart.document()
