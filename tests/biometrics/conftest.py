"""Small populations of scores and templates, made by seed."""

from collections.abc import Callable

import numpy as np
import pytest

from workers.biometrics.scores import ScoreSet
from workers.biometrics.templates import TemplateTable

MakeScores = Callable[..., ScoreSet]
MakeTable = Callable[..., TemplateTable]


@pytest.fixture
def clustered() -> MakeScores:
    """Scores whose mated side depends on the subject, as real ones do: subjects differ in how well they match."""

    def make(subjects: int, samples: int = 5, seed: int = 0, spread: float = 1.0, shift: float = 3.0) -> ScoreSet:
        rng = np.random.default_rng(seed)
        ease = rng.normal(shift, spread, subjects)
        mated_subjects = np.repeat(np.arange(subjects), samples)
        references, probes = np.triu_indices(subjects, 1)
        alike = rng.normal(0, 0.3, subjects)
        return ScoreSet(
            mated=rng.normal(ease[mated_subjects], 1),
            mated_subjects=mated_subjects,
            non_mated=rng.normal(alike[references] + alike[probes], 1),
            non_mated_references=references,
            non_mated_probes=probes,
            subjects=subjects,
        )

    return make


@pytest.fixture
def table() -> MakeTable:
    """Templates of subjects around a centre each, float32 of length 1."""

    def make(subjects: int, samples: int, spread: float = 0.8, dimensions: int = 32, seed: int = 0) -> TemplateTable:
        rng = np.random.default_rng(seed)
        centre = rng.normal(size=(subjects, 1, dimensions))
        found = (centre + spread * rng.normal(size=(subjects, samples, dimensions))).reshape(-1, dimensions)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return TemplateTable(templates=found.astype(np.float32), subjects=np.repeat(np.arange(subjects), samples))

    return make
