"""The study as one page of HTML: nothing is loaded from anywhere, and whatever cards say is escaped."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from app.charts.svg import Chart, linear, probit
from workers.report import page as report_page
from workers.report import plots, wording
from workers.study.spec import TARGET, ByMatcher, StudyFound

HERE = Path(__file__).parent

COLOURS = ("c0", "c1", "c2", "c3", "c4", "c5")


class Picture(NamedTuple):
    """A picture for the page."""

    jpeg: bytes
    width: int
    """It is shown no wider, px."""

    @property
    def data(self) -> str:
        """As a data URI has it."""
        return b64encode(self.jpeg).decode()


class Pictures(NamedTuple):
    """What is shown of a method."""

    method: str
    sheet: Picture
    pairs: tuple[tuple[Picture, float], ...]
    """Look-alikes, and the score of each pair."""


def render_study(study: StudyFound, pictures: Mapping[str, Pictures]) -> bytes:
    """The page as UTF-8."""
    names = [facts.name for facts in study.spec.matchers]
    text = (
        _environment()
        .get_template("study.html")
        .render(
            s=study,
            names=names,
            target=TARGET,
            css=Markup((Path(report_page.__file__).parent / "page.css").read_text(encoding="utf-8")),  # noqa: S704
            pictures=pictures,
            sentences=_sentences(study),
            eer_over_sigma={name: _eer_over_sigma(study, name) for name in names},
            charts=[
                {
                    "method": found.method,
                    "scores": [plots.scores(one.ordinary) for one in found.by_matcher],
                    "dets": [_dets(one) for one in found.by_matcher],
                    "nearest": [plots.nearest(one.ordinary) for one in found.by_matcher],
                    "leakage": [
                        plots.leakage(one.ordinary.leakage, one.ordinary.matcher.name)
                        for one in found.by_matcher
                        if one.ordinary.leakage
                    ],
                    "searches": [plots.identification(one.ordinary) for one in found.by_matcher],
                }
                for found in study.methods
            ],
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
    }
    return environment


def _dets(one: ByMatcher) -> str | None:
    """DET curves of one matcher over σ."""
    curves = [at for at in one.over_sigma if at.det]
    points = [point for at in curves for point in at.det]
    if not points:
        return None
    lowest = max(min(point.at for point in points) * 0.9, 1e-8)
    floor = max(1e-4, min([point.fnmr for point in points if point.fnmr > 0], default=0.01) * 0.6)
    chart = Chart(
        probit("false match rate (FMR)", lowest, 0.42, form=_ticked),
        probit(
            f"FNMR, {one.ordinary.matcher.name}", floor, min(0.999, max(0.5, *(p.fnmr for p in points))), form=_ticked
        ),
        f"DET curves over σ by {one.ordinary.matcher.name}",
    )
    for number, at in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        chart.line([(point.at, point.fnmr) for point in at.det], colour)
        chart.named(colour, f"σ {at.sigma:g}" if len(curves) > 1 else one.ordinary.matcher.name)
    return chart.render()


def _eer_over_sigma(study: StudyFound, matcher: str) -> str | None:
    """EER against σ by one matcher, a line a method."""
    lines: list[tuple[str, list[tuple[float, float, float, float]]]] = []
    for found in study.methods:
        there = [
            (at.sigma, at.eer.value, *_ends(at.eer.value, at.eer.by_subject))
            for at in found.by(matcher).over_sigma
            if at.eer is not None
        ]
        if there:
            lines.append((found.method.name, there))
    if not lines:
        return None
    most = max(high for _, there in lines for *_, high in there)
    chart = Chart(
        linear("σ", 0, max(study.spec.sigmas)),
        linear(f"EER, {matcher}", 0, max(0.02, min(1.0, 1.05 * most)), form=_ticked),
        f"EER against σ by {matcher}",
    )
    for number, (name, there) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        chart.band([(sigma, low, high) for sigma, _, low, high in there], colour)
        chart.line([(sigma, value) for sigma, value, _, _ in there], colour)
        chart.dots([(sigma, value) for sigma, value, _, _ in there], colour)
        chart.named(colour, name)
    return chart.render()


def _ends(value: float, interval: Any) -> tuple[float, float]:
    return (interval.low, interval.high) if interval else (value, value)


def _ticked(share: float) -> str:
    return f"{100 * share:g}%"


def _sentences(study: StudyFound) -> list[str]:
    """What the figures come to, each sentence out of the figures alone."""
    spec = study.spec
    made = [found for found in study.methods if found.method.kind != "photographs"]
    told = [
        f"{wording.plural(len(made), 'method')} of {spec.subjects:,} subjects × {spec.samples} samples at "
        f"{wording.plural(len(spec.sigmas), 'setting')} of σ, judged by {', '.join(f.name for f in spec.matchers)}."
    ]
    if len(spec.sigmas) > 1 and made:
        what = f"FNMR at FMR {wording.fmr_text(TARGET)}"
        told += [f"By {facts.name}, {what} {_rising(study, facts.name)}." for facts in spec.matchers]
    for worse, better in sorted({(one.worse, one.better) for found in study.methods for one in found.improvements}):
        seen = [f"{name} at σ {sigma:g}" for name, sigma in _seen(study, worse, better)]
        if seen:
            told.append(f"That {better} is better than {worse} is seen on {', '.join(seen)}.")
    return told


def _rising(study: StudyFound, matcher: str) -> str:
    """For which methods one matcher's FNMR rises with σ, and for which too few comparisons leave it open."""
    made = [found for found in study.methods if found.method.kind != "photographs"]
    rates = {
        found.method.name: [None if at.fnmr is None else at.fnmr.value for at in found.by(matcher).over_sigma]
        for found in made
    }
    whole = {name: [rate for rate in each if rate is not None] for name, each in rates.items() if None not in each}
    rising = [name for name, each in whole.items() if all(before < after for before, after in pairwise(each))]
    few = [name for name in rates if name not in whole]
    told = f"rises with every step of σ for {_listed(rising)} of {len(whole)}"
    left = f"cannot be told at every σ for {_listed(few)}: too few comparisons, so give more subjects or samples"
    if not whole:
        return left
    return f"{told}; it {left}" if few else told


def _seen(study: StudyFound, worse: str, better: str) -> list[tuple[str, float]]:
    return [
        (found.method.name, one.sigma)
        for found in study.methods
        for one in found.improvements
        if (one.worse, one.better) == (worse, better) and one.seen
    ]


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "none"
