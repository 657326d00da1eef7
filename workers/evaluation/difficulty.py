"""How hard a generator's sets are at a σ, as one matcher scores them: what a calibration searches."""

from collections.abc import Callable

import numpy as np

from workers.biometrics.scores import Failures, ScoreSet
from workers.evaluation.samples import samples_at
from workers.generator.base import Generator
from workers.matchers.base import Failure, Matcher, Role
from workers.matchers.extraction import extract_one


def scores_at(
    generator: Generator,
    matcher: Matcher,
    *,
    subjects: int,
    samples: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Callable[[float], ScoreSet]:
    """Make the function σ → scores: every subject's first sample (reference) with the others of all (probes).

    The subjects and the draws are the same at every σ. `on_progress` gets samples done at the σ under way.
    """

    def at(sigma: float) -> ScoreSet:
        templates = []
        owners: list[int] = []
        for batch in samples_at(generator, sigma, subjects=subjects, samples=samples, on_progress=on_progress):
            for subject, pixels in zip(batch.subjects, batch.pixels, strict=True):
                role = Role.PROBE if owners and owners[-1] == subject else Role.REFERENCE
                found = extract_one(matcher, pixels, role)
                templates.append(np.full(matcher.dimensions, np.nan) if isinstance(found, Failure) else found)
                owners.append(subject)
        table, owner = np.stack(templates).astype(np.float32), np.array(owners)
        first = np.arange(len(owner)) % samples == 0
        scores = matcher.compare(table[first], table[~first])  # NaN where there is no template
        failed = np.isnan(table[:, 0])
        return ScoreSet.from_comparisons(
            scores.ravel(),
            np.repeat(owner[first], int((~first).sum())),
            np.tile(owner[~first], int(first.sum())),
            subjects=range(subjects),
            failures=Failures(
                enrolments=subjects,
                enrolments_failed=int(failed[first].sum()),
                extractions=int((~first).sum()),
                extractions_failed=int(failed[~first].sum()),
            ),
        )

    return at
