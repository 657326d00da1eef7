"""The report as one page of HTML: nothing is loaded from anywhere, and whatever users wrote is escaped."""

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from app.dataset.measures import OperatingPoint
from app.dataset.report import JudgeReport, Report
from workers.report import plots, wording
from workers.report.difficulty import TARGETS
from workers.report.glossary import GLOSSARY
from workers.report.qualities import spelt_out
from workers.report.summary import headline, leaks

HERE = Path(__file__).parent

SHOWN_MEASURES = ("inter_eye_px", "sharpness", "contrast", "brightness", "roll_deg", "sface_norm")
"""Measures that are drawn; the table has all of them."""


class Tile(NamedTuple):
    """A figure that stands out."""

    value: str
    label: str
    tone: str = ""
    """`good`, `bad` or neither."""


class Sheet(NamedTuple):
    """A contact sheet for the page."""

    jpeg: bytes
    width: int
    """It is shown no wider, px."""
    rows: tuple[str, ...] = ()
    """The subjects' labels, from above."""
    columns: int = 0
    """Samples of a row; the first is the reference."""


def render_page(report: Report, sheets: Sequence[Sheet] = ()) -> bytes:
    """The page as UTF-8, with contact sheets beside each other."""
    judges = report.judges
    shown = {measure.name: measure for measure in report.quality.measures} if report.quality else {}
    grouped = next((judge.groups for judge in judges if judge.groups), ())
    charts = SimpleNamespace(
        calibration=plots.calibration(report.calibration, report.contract)
        if report.contract and report.calibration
        else None,
        det=plots.det(judges),
        scores=[plots.scores(judge) for judge in judges],
        nearest=[plots.nearest(judge) for judge in judges],
        tail=[plots.tail(judge) for judge in judges],
        identification=[plots.identification(judge) for judge in judges],
        leakage=[plots.leakage(judge.leakage, judge.matcher.name) for judge in judges if judge.leakage],
        groups=[plots.groups(one) for one in grouped],
        pose=plots.pose(report.quality.pose) if report.quality and report.quality.pose else None,
        measures=[plots.measure(shown[name]) for name in SHOWN_MEASURES if name in shown],
    )
    text = (
        _environment()
        .get_template("page.html")
        .render(
            r=report,
            css=Markup((HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704  (our own file)
            plots=charts,
            tiles=_tiles(report),
            targets=_targets(report),
            unresolved=_unresolved(report),
            glossary=GLOSSARY,
            largest={judge.matcher.name: _telling_sizes(judge) for judge in judges},
            request=json.dumps(report.dataset.request, ensure_ascii=False),
            sheets=[{**sheet._asdict(), "data": b64encode(sheet.jpeg).decode()} for sheet in sheets],
        )
    )
    return text.encode()


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": wording.percent,
        "between": wording.between,
        "number": wording.number,
        "fmr": wording.fmr_text,
        "plain": wording.plain,
        "at_target": _at_target,
        "ends": wording.ends,
        "without": wording.without,
        "sentence": lambda text: text.replace("_", " "),
        "short_digest": short_digest,
        "spelt_out": spelt_out,
    }
    return environment


def _targets(report: Report) -> list[float]:
    """The FMRs that any judge resolves; all of them, with why not, where none resolves any for another reason."""
    told = [target for target in TARGETS if any(judge.at_fmr(target) for judge in report.judges)]
    return told or ([] if _unresolved(report) else list(TARGETS))


def _unresolved(report: Report) -> list[OperatingPoint]:
    """What the set is too small for; of all judges the first says what it needs."""
    told: dict[float | None, OperatingPoint] = {}
    for judge in report.judges:
        for point in judge.points:
            if point.needs:
                told.setdefault(point.target_fmr, point)
    return list(told.values())


def short_digest(text: str) -> Markup:
    """A text with every digest in it cut to 16 digits, which are enough to know it by; report.json has them whole."""
    parts = re.split(r"([0-9a-f]{32,})", text)
    return Markup("").join(
        Markup('<span class="id">{}…</span>').format(part[:16]) if number % 2 else part
        for number, part in enumerate(parts)
    )


def _at_target(points: tuple[OperatingPoint, ...], fmr: float) -> OperatingPoint | None:
    return next((point for point in points if point.target_fmr == fmr), None)


def _telling_sizes(judge: JudgeReport) -> set[int]:
    """The largest gallery that was searched, and those beyond."""
    searched = [point.size for point in judge.identification if not point.extrapolated]
    beyond = {point.size for point in judge.identification if point.extrapolated}
    return beyond | {max(searched)} if searched else beyond


def _tiles(report: Report) -> list[Tile]:
    tiles = []
    contract = report.contract
    if contract:
        asked = contract.asked
        tiles.append(
            Tile(
                "met" if contract.met else "not met",
                f"contract: FNMR {wording.fmr_text(asked.fnmr)} at FMR {wording.fmr_text(asked.fmr)} on "
                f"{asked.matcher.name}, delivered {wording.percent(contract.delivered.fnmr.value)}",
                "good" if contract.met else "bad",
            )
        )
    judge = headline(report)
    if judge:
        point = judge.at_fmr(1e-3) or judge.at_fmr(1e-2)
        if point and point.fnmr:
            tiles.append(
                Tile(
                    wording.percent(point.fnmr.value),
                    f"FNMR at FMR {wording.fmr_text(point.target_fmr)}, {judge.matcher.name}",
                )
            )
        if judge.eer:
            tiles.append(Tile(wording.percent(judge.eer.value), f"equal error rate, {judge.matcher.name}"))
        if judge.uniqueness:
            tiles.append(
                Tile(
                    wording.percent(judge.uniqueness.u_class),
                    f"of {judge.uniqueness.identities:,} identities without a look-alike; by chance "
                    f"{wording.percent(judge.uniqueness.by_chance)}",
                )
            )
        if judge.leakage:
            tiles.append(
                Tile(
                    wording.number(judge.leakage.membership_auc),
                    "AUC of the membership attack on the training set; 0.5 is chance",
                    "bad" if leaks(judge.leakage) else "good",
                )
            )
    missing = report.counts.shortfall
    tiles.append(Tile(f"{missing:,}", "samples missing", "bad" if missing else "good"))
    return tiles
