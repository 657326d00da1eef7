"""What searches over gallery sizes gave in words: lines for a terminal, Markdown and JUnit for a CI job."""

from collections.abc import Iterator, Mapping

from app.dataset.galleries import Curve, GalleriesFound, GalleryPoint
from app.dataset.measures import Interval
from workers.report.wording import between, percent, plain
from workers.verdict.junit import Case, junit_of
from workers.verdict.rule import points
from workers.verdict.search_words import NO_PICTURES, shown
from workers.verdict.wording import SIGNS, escaped, table


def gallery_lines(found: GalleriesFound) -> list[str]:
    """The verdict and what it rests on, a line each."""
    lines = [f"{found.verdict}: {found.reason}"] if found.verdict else []
    lines += [f"{name}: {value}" for name, value in gallery_facts(found)]
    for title, curves in (("", found.curves), ("baseline, ", found.baseline)):
        for curve in curves:
            for point in curve.points:
                lines.append(f"{title}{curve.others} others, N = {point.size:,}: {_told(point)}")
            for ranks in curve.ranks[-1:]:
                each = ", ".join(f"{point.rank}: {percent(point.found)}" for point in ranks.ranks)
                missed = f"{percent(ranks.missed)} ({between(ranks.interval)})"
                lines.append(
                    f"{title}{curve.others} others, N = {ranks.size:,}: missed at rank one {missed}; "
                    f"found by rank {each}"
                )
    lines += [f"held out: {text}" for text in gallery_held_out(found)]
    return [*lines, *(f"note: {note}" for note in found.notes)]


def gallery_markdown(found: GalleriesFound, pictures: Mapping[str, str] = NO_PICTURES) -> str:
    """A summary for CI, the curves side by side, charts by what they show. Text from outside is escaped."""
    sign = f"{SIGNS[found.verdict]} {found.verdict}" if found.verdict else "Searches"
    parts = [f"### {sign}: {escaped(found.name)}", "", escaped(found.reason), ""]
    parts += [f"- {name}: {escaped(value)}" for name, value in gallery_facts(found)]
    parts += ["", *shown(pictures)]
    curves = [("", curve) for curve in found.curves] + [("baseline, ", curve) for curve in found.baseline]
    for fpir in found.rule.at_fpir:
        parts += ["", f"#### FNIR at FPIR {100 * fpir:g}%", ""]
        head = ["others in the gallery, N", *(f"{title}{curve.others}" for title, curve in curves)]
        parts += table(head, list(gallery_rows([curve for _, curve in curves], fpir)))
    parts += ["", "#### Missed at rank one", ""]
    parts += table(["N", *(f"{title}{curve.others}" for title, curve in curves)], list(gallery_rank_rows(curves)))
    if held := list(gallery_held_out(found)):
        parts += ["", "Held out:", "", *(f"- {text}" for text in held)]
    if found.notes:
        parts += ["", "Notes:", "", *(f"- {escaped(note)}" for note in found.notes)]
    return "\n".join([*parts, ""])


def gallery_junit(found: GalleriesFound, seconds: float, timestamp: str | None) -> bytes:
    """The verdict as JUnit XML: a test case a limit."""
    at = f" at FPIR {found.rule.at_fpir[0]:g}, {found.decided_on}"
    cases = [Case(limit=limit, name=f"{limit.limit} {limit.allowed}{at}") for limit in found.limits]
    return junit_of(found.name, cases, "\n".join(gallery_lines(found)), seconds=seconds, timestamp=timestamp)


def gallery_facts(found: GalleriesFound) -> Iterator[tuple[str, str]]:
    yield "probes", f"{found.probes:,} of {found.name}, {found.mated:,} with a mate; non-mated: {found.non_mated_are}"
    yield (
        "galleries",
        (
            f"of {found.real:,} real and {found.synthetic:,} synthetic references, {found.draws} draws a size (seed "
            f"{found.seed}), {found.metric}"
        ),
    )
    yield "limits are about", f"{found.decided_on}, FPIR {100 * found.rule.at_fpir[0]:g}%"
    if change := found.difference:
        sure = f"{100 * (1 - change.alpha):g}%"
        sign = "+" if change.increase > 0 else ""
        yield (
            "change of FNIR",
            (
                f"{sign}{points(change.increase)}, between {100 * change.low:+.3g} and {100 * change.high:+.3g} "
                f"(each bound {sure}); {change.subjects_worse:,} subjects worse, {change.subjects_better:,} better"
            ),
        )


def _told(point: GalleryPoint) -> str:
    how = ", extrapolated" if point.extrapolated else "" if point.resolved else "; not resolved (rule of 30)"
    at = "below every score" if point.threshold is None else plain(float(f"{point.threshold:.6g}"))
    return f"FNIR at FPIR {100 * point.target_fpir:g}% {_cell(point.fnir, point.interval)}, threshold {at}{how}"


def _cell(value: float, interval: Interval) -> str:
    return f"{percent(value)} ({between(interval)})"


def gallery_rows(curves: list[Curve], fpir: float) -> Iterator[list[str]]:
    each = [{point.size: point for point in curve.at(fpir)} for curve in curves]
    for size in sorted({size for one in each for size in one}):
        cells = []
        for one in each:
            point = one.get(size)
            mark = "" if point is None else "*" if point.extrapolated else "" if point.resolved else "?"
            cells.append("" if point is None else f"{_cell(point.fnir, point.interval)}{mark}")
        star = any(one[size].extrapolated for one in each if size in one)
        yield [f"{size:,}{' (extrapolated)' if star else ''}", *cells]


def gallery_rank_rows(curves: list[tuple[str, Curve]]) -> Iterator[list[str]]:
    each = [{ranks.size: ranks for ranks in curve.ranks} for _, curve in curves]
    for size in sorted({size for one in each for size in one}):
        yield [f"{size:,}", *(_cell(one[size].missed, one[size].interval) if size in one else "" for one in each)]


def gallery_held_out(found: GalleriesFound) -> Iterator[str]:
    for curve in found.curves:
        for one in curve.held_out:
            error = one.foretold - one.measured
            yield (
                f"{curve.others} others, FPIR {100 * one.target_fpir:g}%: N = {one.size:,} foretold from "
                f"{one.fitted:,}: FNIR {_cell(one.foretold, one.interval)}, measured {percent(one.measured)}; error "
                f"{'+' if error > 0 else ''}{points(error)}, the interval {'holds' if one.held else 'does not hold'} it"
            )
