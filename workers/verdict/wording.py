"""An evaluation in words: lines for a terminal, Markdown for a CI job's summary."""

from collections.abc import Iterator

from app.dataset.evaluation import Evaluation, PointFound, ScoresFound, Verdict
from app.dataset.measures import Rate

SIGNS = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.UNDECIDED: "❔"}


def summary_lines(found: Evaluation) -> list[str]:
    """The verdict and what it rests on, a line each."""
    lines = [f"{found.verdict or 'no verdict'}: {found.reason}"]
    lines += [f"{name}: {value}" for name, value in _facts(found)]
    return [*lines, *(f"note: {note}" for note in found.notes)]


def markdown(found: Evaluation) -> str:
    """A summary for CI: verdict, table, notes. Text from outside is escaped."""
    sign = f"{SIGNS[found.verdict]} {found.verdict}" if found.verdict else "Metrics"
    head = [
        "| | new scores |" + (" baseline |" if found.baseline else ""),
        "|---|---|" + ("---|" if found.baseline else ""),
    ]
    rows = [f"| {name} | " + " | ".join(cells) + " |" for name, cells in _table(found.scores, found.baseline)]
    facts = [f"- {name}: {_escaped(value)}" for name, value in _facts(found, rates=False)]
    notes = [f"- {_escaped(note)}" for note in found.notes]
    parts = [
        f"### {sign}: {_escaped(found.set.release or found.set.name)}",
        "",
        _escaped(found.reason),
        "",
        *head,
        *rows,
        "",
        *facts,
        *(["", "Notes:", "", *notes] if notes else []),
        "",
    ]
    return "\n".join(parts)


def _facts(found: Evaluation, *, rates: bool = True) -> Iterator[tuple[str, str]]:
    of, scores = found.set, found.scores
    yield "set", f"{of.release or of.name} ({of.dataset}), {of.comparisons:,} comparisons"
    yield "counted", f"{scores.mated:,} mated and {scores.non_mated:,} non-mated, {scores.subjects:,} subjects"
    if rates:
        for who, one in (("new", found.scores), ("baseline", found.baseline)):
            if one is not None:
                yield f"FNMR {who}", f"{_rate(one.points[0].generalised_fnmr)} {_where(one.points[0])}"
    if change := found.difference:
        sure = f"{100 * (1 - change.alpha):g}%"
        between = f"{change.increase:+.4f}, between {change.low:+.4f} and {change.high:+.4f} (each bound {sure})"
        moved = f"{change.subjects_worse} subjects worse, {change.subjects_better} better"
        yield "increase of FNMR", f"{between}; {moved}"


def _table(scores: ScoresFound, baseline: ScoresFound | None) -> Iterator[tuple[str, list[str]]]:
    both = [scores] if baseline is None else [scores, baseline]
    firsts = [one.points[0] for one in both]
    yield f"**FNMR with failures, {_target(firsts[0])}**", [_rate(point.generalised_fnmr) for point in firsts]
    yield "FNMR, completed comparisons", [_rate(point.fnmr) for point in firsts]
    yield "threshold", ["below all" if point.threshold is None else f"{point.threshold:.6g}" for point in firsts]
    yield "FMR there", [f"{p.fmr.value:.3g} ({p.fmr.errors:,} of {p.fmr.trials:,})" for p in firsts]
    for target in [point.target_fmr for point in scores.points[1:]]:
        cells = [_rate(p.fnmr) for one in both for p in one.points[1:] if p.target_fmr == target]
        if len(cells) == len(both):
            yield f"FNMR at FMR {target:g}", cells
    yield "EER", [f"{one.eer.value:.4f}" for one in both]
    yield "failed comparisons, mated / non-mated", [f"{one.mated_failed:,} / {one.non_mated_failed:,}" for one in both]


def _rate(rate: Rate) -> str:
    interval = rate.interval
    return f"{rate.value:.4f} ({interval.low:.4f} – {interval.high:.4f})"


def _target(point: PointFound) -> str:
    return f"FMR {point.target_fmr:g}" if point.target_fmr is not None else "at the threshold given"


def _where(point: PointFound) -> str:
    at = "below every score" if point.threshold is None else f"{point.threshold:.6g}"
    return f"at threshold {at}, FMR {point.fmr.value:.3g}"


def _escaped(text: str) -> str:
    for letter in "\\`*_[]<>|#":
        text = text.replace(letter, f"\\{letter}" if letter not in "<>" else {"<": "&lt;", ">": "&gt;"}[letter])
    return text.replace("\n", " ").replace("\r", " ")
