"""What came out of candidate lists in words: lines for a terminal, Markdown and JUnit for a CI job."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import quote

from app.dataset.candidates import SearchesFound
from workers.report.wording import percent, plain, rate_text
from workers.verdict.junit import Case, junit_of
from workers.verdict.rule import points
from workers.verdict.wording import SIGNS, escaped, table

NO_PICTURES: Mapping[str, str] = MappingProxyType({})


def search_lines(found: SearchesFound) -> list[str]:
    """The verdict and what it rests on, a line each."""
    head = [f"{found.verdict}: {found.reason}"] if found.verdict else []
    lines = [f"{name}: {value}" for name, value in search_facts(found)]
    return [*head, *lines, *(f"note: {note}" for note in found.notes)]


def search_markdown(found: SearchesFound, pictures: Mapping[str, str] = NO_PICTURES) -> str:
    """A summary for CI, with charts by what they show, where they lie. Text from outside is escaped."""
    sign = f"{SIGNS[found.verdict]} {found.verdict}" if found.verdict else "Searches"
    head = ["", "new", *(["baseline"] if found.baseline else [])]
    rows = [[name, *cells] for name, cells in search_rates(found)]
    notes = ["Notes:", "", *(f"- {escaped(note)}" for note in found.notes), ""] if found.notes else []
    facts = [f"- {name}: {escaped(value)}" for name, value in search_facts(found)]
    of = escaped(found.set.release or found.set.name)
    parts = [f"### {sign}: {of}", "", escaped(found.reason), "", *table(head, rows), ""]
    return "\n".join([*parts, *shown(pictures), *facts, "", *notes])


def shown(pictures: Mapping[str, str]) -> Iterator[str]:
    """Charts, by what they show, as Markdown has them."""
    for what, where in pictures.items():
        yield from (f"![{escaped(what)}]({quote(where)})", "")


def search_junit(found: SearchesFound, seconds: float, timestamp: str | None) -> bytes:
    """The verdict as JUnit XML: a test case a limit."""
    at = f" at FPIR {found.rule.at_fpir[0]:g}"
    cases = [Case(limit=limit, name=f"{limit.limit} {limit.allowed}{at}") for limit in found.limits]
    of = found.set.release or found.set.dataset
    return junit_of(of, cases, "\n".join(search_lines(found)), seconds=seconds, timestamp=timestamp)


def search_facts(found: SearchesFound) -> Iterator[tuple[str, str]]:
    of = found.set
    yield "set", f"{of.release or of.name} ({of.dataset}), gallery of {found.gallery:,} references"
    yield (
        "searches",
        f"{found.mated:,} mated and {found.non_mated:,} non-mated ({found.non_mated_are}), {found.candidates:,} "
        f"candidates, {found.shortest:,} to {found.longest:,} a list",
    )
    for who, one in (("", found), ("baseline, ", found.baseline)):
        if one is None:
            continue
        for point in one.points:
            at = "below every score" if point.threshold is None else plain(point.threshold)
            few = "" if point.resolved else "; not resolved (rule of 30)"
            yield (
                f"{who}FNIR at FPIR {100 * point.target_fpir:g}%",
                f"{rate_text(point.fnir)} at threshold {at}, FPIR {percent(point.fpir.value)}{few}",
            )
        yield f"{who}missed at rank one", rate_text(one.rank_one)
        ranks = ", ".join(f"{point.rank}: {percent(point.found)}" for point in one.ranks)
        yield f"{who}found by rank", ranks
    if change := found.difference:
        sure = f"{100 * (1 - change.alpha):g}%"
        ends = f"between {100 * change.low:+.3g} and {100 * change.high:+.3g}"
        moved = f"{change.subjects_worse:,} subjects worse, {change.subjects_better:,} better"
        sign = "+" if change.increase > 0 else ""
        yield "change of FNIR", f"{sign}{points(change.increase)}, {ends} (each bound {sure}); {moved}"


def search_rates(found: SearchesFound) -> Iterator[tuple[str, list[str]]]:
    both = [found, *([found.baseline] if found.baseline else [])]
    for number, point in enumerate(found.points):
        cells = [rate_text(one.points[number].fnir) for one in both]
        yield f"**FNIR at FPIR {100 * point.target_fpir:g}%**", cells
    yield "missed at rank one", [rate_text(one.rank_one) for one in both]
