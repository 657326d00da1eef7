"""What one subject changes in a profile, and what noise is worth."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from app.dataset.naming import Naming
from app.dataset.profile import QUANTITIES, Histogram, Profile, grid, read_profile
from app.errors import RequestRefused
from tests.profile.conftest import Unasked, without
from workers.matchers.base import Matcher
from workers.profile.make import Measured, tell, tell_naming, weigh
from workers.profile.show import lines
from workers.profile.tell import NoNoise, coarseness, tell_histogram

People = Callable[[int, int, int], Measured]


def told(measured: Measured, matcher: Matcher, epsilon: float | None = None) -> Profile:
    return tell(weigh(measured, [matcher]), software="test", detector="none", at_most=20, epsilon=epsilon)


def histograms(profile: Profile) -> dict[str, Histogram]:
    found = {"samples": profile.samples_per_subject, **profile.quantities}
    for name, matcher in profile.matchers.items():
        assert matcher.mated is not None
        found |= {f"{name} mated": matcher.mated, f"{name} non-mated": matcher.non_mated}
    return found


def at_edges(histogram: Histogram) -> dict[float, int]:
    return dict(zip(histogram.edges, np.cumsum([0, *histogram.counts]).tolist(), strict=True))


def most_moved(one: Profile, other: Profile) -> float:
    """How far any number of two profiles lies apart, over what is stated."""
    a, b = one.privacy.rounded_to, other.privacy.rounded_to
    allowed = max(a, b) + (5 if a != b else 0)
    moved = 0.0
    for name, histogram in histograms(one).items():
        ours, theirs = at_edges(histogram), at_edges(histograms(other)[name])
        assert set(ours) & set(theirs) >= {histogram.edges[0], histogram.edges[-1]}
        moved = max([moved, *(abs(ours[edge] - theirs[edge]) / allowed for edge in set(ours) & set(theirs))])
    for name, words in {**one.attributes, "pictures": one.pictures, "formats": one.formats}.items():
        others = {**other.attributes, "pictures": other.pictures, "formats": other.formats}[name]
        both = set(words.counts) & set(others.counts)
        moved = max([moved, *(abs(words.counts[word] - others.counts[word]) / allowed for word in both)])
    for mine, yours in zip(one.matchers[Unasked.name].points, other.matchers[Unasked.name].points, strict=True):
        for field in ("fnmr", "low", "high"):
            change = abs((getattr(mine, field) or 0.0) - (getattr(yours, field) or 0.0))
            assert change <= mine.one_subject + 1e-9, (mine, yours)
    return moved


def test_one_subject_more_or_less_changes_each_number_by_no_more_than_is_stated(
    people: People, matcher: Matcher
) -> None:
    measured = people(240, 3, 5)
    whole = told(measured, matcher)
    assert max(most_moved(whole, told(without(measured, subject), matcher)) for subject in range(0, 240, 24)) <= 1


def test_a_subject_moves_cumulated_counts_by_a_step_at_the_most() -> None:
    rng = np.random.default_rng(1)
    most = 0
    for _ in range(400):
        weights = np.append(rng.gamma(0.5, rng.uniform(1, 8), 64), 0.0)
        subject = np.append(rng.dirichlet(np.full(64, 0.05)), 0.0)
        one, other = (
            tell_histogram("any", found, list(range(65)), unit="", told=8, noise=NoNoise())
            for found in (weights, weights + subject)
        )
        ours, theirs = at_edges(one), at_edges(other)
        most = max(most, *(abs(ours[edge] - theirs[edge]) for edge in set(ours) & set(theirs)))
    assert most == 5


def test_cells_are_never_of_few_subjects_and_counts_are_multiples() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        weights = np.append(rng.gamma(0.3, rng.uniform(0.1, 30), 64), rng.uniform(0, 30))
        to = int(rng.choice([5, 10, 45]))
        found = tell_histogram("any", weights, list(range(65)), unit="", told=8, noise=NoNoise(), to=to)
        if len(found.counts) > 1:
            assert min(found.counts) >= 10
            raw = np.concatenate([[0], np.cumsum(weights[:-1])])
            for low, high in pairwise(found.edges):
                assert raw[int(high)] - raw[int(low)] >= max(10, to) - 1e-9
        assert all(count % to == 0 for count in found.counts)
        assert abs(found.total - weights[:-1].sum()) <= to / 2
        assert found.not_measured == 0 or found.not_measured >= max(10, to)


def test_a_quantile_lies_where_the_values_do(people: People, matcher: Matcher) -> None:
    measured = people(2_000, 1, 3)
    profile = told(measured, matcher)
    for name in ("yaw", "sharpness", "brightness"):
        form = np.log if QUANTITIES[name].logarithmic else np.asarray
        values = form([one.values[name] for one in measured.seen])
        width = (np.quantile(values, 0.95) - np.quantile(values, 0.05)) / 3.3  # a standard deviation of normal values
        found = profile.quantities[name].quantiles(logarithmic=QUANTITIES[name].logarithmic)
        assert found is not None
        for text, value in found.items():
            share = float(text.rstrip("%")) / 100
            assert abs(form(value) - np.quantile(values, share)) < (0.15 if 0.05 <= share <= 0.95 else 0.4) * width, (
                name,
                text,
            )


def test_subjects_too_few_for_the_rounding_or_the_noise_make_no_profile(people: People, matcher: Matcher) -> None:
    with pytest.raises(RequestRefused, match="too few subjects to tell anything of: counts are rounded to"):
        told(people(24, 2, 1), matcher)
    assert told(people(60, 2, 1), matcher).subjects > 0


def test_fewer_than_a_hundred_subjects_have_no_quantiles(people: People, matcher: Matcher) -> None:
    profile = told(people(90, 3, 1), matcher)
    assert profile.quantities["yaw"].quantiles() is None


def test_there_is_no_name_no_template_and_no_value_in_the_file(people: People, matcher: Matcher) -> None:
    measured = people(150, 3, 2)
    text = told(measured, matcher).as_file().decode()
    numbers = set()
    json.loads(text, parse_float=lambda number: numbers.add(number) or 0.0)
    edges = {repr(edge) for quantity in QUANTITIES.values() for edge in grid(quantity)}
    values = {repr(value) for one in measured.seen for value in one.values.values()}
    templates = {repr(float(value)) for value in measured.tables[Unasked.name].templates.ravel()}
    assert not numbers & (values | templates)
    assert len(numbers - edges) < 60  # what is left: edges of scores, FNMR and its bounds


def test_noise_is_paid_for_once_a_statistic_and_more_of_it_is_dearer(people: People, matcher: Matcher) -> None:
    pytest.importorskip("opendp")
    weights = weigh(people(300, 3, 4), [matcher])
    truth = np.cumsum(weights.quantities["yaw"][:-1])
    errors = {}
    for epsilon in (1.0, 1_000.0):
        profile = tell(weights, software="test", detector="none", at_most=20, epsilon=epsilon)
        budget = profile.privacy.differential
        assert budget is not None
        assert budget.epsilon == epsilon
        assert sum(budget.parts.values()) == pytest.approx(epsilon)
        assert {f"quantities.{name}" for name in QUANTITIES} < set(budget.parts)
        assert not profile.matchers[Unasked.name].points
        off = []
        for name, quantity in QUANTITIES.items():
            truth = np.concatenate([[0], np.cumsum(weights.quantities[name][:-1])])
            edges = grid(quantity)
            for edge, count in at_edges(profile.quantities[name]).items():
                off.append(abs(count - truth[edges.index(edge)]))
        errors[epsilon] = float(np.mean(off))
        to = profile.privacy.rounded_to
    assert errors[1_000.0] < to / 2 < errors[1.0]


def test_the_more_is_told_the_coarser_it_is_and_the_more_subjects_the_finer() -> None:
    assert coarseness(300, 5) < coarseness(300, 25)
    assert coarseness(100_000, 25) == 5
    assert coarseness(4_000, 25) < coarseness(300, 25)
    assert 5 == coarseness(300, 25, 2_000) < coarseness(300, 25, 100) < coarseness(300, 25)


def test_the_pattern_of_names_is_told_where_more_than_half_follow_it(people: People, matcher: Matcher) -> None:
    lfw = Naming(folders=True, subject="{word}_{word}", file="{subject}_{number:04}", first=1, suffix=".jpg")
    other = lfw.model_copy(update={"subject": "{word}_{word}_{word}"})
    measured = people(150, 3, 2)
    for count, expected in ((76, lfw), (75, None), (150, lfw)):
        measured.named = Counter({lfw: count, other: 150 - count})
        assert told(measured, matcher).naming == expected
    assert tell_naming(Counter({lfw: 9}), 10, 5) is None
    assert tell_naming(Counter({lfw: 12}), 20, 15) is None
    profile = told(measured, matcher)
    assert read_profile(profile.as_file()) == profile
    assert "{word}_{word}/{subject}_{number:04}.jpg, the first 1" in "\n".join(lines(profile))
    forged = json.loads(profile.as_file())
    forged["naming"]["subject"] = "Marie_{number}"
    with pytest.raises(RequestRefused) as refused:
        read_profile(json.dumps(forged).encode())
    assert refused.value.problems[0][0] == "profile.naming.subject"


def test_no_part_of_a_budget_goes_to_the_pattern_of_names(people: People, matcher: Matcher) -> None:
    pytest.importorskip("opendp", reason="the extra `privacy` is not installed")
    measured = people(150, 3, 2)
    measured.named = Counter({Naming(folders=True, subject="{word}", file="{number}", first=1, suffix=".jpg"): 150})
    assert told(measured, matcher).naming is not None
    assert told(measured, matcher, 1.0).naming is None


def test_a_profile_of_version_1_is_read_as_it_is(people: People, matcher: Matcher) -> None:
    before = json.loads(told(people(150, 3, 2), matcher).model_copy(update={"schema_version": 1}).signed().as_file())
    del before["naming"]  # as that version wrote it
    text = json.dumps({name: value for name, value in before.items() if name != "digest"}, sort_keys=True)
    compact = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert before["digest"] == hashlib.sha256(compact.encode()).hexdigest()
    found = read_profile(json.dumps(before).encode())
    assert (found.schema_version, found.naming) == (1, None)
    naming = Naming(folders=True, subject="{word}", file="{number}", first=1, suffix=".jpg")
    with pytest.raises(RequestRefused, match="naming is told from version 2 on"):  # the digest would not know of it
        read_profile(json.dumps({**before, "naming": naming.model_dump()}).encode())
