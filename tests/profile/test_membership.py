"""Whether a profile tells who is in its gallery, to one who has all pictures of somebody and knows everybody's like.

Profiles are told of many galleries, drawn from one population. Each subject is in some and not in others, and the
attacker is asked which: AUC .5 is a guess. Subjects are rows of measured values and templates: there are no pictures.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from app.dataset.profile import QUANTITIES, Histogram, Profile, grid
from tests.profile.conftest import Unasked, population
from workers.biometrics.templates import TemplateTable
from workers.matchers.base import Matcher
from workers.profile.make import SAMPLES, Weights, tell
from workers.profile.scores import COARSE, ENDS, FINE, weigh_scores
from workers.profile.tell import subject_weights

Floats = NDArray[np.float64]

MOST = 0.55
"""AUC that an attacker may have."""

POPULATION, KNOWN = 2_600, 1_000
"""Subjects there are, and so many of them, in no gallery, from which the attacker knows what is usual."""

MATED, NON_MATED = "mated", "non-mated"


@dataclass(frozen=True)
class Population:
    """What each subject weighs in every statistic, and on what grids."""

    own: dict[str, Floats]
    """[subjects, cells], rows sum to 1."""
    edges: dict[str, list[float]]
    numbers: Floats
    """[subjects] pictures of each."""
    female: NDArray[np.bool_]
    table: TemplateTable


@pytest.fixture(scope="module")
def people() -> Population:
    measured = population(POPULATION, 2, 7)
    of = [measured.seen[2 * subject : 2 * subject + 2] for subject in range(POPULATION)]
    own = {
        name: np.array([subject_weights([one.values[name] for one in ones], quantity)[:-1] for ones in of])
        for name, quantity in QUANTITIES.items()
    }
    numbers = np.minimum(np.random.default_rng(9).geometric(0.08, POPULATION), 64).astype(np.float64)
    own["samples"] = np.array([subject_weights([number], SAMPLES)[:-1] for number in numbers])
    table = measured.tables[Unasked.name]
    scores = weigh_scores(table, "cosine", POPULATION)
    own[MATED] = scores.mated.reshape(POPULATION, COARSE, -1).sum(2)
    own[NON_MATED] = scores.shared.reshape(POPULATION, COARSE, -1).sum(2) / (POPULATION - 1)
    edges = {name: grid(quantity) for name, quantity in {**QUANTITIES, "samples": SAMPLES}.items()}
    edges |= dict.fromkeys((MATED, NON_MATED), np.linspace(*ENDS["cosine"], FINE + 1)[:: FINE // COARSE].tolist())
    female = np.array([ones[0].words["sex"] == "female" for ones in of])
    return Population(own, edges, numbers, female, table)


def profile_of(people: Population, inside: NDArray[np.int64], epsilon: float | None) -> Profile:
    """The profile of a gallery of these subjects."""
    members = len(inside)
    rows = np.stack([2 * inside, 2 * inside + 1], 1).ravel()
    table = TemplateTable(templates=people.table.templates[rows], subjects=np.repeat(np.arange(members), 2))
    matcher: Matcher = Unasked()  # type: ignore[assignment]
    templates = {"done": float(members), "failed": 0.0}
    females = float(people.female[inside].sum())
    weights = Weights(
        subjects=members,
        samples=np.append(people.own["samples"][inside].sum(0), 0.0),
        pictures={"face found": float(members)},
        formats={"jpeg": float(members)},
        quantities={name: np.append(people.own[name][inside].sum(0), 0.0) for name in QUANTITIES},
        words={"sex": {"female": females, "male": members - females}},
        age=None,
        matchers={Unasked.name: (matcher, weigh_scores(table, "cosine", members), templates, templates)},
    )
    return tell(weights, software="test", detector="none", at_most=20, epsilon=epsilon)


def suspicion(people: Population, profile: Profile, known: NDArray[np.int64]) -> Floats:
    """How much more of each subject a profile holds than the population does, [subjects].

    The first term of the likelihood ratio (Homer 2008), summed over cells, words and means of all statistics.
    """
    scores = np.zeros(POPULATION)
    matcher = profile.matchers[Unasked.name]
    histograms: dict[str, Histogram | None] = {
        **profile.quantities,
        "samples": profile.samples_per_subject,
        MATED: matcher.mated,
        NON_MATED: matcher.non_mated,
    }
    for name, histogram in histograms.items():
        if histogram is not None and histogram.total and len(histogram.counts) > 1:
            at = [people.edges[name].index(edge) for edge in histogram.edges]
            cells = np.stack([people.own[name][:, low:high].sum(1) for low, high in pairwise(at)], 1)
            scores += _more(cells, np.array(histogram.counts, np.float64), known)
    for place, mean in enumerate(profile.samples_per_subject.means or ()):
        low, high = profile.samples_per_subject.edges[place : place + 2]
        there = (people.numbers >= low) & (people.numbers < high)
        usual = people.numbers[known][there[known]]
        if len(usual) > 1 and usual.var() > 0:
            scores += there * (people.numbers - usual.mean()) * (mean - usual.mean()) / usual.var()
    told = profile.attributes["sex"].counts
    if len(told) == 2:
        words = np.stack([people.female, ~people.female], 1).astype(np.float64)
        scores += _more(words, np.array([told["female"], told["male"]], np.float64), known)
    return scores


def _more(cells: Floats, counts: Floats, known: NDArray[np.int64]) -> Floats:
    usual = cells[known].mean(0) + 1 / len(known)
    return np.asarray(cells @ (counts / counts.sum() / (usual / usual.sum()) - 1))


def attacked(people: Population, members: int, galleries: int, epsilon: float | None = None) -> float:
    """AUC of telling a gallery's subjects from as many others, mean over galleries."""
    rng = np.random.default_rng(8)
    found = []
    for _ in range(galleries):
        order = rng.permutation(POPULATION)
        inside, outside, known = order[:members], order[members : 2 * members], order[-KNOWN:]
        scores = suspicion(people, profile_of(people, inside, epsilon), known)
        with_, without = scores[inside][:, None], scores[outside]
        found.append(float(np.mean(with_ > without) + 0.5 * np.mean(with_ == without)))
    return float(np.mean(found))


@pytest.mark.parametrize(("subjects", "galleries"), [(150, 10), (300, 6), (800, 2)])
def test_who_is_in_a_gallery_is_not_told_by_its_profile(people: Population, subjects: int, galleries: int) -> None:
    assert attacked(people, subjects, galleries) <= MOST


@pytest.mark.parametrize("epsilon", [1.0, 10.0, 1_000.0])
def test_nor_is_it_under_any_budget_of_differential_privacy(people: Population, epsilon: float) -> None:
    pytest.importorskip("opendp")
    assert attacked(people, 200, 10, epsilon) <= MOST


@pytest.mark.parametrize("epsilon", [None, 1_000.0])
def test_the_attack_finds_them_in_counts_that_are_rounded_to_five(
    people: Population, epsilon: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else the tests above would only show that the attack is a bad one.
    if epsilon is not None:
        pytest.importorskip("opendp")
    monkeypatch.setattr("workers.profile.make.coarseness", lambda subjects, statistics, variance=0.0: 5)
    assert attacked(people, 200, 4, epsilon) > 0.58
