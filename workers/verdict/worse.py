"""Which subjects and which of their comparisons got worse, and which groups: what is looked at first after a FAIL.

Legend: M mated comparisons, S subjects.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.dataset.evaluation import GroupFound, PairFound, SubjectFound, WorseFound
from app.dataset.measures import FNMR_SIDE, Rate
from app.dataset.names import subject_name
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.errors import Unresolvable
from workers.biometrics.groups import in_order
from workers.biometrics.intervals import exact_interval
from workers.verdict.album import Album
from workers.verdict.blocks import name_of
from workers.verdict.bounds import fnmr_bounds, two_sided
from workers.verdict.compared import ComparedScores
from workers.verdict.listed import Listed
from workers.verdict.outcomes import Outcome, outcome_at

SUBJECTS = 20
"""Subjects named at the most, the worst."""

PAIRS = 5
"""Comparisons named of each."""

BOOTSTRAP = Bootstrap(replicates=1_000)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class At:
    """One matcher's scores and the threshold that it is taken at."""

    scores: ComparedScores
    threshold: float

    @property
    def missed(self) -> Mask:
        """[M] mated comparisons that were no match, failures included."""
        with np.errstate(invalid="ignore"):
            return ~np.asarray(self.scores.mated >= np.float64(self.threshold))


def find_worse(listed: Listed, new: At, old: At | None, album: Album, *, distances: bool) -> WorseFound:
    """Name who got worse than with the baseline; without one, who is missed."""
    missed = new.missed
    before = np.zeros(len(missed), bool) if old is None else old.missed
    worse, better = missed & ~before, before & ~missed
    owners, count = new.scores.mated_subjects, len(listed.subjects)
    gone, came, tried, now, then = (
        np.bincount(owners[which], minlength=count) for which in (worse, better, np.ones_like(worse), missed, before)
    )
    # By how many more are missed; then by how many got worse at all, others better or not.
    ranked = sorted(np.flatnonzero(gone).tolist(), key=lambda code: (came[code] - gone[code], -gone[code], code))
    references, probes = listed.pairs_at(listed.mated_cells)
    sign = -1.0 if distances else 1.0

    def told(at: At | None, pair: int) -> float | None:
        score = None if at is None else sign * float(at.scores.mated[pair])
        return None if score is None or np.isnan(score) else score

    def pair_of(pair: int) -> PairFound:
        reference, probe = name_of(references[pair]), name_of(probes[pair])
        return PairFound(
            reference=reference,
            probe=probe,
            reference_image=album.image(reference),
            probe_image=album.image(probe),
            score=told(new, pair),
            baseline_score=told(old, pair),
        )

    def subject_of(code: int) -> SubjectFound:
        pairs = np.flatnonzero(worse & (owners == code))
        scores = np.nan_to_num(new.scores.mated[pairs], nan=-np.inf)
        first = pairs[np.argsort(scores, kind="stable")][:PAIRS].tolist()
        return SubjectFound(
            subject=subject_name(int(listed.subjects[code])),
            tried=int(tried[code]),
            missed=int(now[code]),
            missed_before=None if old is None else int(then[code]),
            worse=int(gone[code]),
            pairs=tuple(pair_of(pair) for pair in first),
        )

    return WorseFound(
        pairs=int(worse.sum()),
        pairs_better=None if old is None else int(better.sum()),
        subjects=len(ranked),
        listed=tuple(subject_of(code) for code in ranked[:SUBJECTS]),
    )


def by_group(listed: Listed, new: At, old: At | None, album: Album) -> tuple[GroupFound, ...]:
    """Generalised FNMR within every group of every attribute, at the thresholds that hold for all."""
    outcomes = [outcome_at(at.scores, at.threshold) for at in (new, old) if at is not None]
    found = []
    for attribute, groups in album.groups.items():
        labels = np.array([groups.get(int(subject), "") for subject in listed.subjects])
        for group in in_order({label for label in labels.tolist() if label}):
            members = (labels == group) & (outcomes[0].tried > 0)
            if not members.any():
                continue
            parts = [_part(outcome, members) for outcome in outcomes]
            found.append(
                GroupFound(
                    attribute=attribute,
                    group=group,
                    subjects=int(members.sum()),
                    fnmr=_rate(parts[0]),
                    baseline_fnmr=_rate(parts[1]) if old is not None else None,
                    subjects_worse=int((parts[0].missed > parts[-1].missed).sum()),
                    subjects_better=int((parts[0].missed < parts[-1].missed).sum()),
                )
            )
    return tuple(found)


def _part(outcome: Outcome, members: Mask) -> Outcome:
    """Of some subjects alone, the threshold taken as given."""
    return Outcome(
        threshold=outcome.threshold,
        below=outcome.below * members,
        completed=outcome.completed * members,
        failed=outcome.failed * members,
        pull=np.zeros(len(members)),
        pairs=np.zeros(0, np.int64),
        pair_pull=np.zeros(0),
    )


def _rate(outcome: Outcome) -> Rate:
    missed, tried = int(outcome.missed.sum()), int(outcome.tried.sum())
    try:
        by_subject = two_sided(fnmr_bounds(outcome, BOOTSTRAP))
    except Unresolvable:
        by_subject = None
    return Rate(
        name="generalised FNMR",
        value=missed / tried,
        errors=missed,
        trials=tried,
        side=f"{FNMR_SIDE}, and failed mated comparisons",
        exact=exact_interval(missed, tried),
        by_subject=by_subject,
    )
