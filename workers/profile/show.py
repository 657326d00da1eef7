"""A profile in words: every number that its file holds, for whoever must decide whether it may leave the house."""

from collections.abc import Iterator

from app.dataset.profile import (
    QUANTILES_FROM,
    QUANTITIES,
    Categories,
    Histogram,
    MatcherStatistics,
    Profile,
)


def lines(profile: Profile) -> Iterator[str]:
    """Yield the profile as text, line by line."""
    privacy = profile.privacy
    yield f"profile, schema version {profile.schema_version}"
    yield f"made by {profile.software}, faces found by {profile.detector}"
    yield f"digest {profile.digest}"
    yield ""
    yield "What it holds: how many subjects' weight falls between two edges, and shares of such counts. No name, no"
    yield "picture, no template, and no value of a single picture. Every subject weighs 1, spread over its pictures."
    yield f"Cells under {privacy.least_cell} subjects are merged with a neighbour or not told; cumulated counts are"
    yield f"rounded to multiples of {privacy.rounded_to}, FNMR to multiples of 5 subjects."
    yield f"Of a subject at most {privacy.pictures_per_subject} pictures were looked at."
    if budget := privacy.differential:
        yield f"Differential privacy: epsilon {number(budget.epsilon)} in all, by {budget.mechanism}:"
        for name, epsilon in budget.parts.items():
            yield f"  {name}: {number(epsilon)}"
    else:
        yield "No noise was added (--epsilon adds it): whoever knows all other subjects may tell whether one is in it."
    yield ""
    yield f"subjects: {profile.subjects}"
    if profile.naming is None:
        yield "names of folders and files: no pattern is told, and no name"
    else:
        yield f"names of folders and files: {profile.naming}, the first {profile.naming.first}; a pattern, and no name"
    yield from _histogram("pictures of a subject", profile.samples_per_subject)
    yield from _categories("pictures", profile.pictures)
    yield from _categories("file formats", profile.formats)
    for name, words in profile.attributes.items():
        yield from _categories(f"{name}, as the gallery's own columns say", words)
    if profile.age is not None:
        yield from _histogram("age, as the gallery's own column says", profile.age)
    for name, histogram in profile.quantities.items():
        quantity = QUANTITIES.get(name)
        title = f"{name} ({quantity.says})" if quantity else name
        yield from _histogram(title, histogram, logarithmic=bool(quantity and quantity.logarithmic))
    for name, matcher in profile.matchers.items():
        yield from _matcher(name, matcher)


def number(value: float) -> str:
    """A number as it stands in the file."""
    return repr(value) if isinstance(value, float) and not value.is_integer() else f"{value:.0f}"


def _histogram(title: str, histogram: Histogram, *, logarithmic: bool = False) -> Iterator[str]:
    yield ""
    unit = f", {histogram.unit}" if histogram.unit else ""
    moves = f"one subject moves it by {number(histogram.one_subject)} at the most, before rounding"
    yield f"{title}{unit}: {histogram.total} subjects; {moves}; not measured: {histogram.not_measured}"
    last = len(histogram.counts) - 1
    for place, count in enumerate(histogram.counts):
        low, high = number(histogram.edges[place]), number(histogram.edges[place + 1])
        beyond = " and below" * (place == 0) + " and above" * (place == last)
        mean = f"; mean {number(histogram.means[place])}" if histogram.means is not None else ""
        yield f"  {low} to {high}{beyond}: {count}{mean}"
    quantiles = histogram.quantiles(logarithmic=logarithmic)
    if not histogram.inner_edges:
        yield "  no quantiles: it is one cell, for nearly all of the gallery lies together, or too little may be told"
    elif quantiles is None:
        yield f"  no quantiles: they are of fewer than {QUANTILES_FROM} subjects"
    else:
        yield "  read off these cells: " + ", ".join(f"{name} {value:.4g}" for name, value in quantiles.items())


def _categories(title: str, found: Categories) -> Iterator[str]:
    yield ""
    yield f"{title}: {found.total} subjects"
    for word, count in found.counts.items():
        yield f"  {word}: {count}"
    yield f"  words of fewer subjects, together: {found.merged}"


def _matcher(name: str, found: MatcherStatistics) -> Iterator[str]:
    yield ""
    yield f"matcher {name} {found.version}, weights {found.digest}"
    if found.mated is None:
        yield "  no subject has two pictures: there are no mated scores"
    else:
        yield from _histogram(f"{name}, mated scores", found.mated)
    yield from _histogram(f"{name}, non-mated scores", found.non_mated)
    yield from _categories(f"{name}, template of the first picture (failure to enrol)", found.enrol)
    yield from _categories(f"{name}, template of other pictures (failure to extract)", found.extract)
    yield ""
    for point in found.points:
        at = f"{name}, FNMR at FMR {number(point.target_fmr)}"
        if not point.resolved:
            ends = f"low {number(point.low)}, high {number(point.high)}"
            yield f"{at}: not told; so few subjects do not resolve it ({ends})"
            continue
        value = "under 10 subjects" if point.fnmr is None else number(point.fnmr)
        yield (
            f"{at}: {value}, 95% {number(point.low)} to {number(point.high)}; leaving one subject out changes these by "
            f"{number(point.one_subject)} at the most"
        )
    if not found.points:
        yield f"{name}, FNMR at FMR: not told under differential privacy; rates so low rest on too few subjects"
