"""The twin's page: gallery and set beside each other, as HTML that loads nothing from anywhere."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from app.charts.svg import Chart, linear, logarithmic
from workers.profile.compare import Comparison, Row

STYLE = Path(__file__).parents[1] / "report" / "page.css"

EXPLAINED = (
    "Every subject weighs alike. KS is the largest difference of cumulated shares at the edges that the profile tells, "
    "with what chance (95%) and its rounding may add or take; W is the mean difference of quantiles from 5% to 95%. "
    "Alike: KS within 10%, or within what chance and rounding do."
)

CLASSES = {"alike": "good", "not alike": "bad", "not comparable": "aside"}


def render(found: Comparison, title: str) -> bytes:
    """The page as UTF-8; `title` is the set's, and escaped."""
    return "\n".join(_lines(found, title)).encode()


def _lines(found: Comparison, title: str) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Twin: {escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body>"
    yield f'<p class="kicker">a gallery\'s profile and a synthetic set</p><h1>{escape(title)}</h1>'
    yield f"<p>{escape(found.sentence)}</p>"
    yield (
        f'<p class="aside">Profile <span class="mono">{escape(found.profile)}</span>, about {found.subjects[0]:,} '
        f"subjects; the set has {found.subjects[1]:,}. {EXPLAINED}</p>"
    )
    heads = "".join(f"<th>{head}</th>" for head in ("statistic", "gallery", "set", "KS", "W", ""))
    yield f"<table><thead><tr>{heads}</tr></thead><tbody>"
    for row in found.rows:
        yield _table_row(row)
    yield "</tbody></table>"
    drawn = [row for row in found.rows if row.twin_curve and len(row.gallery_curve) > 2]
    if drawn:
        yield "<h2>Cumulated shares</h2><p>Dots are the edges that the profile tells; between them it is silent.</p>"
    for row in drawn:
        yield f"<h3>{escape(row.name)}</h3>{_chart(row)}"
    yield "</body></html>\n"


def _table_row(row: Row) -> str:
    ks = "" if row.ks is None else f"{row.ks:.2f} ({row.ks_low:.2f}–{row.ks_high:.2f})"
    distance = "" if row.wasserstein is None else f"{row.wasserstein:.3g}"
    verdict = f'<b class="{CLASSES[row.verdict]}">{row.verdict}</b>'
    why = f'<br><span class="aside">{escape(row.why)}</span>' if row.why else ""
    says = f'<br><span class="aside">{escape(row.says)}</span>' if row.says else ""
    cells = (f"{escape(row.name)}{says}", _values(row.gallery), _values(row.twin), ks, distance, f"{verdict}{why}")
    labels = ("statistic", "gallery", "set", "KS", "W", "")
    return (
        "<tr>"
        + "".join(f'<td data-label="{label}">{cell}</td>' for label, cell in zip(labels, cells, strict=True))
        + "</tr>"
    )


def _values(found: dict[str, float | None]) -> str:
    return "<br>".join(
        f"{escape(name)}: {'not told' if value is None else f'{value:.4g}'}" for name, value in found.items()
    )


def _chart(row: Row) -> str:
    inner = [edge for edge, share in row.gallery_curve if 0 < share < 1]
    inner += [edge for edge, share in row.twin_curve if 0.005 < share < 0.995]
    low, high = min(inner), max(inner)
    low, high = low - 0.05 * (high - low) - 1e-9, high + 0.05 * (high - low) + 1e-9
    title = f"{row.name}{row.unit and f', {row.unit}'}"
    steep = low > 0 and high / low > 30
    axis = logarithmic(title, low, high, form=lambda value: f"{value:g}") if steep else linear(title, low, high)
    chart = Chart(
        axis, linear("share below", 0, 1), f"Cumulated shares of {row.name}: gallery and set", width=430, height=250
    )
    within = [point for point in row.twin_curve if low <= point[0] <= high]
    chart.line(within, "c0")
    chart.dots([point for point in row.gallery_curve if low <= point[0] <= high], "c1")
    chart.named("c0", "set")
    chart.named("c1", "gallery")
    return chart.render()
