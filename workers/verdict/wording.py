"""An evaluation in words: lines for a terminal, Markdown for a CI job's summary. Rates are percentages throughout."""

from collections.abc import Iterator

from app.dataset.evaluation import (
    Evaluation,
    FalseMatchesFound,
    GroupFound,
    PairFound,
    PointFound,
    ScoresFound,
    SubjectFound,
    Verdict,
)
from app.dataset.measures import Rate
from workers.report.wording import between, percent, plain, plural, rate_text
from workers.verdict.rule import points

SIGNS = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.UNDECIDED: "❔"}

ON_A_TERMINAL = 5
"""Subjects that got worse are named at the most."""


def summary_lines(found: Evaluation) -> list[str]:
    """The verdict and what it rests on, a line each."""
    lines = [f"{found.verdict or 'no verdict'}: {found.reason}"]
    lines += [f"{name}: {value}" for name, value in _facts(found)]
    lines += worse_lines(found, ON_A_TERMINAL, 2)
    lines += false_match_lines(found, ON_A_TERMINAL)
    return [*lines, *(f"note: {note}" for note in found.notes)]


def worse_lines(found: Evaluation, most: int, pairs: int) -> list[str]:
    """Who got worse, a line a subject; without a baseline, who is missed."""
    if found.worse is None or not found.worse.listed:
        return []
    lines = [f"{_title(found)}: {_how_many(found)}"]
    for subject in found.worse.listed[:most]:
        named = subject.pairs[:pairs]
        texts = "; ".join(f"{pair.reference_image} with {pair.probe_image} ({_scores(pair)})" for pair in named)
        more = f"; and {subject.worse - len(named):,} more" if subject.worse > len(named) else ""
        lines.append(f"  {subject.subject}: {_missed(subject)}: {texts}{more}")
    rest = found.worse.subjects - len(found.worse.listed[:most])
    if rest:
        lines.append(f"  and {plural(rest, 'subject')} more; --json and --markdown name {len(found.worse.listed)}")
    return lines


def false_match_lines(found: Evaluation, most: int) -> list[str]:
    """Which strangers match who did not before, a line a comparison; without a baseline, which match."""
    wrong = found.false_matches
    if wrong is None or not wrong.listed:
        return []
    lines = [f"{_false_title(found)}: {_false_count(wrong)}"]
    lines += [f"  {pair.reference_image} with {pair.probe_image} ({_scores(pair)})" for pair in wrong.listed[:most]]
    if wrong.pairs > most:
        told = f"; --json and --markdown name {len(wrong.listed)}" if len(wrong.listed) > most else ""
        lines.append(f"  and {wrong.pairs - len(wrong.listed[:most]):,} more{told}")
    return lines


def markdown(found: Evaluation) -> str:
    """A summary for CI: verdict, table, who got worse, groups, notes. Text from outside is escaped."""
    sign = f"{SIGNS[found.verdict]} {found.verdict}" if found.verdict else "Metrics"
    columns = ["new scores", *(["baseline"] if found.baseline else [])]
    rows = [[name, *cells] for name, cells in _rates(found.scores, found.baseline)]
    facts = [f"- {name}: {escaped(value)}" for name, value in _facts(found, rates=False)]
    parts = [
        f"### {sign}: {escaped(found.set.release or found.set.name)}",
        "",
        escaped(found.reason),
        "",
        *table(["", *columns], rows),
        "",
        *facts,
        "",
        *_worse(found),
        *_false_matches(found),
        *_groups(found),
    ]
    if found.notes:
        parts += ["Notes:", "", *(f"- {escaped(note)}" for note in found.notes), ""]
    return "\n".join(parts)


def _facts(found: Evaluation, *, rates: bool = True) -> Iterator[tuple[str, str]]:
    of, scores = found.set, found.scores
    yield "set", f"{of.release or of.name} ({of.dataset}), {of.comparisons:,} comparisons"
    yield "counted", f"{scores.mated:,} mated and {scores.non_mated:,} non-mated, {scores.subjects:,} subjects"
    if rates:
        for who, one in (("new", found.scores), ("baseline", found.baseline)):
            if one is not None:
                yield f"FNMR {who}", f"{rate_text(one.points[0].generalised_fnmr)} {_where(one.points[0], found)}"
    if change := found.difference:
        sure = f"{100 * (1 - change.alpha):g}%"
        ends = f"between {100 * change.low:+.3g} and {100 * change.high:+.3g}"
        moved = f"{change.subjects_worse:,} subjects worse, {change.subjects_better:,} better"
        yield "change of FNMR", f"{_signed(change.increase)}, {ends} (each bound {sure}); {moved}"


def _rates(scores: ScoresFound, baseline: ScoresFound | None) -> Iterator[tuple[str, list[str]]]:
    both = [scores] if baseline is None else [scores, baseline]
    firsts = [one.points[0] for one in both]
    yield f"**FNMR with failures, {_target(firsts[0])}**", [_cell(point.generalised_fnmr) for point in firsts]
    yield "FNMR, completed comparisons", [_cell(point.fnmr) for point in firsts]
    yield "threshold", ["all match" if point.threshold is None else plain(point.threshold) for point in firsts]
    yield "FMR there", [f"{percent(p.fmr.value)} ({p.fmr.errors:,} of {p.fmr.trials:,})" for p in firsts]
    for target in [point.target_fmr for point in scores.points[1:]]:
        cells = [_cell(p.fnmr) for one in both for p in one.points[1:] if p.target_fmr == target]
        if len(cells) == len(both) and target is not None:
            yield f"FNMR at FMR {_as_percent(target)}", cells
    yield "EER", [percent(one.eer.value) for one in both]
    yield "failed comparisons, mated / non-mated", [f"{one.mated_failed:,} / {one.non_mated_failed:,}" for one in both]


