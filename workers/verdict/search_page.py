"""What came of searches as one page of HTML that loads nothing; whatever users wrote is escaped."""

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from app.charts.det import galleries_det, lists_det
from app.charts.galleries import gallery_chart, rank_chart
from app.charts.svg import Chart
from app.dataset.candidates import SearchesFound
from app.dataset.evaluation import Verdict
from app.dataset.galleries import GalleriesFound
from workers.verdict.gallery_words import gallery_facts, gallery_held_out, gallery_rank_rows, gallery_rows
from workers.verdict.search_words import search_facts, search_rates

STYLE = Path(__file__).parents[1] / "report" / "page.css"

CLASSES = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.UNDECIDED: "absent"}

Rows = Iterable[list[str]]

BANDS = "Bands are 95% intervals over other probes' subjects"
MARKED = "The point marked is the one that limits are about; a rate of 0 lies on the axis."


def lists_page(found: SearchesFound) -> bytes:
    """Of candidate lists."""
    lines = [*_head(found.set.release or found.set.name, found.verdict, found.reason)]
    if det := lists_det(found):
        lines += _figure(det, f"FNIR over FPIR. {BANDS}. {MARKED}")
    head = ["", "new", *(["baseline"] if found.baseline else [])]
    lines += _table(head, ([name.strip("*"), *cells] for name, cells in search_rates(found)))
    return _page([*lines, *_list(f"{name}: {value}" for name, value in search_facts(found)), *_notes(found.notes)])


def galleries_page(found: GalleriesFound) -> bytes:
    """Of templates that were searched."""
    lines = [*_head(found.name, found.verdict, found.reason)]
    lines += _list(f"{name}: {value}" for name, value in gallery_facts(found))
    curves = [("", curve) for curve in found.curves] + [("baseline, ", curve) for curve in found.baseline]
    heads = ["others in the gallery, N", *(f"{title}{curve.others}" for title, curve in curves)]
    beyond = "; dashed, with hollow points: extrapolated" if _extrapolates(found) else ""
    for number, fpir in enumerate(found.rule.at_fpir):
        lines.append(f"<h2>FNIR at FPIR {100 * fpir:g}%</h2>")
        if number == 0:
            lines += _figure(gallery_chart(found), f"{BANDS} and other galleries{beyond}.")
        lines += _table(heads, gallery_rows([curve for _, curve in curves], fpir))
    lines.append("<h2>Missed at rank one</h2>")
    lines += _figure(rank_chart(found), "Mated searches whose mate does not stand alone at rank 1.")
    lines += _table(["N", *heads[1:]], gallery_rank_rows(curves))
    if det := galleries_det(found):
        lines += ["<h2>DET</h2>", *_figure(det, f"FNIR over FPIR in the widest galleries searched. {MARKED}")]
    if held := list(gallery_held_out(found)):
        lines += ["<h2>Held out</h2>", *_list(held)]
    return _page([*lines, *_notes(found.notes)])


def _extrapolates(found: GalleriesFound) -> bool:
    return any(point.extrapolated for curve in found.curves for point in curve.points)


def _page(lines: Iterable[str]) -> bytes:
    return "\n".join([*lines, "</body></html>\n"]).encode()


def _head(name: str, verdict: Verdict | None, reason: str) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Searches: {escape(name)}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body>"
    yield f'<p class="kicker">1:N searches</p><h1>{escape(name)}</h1>'
    said = f'<b class="{CLASSES[verdict]}">{verdict}</b>: ' if verdict else ""
    yield f"<p>{said}{escape(reason)}</p>"


def _figure(chart: Chart, caption: str) -> Iterator[str]:
    yield f"<figure>{chart.render()}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(heads: list[str], rows: Rows) -> Iterator[str]:
    yield f"<table><thead><tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr></thead><tbody>"
    for first, *cells in rows:
        others = (
            f'<td data-label="{escape(head)}">{escape(cell)}</td>' for head, cell in zip(heads[1:], cells, strict=True)
        )
        yield f"<tr><th>{escape(first)}</th>{''.join(others)}</tr>"
    yield "</tbody></table>"


def _list(texts: Iterable[str]) -> Iterator[str]:
    yield f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"


def _notes(notes: tuple[str, ...]) -> Iterator[str]:
    if notes:
        yield "<h2>What else to know</h2>"
        yield from _list(notes)
