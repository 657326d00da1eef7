"""A population of subjects as they are measured, without pictures: who they are, and how much they vary."""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest

from app.dataset.profile import QUANTITIES, Profile
from workers.biometrics.templates import TemplateTable
from workers.matchers.base import Matcher
from workers.matchers.comparison import COSINE, ScoreDefinition
from workers.profile.make import FOUND, Measured, Seen, tell, weigh

OWN = 0.5
"""Share of a quantity's variance that lies between subjects: the rest is between pictures of one."""

DIMENSIONS = 32


class Unasked:
    """A matcher whose templates are given: it is asked for its name alone."""

    name, version, dimensions, provenance = "unasked", "1", DIMENSIONS, "none"
    digest = hashlib.sha256(b"unasked").hexdigest()
    score: ScoreDefinition = COSINE


@pytest.fixture
def matcher() -> Matcher:
    return Unasked()  # type: ignore[return-value]


@pytest.fixture
def people() -> Callable[[int, int, int], Measured]:
    """(subjects, pictures of each, seed) → a gallery as it was seen."""
    return population


def population(subjects: int, each: int, seed: int) -> Measured:
    rng = np.random.default_rng(seed)
    names = list(QUANTITIES)
    own = rng.standard_normal((subjects, len(names))) * np.sqrt(OWN)
    values = own[:, None] + rng.standard_normal((subjects, each, len(names))) * np.sqrt(1 - OWN)
    centres = np.array([_middle(name) for name in names])
    seen = []
    for subject in range(subjects):
        for picture in range(each):
            at = {name: _value(name, z, c) for name, z, c in zip(names, values[subject, picture], centres, strict=True)}
            words = {"sex": "female" if own[subject, 0] < 0 else "male"}
            seen.append(
                Seen(subject=subject, first=picture == 0, outcome=FOUND, form="jpeg", words=words, age=None, values=at)
            )
    faces = rng.standard_normal((subjects, DIMENSIONS))
    spread = 0.5 + 0.4 * rng.random((subjects, 1, 1))
    templates = faces[:, None] + spread * rng.standard_normal((subjects, each, DIMENSIONS))
    table = TemplateTable(
        templates=templates.reshape(-1, DIMENSIONS).astype(np.float32),
        subjects=np.repeat(np.arange(subjects), each),
    )
    return Measured(subjects=subjects, pictures=[each] * subjects, seen=seen, tables={Unasked.name: table}, at_most=20)


def _middle(name: str) -> float:
    quantity = QUANTITIES[name]
    return float(np.sqrt(quantity.low * quantity.high)) if quantity.logarithmic else (quantity.low + quantity.high) / 2


def _value(name: str, z: float, middle: float) -> float:
    quantity = QUANTITIES[name]
    if quantity.logarithmic:
        return middle * float(np.exp(z * np.log(quantity.high / quantity.low) / 8))
    return middle + z * (quantity.high - quantity.low) / 8


def without(measured: Measured, subject: int) -> Measured:
    """The same gallery with one subject left out."""
    table = measured.tables[Unasked.name]
    kept = table.subjects != subject
    code = table.subjects[kept] - (table.subjects[kept] > subject)
    seen = [
        Seen(**{**vars(one), "subject": one.subject - (one.subject > subject)})
        for one in measured.seen
        if one.subject != subject
    ]
    return Measured(
        subjects=measured.subjects - 1,
        pictures=[count for number, count in enumerate(measured.pictures) if number != subject],
        seen=seen,
        tables={Unasked.name: TemplateTable(templates=table.templates[kept], subjects=code)},
        at_most=measured.at_most,
    )


@pytest.fixture(scope="session")
def told_profile() -> Profile:
    """A profile of 400 subjects."""
    matcher: Matcher = Unasked()  # type: ignore[assignment]
    weights = weigh(population(400, 3, 11), [matcher])
    return tell(weights, software="facsimile-faces test", detector="none", at_most=20)