def _worse(found: Evaluation) -> Iterator[str]:
    if found.worse is None or not found.worse.listed:
        return
    yield f"#### {_title(found)}"
    yield ""
    yield f"{_how_many(found)}."
    yield ""
    columns = ["subject", "missed", *(["before"] if found.baseline else []), "comparisons, reference × probe"]
    rows = []
    for subject in found.worse.listed:
        pairs = [
            f"{_link(p.reference, p.reference_image)} × {_link(p.probe, p.probe_image)}: {_scores(p)}"
            for p in subject.pairs
        ]
        if subject.worse > len(subject.pairs):
            pairs.append(f"and {subject.worse - len(subject.pairs):,} more")
        before = [f"{subject.missed_before:,}"] if found.baseline else []
        rows.append([subject.subject, f"{subject.missed:,} of {subject.tried:,}", *before, "<br>".join(pairs)])
    yield from table(columns, rows)
    yield ""


def _false_matches(found: Evaluation) -> Iterator[str]:
    wrong = found.false_matches
    if wrong is None or not wrong.listed:
        return
    yield f"#### {_false_title(found)}"
    yield ""
    yield f"{_false_count(wrong)}."
    yield ""
    rows = [
        [_link(pair.reference, pair.reference_image), _link(pair.probe, pair.probe_image), _scores(pair)]
        for pair in wrong.listed
    ]
    yield from table(["reference", "probe", "score"], rows)
    if wrong.pairs > len(wrong.listed):
        yield ""
        yield f"And {wrong.pairs - len(wrong.listed):,} more."
    yield ""


def _groups(found: Evaluation) -> Iterator[str]:
    if not found.groups:
        return
    yield "#### FNMR by group"
    yield ""
    yield "At the threshold that holds for all; groups of fewer than 30 subjects tell little."
    yield ""
    against = found.baseline is not None
    rows = [
        [
            escaped(f"{group.attribute.replace('_', ' ')}: {group.group}"),
            f"{group.subjects:,}",
            _cell(group.fnmr),
            *(_against(group) if against else []),
        ]
        for group in found.groups
    ]
    yield from table(
        ["group", "subjects", "new scores", *(["baseline", "subjects worse / better"] if against else [])], rows
    )
    yield ""


def _against(group: GroupFound) -> list[str]:
    before = "" if group.baseline_fnmr is None else _cell(group.baseline_fnmr)
    return [before, f"{group.subjects_worse:,} / {group.subjects_better:,}"]


def _title(found: Evaluation) -> str:
    return "Who got worse" if found.baseline else "Who is missed"


def _how_many(found: Evaluation) -> str:
    worse = found.worse
    if worse is None:
        return ""
    subjects = plural(worse.subjects, "subject")
    if worse.pairs_better is None:
        return f"{plural(worse.pairs, 'mated comparison')} of {subjects} {'is' if worse.pairs == 1 else 'are'} missed"
    return (
        f"{plural(worse.pairs, 'mated comparison')} of {subjects} matched before and "
        f"{'is' if worse.pairs == 1 else 'are'} missed now; {worse.pairs_better:,} the other way round"
    )


def _false_title(found: Evaluation) -> str:
    return "New false matches" if found.baseline else "False matches"


def _false_count(wrong: FalseMatchesFound) -> str:
    compared = f"{plural(wrong.pairs, 'non-mated comparison')} {'matches' if wrong.pairs == 1 else 'match'}"
    if wrong.pairs_better is None:
        return compared
    return f"{compared} now and did not before; {wrong.pairs_better:,} the other way round"


def _missed(subject: SubjectFound) -> str:
    before = "" if subject.missed_before is None else f", {subject.missed_before:,} before"
    return f"{subject.missed:,} of {subject.tried:,} missed{before}"


def _scores(pair: PairFound) -> str:
    now = "failed" if pair.score is None else f"{pair.score:.4g}"
    return now if pair.baseline_score is None else f"{pair.baseline_score:.4g} → {now}"


def _cell(rate: Rate) -> str:
    return f"{percent(rate.value)} ({between(rate.interval)})"


def _signed(share: float) -> str:
    return f"{'+' if share > 0 else ''}{points(share)}"


def _as_percent(share: float) -> str:
    return f"{100 * share:g}%"


def _target(point: PointFound) -> str:
    return f"FMR {_as_percent(point.target_fmr)}" if point.target_fmr is not None else "at the threshold given"


def _where(point: PointFound, found: Evaluation) -> str:
    unit = "distance" if found.rule.distances else "threshold"
    at = "below every score" if point.threshold is None else plain(point.threshold)
    return f"at {unit} {at}, FMR {percent(point.fmr.value)}"


def table(columns: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Lines of a table in Markdown."""
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _link(text: str, to: str) -> str:
    safe = to.replace("<", "%3C").replace(">", "%3E").replace("|", "%7C").replace("\n", "%0A").replace("\r", "%0D")
    return f"[{text}](<{safe}>)"


def escaped(text: str) -> str:
    """Text from outside as Markdown shows it letter by letter."""
    for letter in "\\`*_[]<>|#":
        text = text.replace(letter, f"\\{letter}" if letter not in "<>" else {"<": "&lt;", ">": "&gt;"}[letter])
    return text.replace("\n", " ").replace("\r", " ")
