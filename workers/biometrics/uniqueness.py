"""Are the identities of a set different from each other, and are the samples of each alike?

Both depend on the matcher: judge with another one than the one that filtered the set. Legend: S subjects.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.dataset.measures import CONFIDENCE, Interval
from workers.biometrics.bootstrap import DEFAULT, Bootstrap
from workers.biometrics.errors import Unresolvable
from workers.biometrics.intervals import corrected_interval, exact_interval
from workers.biometrics.templates import Comparer, Metric, TemplateTable, nearest, unit


@dataclass(frozen=True, kw_only=True, eq=False)
class Uniqueness:
    """U_class: the share of identities whose nearest other identity scores *below* the threshold."""

    u_class: float
    unique: int
    identities: int
    """With a template; U_class falls as they grow in number, so it always goes with it."""
    without_template: int
    """Subjects none of whose samples gave a template; in neither count."""
    threshold: float
    nearest_scores: NDArray[np.float32]
    """[identities] score with the nearest other identity, by ascending subject."""
    subjects: NDArray[np.int64]
    """[identities]"""
    nearest_subjects: NDArray[np.int64]
    """[identities] who that is."""
    interval: Interval
    """Over identities as if independent; copies come in pairs, so it is somewhat too narrow."""


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """C_intra: the share of a subject's samples that score >= threshold with the subject's centre, averaged over
    subjects. The centre is made of the same samples, which flatters small numbers of them."""

    c_intra: float
    subjects: int
    """With at least two templates."""
    left_out: int
    """Subjects with a single template, or none: they would be their own centre."""
    samples: int
    threshold: float
    by_subject: Interval


def centres(table: TemplateTable, metric: Metric = "cosine") -> TemplateTable:
    """One template a subject, ascending: the mean of its templates; for cosines of their directions, of length 1.

    Subjects without any template are left out; compare the lengths. Raises ScoresRefused where templates cancel out.
    """
    rows = np.flatnonzero(table.extracted)
    subjects, owner = np.unique(table.subjects[rows], return_inverse=True)
    templates = table.templates[rows]
    if metric == "cosine":
        templates = unit(templates)
    sums = np.zeros((len(subjects), table.templates.shape[1]))
    np.add.at(sums, owner, templates)
    means = (sums / np.bincount(owner, minlength=len(subjects))[:, None]).astype(np.float32)
    return TemplateTable(templates=unit(means) if metric == "cosine" else means, subjects=subjects)


def uniqueness(
    table: TemplateTable, threshold: float, *, metric: Metric = "cosine", confidence: float = CONFIDENCE
) -> Uniqueness:
    """Compare every identity with its nearest other; several samples of a subject are first put into its centre.

    Source: U_class of DCFace (Kim 2023), which takes cosine distance 0.3 for all matchers; we take a threshold, which
    should be that of a stated FMR. Raises Unresolvable with fewer than two identities.
    """
    identities = centres(table, metric)
    if len(identities) < 2:
        raise Unresolvable(f"{len(identities)} identity cannot be compared with others; at least 2 are needed")
    found = nearest(identities, identities, metric=metric)
    unique = int(np.count_nonzero(found.scores < np.float64(threshold)))
    return Uniqueness(
        u_class=unique / len(identities),
        unique=unique,
        identities=len(identities),
        without_template=len(np.unique(table.subjects)) - len(identities),
        threshold=threshold,
        nearest_scores=found.scores,
        subjects=identities.subjects,
        nearest_subjects=identities.subjects[found.rows],
        interval=exact_interval(unique, len(identities), confidence, over="identities"),
    )


def consistency(
    table: TemplateTable, threshold: float, *, metric: Metric = "cosine", bootstrap: Bootstrap = DEFAULT
) -> Consistency:
    """Compare every sample with its subject's centre; the interval comes of resampling subjects.

    Source: C_intra of DCFace (Kim 2023). Raises Unresolvable with fewer than two subjects of two templates.
    """
    rows = np.flatnonzero(table.extracted)
    per_subject = np.bincount(table.subjects[rows])
    rows = rows[per_subject[table.subjects[rows]] > 1]
    several = table.take(rows)
    middle = centres(several, metric)
    owner = np.searchsorted(middle.subjects, several.subjects)
    comparer = Comparer.of(several.templates, middle.templates, metric)
    alike = comparer.pairs(np.arange(len(rows)), owner) >= np.float64(threshold)
    shares = np.bincount(owner, weights=alike, minlength=len(middle)) / np.bincount(owner, minlength=len(middle))
    replicates = np.empty(bootstrap.replicates)
    for part, weights in bootstrap.multiplicities(len(middle)):
        replicates[part] = weights @ shares / len(middle)
    return Consistency(
        c_intra=float(shares.mean()),
        subjects=len(middle),
        left_out=len(np.unique(table.subjects)) - len(middle),
        samples=len(rows),
        threshold=threshold,
        by_subject=_interval(shares, replicates, bootstrap.confidence),
    )


def _interval(shares: NDArray[np.float64], replicates: NDArray[np.float64], confidence: float) -> Interval:
    """Of the mean of shares [S]; where every sample (or none) is alike, every replicate is, and says nothing."""
    if shares.min() == shares.max() and shares[0] in (0, 1):
        return exact_interval(int(shares.sum()), len(shares), confidence, over="subjects")
    mean = float(shares.mean())
    return corrected_interval(replicates, mean, shares - mean, "bootstrap by subject", confidence)
