"""Does a generator give away its training set? Two answers, both by comparison scores.

Copying: synthetic samples' nearest neighbours in the training set, against the same of real samples of other people.
Membership: can one tell training samples from held-out ones by how near the synthetic set comes to them?
Both depend on the matcher, and on like with like: real samples must be of the kind that was trained on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.dataset.measures import Interval
from workers.biometrics.bootstrap import DEFAULT, Bootstrap
from workers.biometrics.errors import Unresolvable
from workers.biometrics.intervals import exact_interval, percentile_interval
from workers.biometrics.templates import Metric, TemplateTable, nearest

Floats = NDArray[np.float64]

QUANTILES = (0.95, 0.99, 0.999)
"""Of the real nearest-neighbour scores: beyond these the synthetic ones are counted."""


@dataclass(frozen=True, kw_only=True)
class Excess:
    """Synthetic nearest-neighbour scores beyond a quantile of the real ones."""

    quantile: float
    score: float
    """The real scores' quantile: the smallest real score with at least this share at or below it."""
    expected: float
    """Share of real scores above it; at most 1 − quantile."""
    share: float
    """Share of synthetic scores above it."""
    interval: Interval
    """Clopper–Pearson over synthetic samples, the real quantile taken as known."""


@dataclass(frozen=True, kw_only=True)
class Auc:
    """The chance that a sample of the first kind scores above one of the second, ties counted half; 0.5 is none."""

    value: float
    first: int
    second: int
    by_subject: Interval


@dataclass(frozen=True, kw_only=True, eq=False)
class Copying:
    """Nearest-neighbour scores synthetic→training beside real→training non-mated."""

    synthetic: NDArray[np.float32]
    """[synthetic samples with a template]"""
    real: NDArray[np.float32]
    """[real samples with a template]"""
    auc: Auc
    """Synthetic above real; clearly above 0.5 is leakage, below it the synthetic are farther than strangers are."""
    excess: tuple[Excess, ...]
    without_template: int
    searched: int
    """Training templates."""


def copying(
    synthetic: TemplateTable,
    training: TemplateTable,
    real: TemplateTable,
    *,
    metric: Metric = "cosine",
    bootstrap: Bootstrap = DEFAULT,
) -> Copying:
    """Search the training set for every synthetic and every real sample, real ones past their own subject.

    Both searches go through the same table, for the best of more candidates is higher. Subject codes of `real` and
    `training` are shared, those of `synthetic` are its own. Real samples that were trained on may be given as well;
    held-out ones are better, as all of the training set stands against both alike.
    Raises Unresolvable where a table has no template.
    """
    ours = nearest(synthetic, training, metric=metric, other_subjects=False).scores
    theirs = nearest(real, training, metric=metric, other_subjects=True).scores
    kept, held = ~np.isnan(ours), ~np.isnan(theirs)
    searched = int(training.extracted.sum())
    if not (kept.any() and held.any() and searched) or np.isneginf(theirs[held]).any():
        raise Unresolvable("copying needs templates of synthetic, training and real samples, and other real subjects")
    ordered = np.sort(theirs[held])
    excess = []
    for quantile in QUANTILES:
        score = ordered[min(int(np.ceil(quantile * len(ordered))), len(ordered)) - 1]
        above = int(np.count_nonzero(ours[kept] > score))
        excess.append(
            Excess(
                quantile=quantile,
                score=float(score),
                expected=float(np.mean(ordered > score)),
                share=above / int(kept.sum()),
                interval=exact_interval(above, int(kept.sum()), bootstrap.confidence, over="synthetic samples"),
            )
        )
    return Copying(
        synthetic=ours[kept],
        real=theirs[held],
        auc=auc(ours[kept], theirs[held], synthetic.subjects[kept], real.subjects[held], bootstrap),
        excess=tuple(excess),
        without_template=int((~kept).sum() + (~held).sum()),
        searched=searched,
    )


def membership_inference(
    synthetic: TemplateTable,
    members: TemplateTable,
    non_members: TemplateTable,
    *,
    metric: Metric = "cosine",
    bootstrap: Bootstrap = DEFAULT,
) -> Auc:
    """AUC of the attack that calls a sample a training sample if a synthetic one comes near it.

    The attack's score is the highest comparison score with any synthetic sample. Members and non-members must be
    drawn alike from one population, or the AUC tells the two collections apart rather than membership.
    Raises Unresolvable where a table has no template.
    """
    scores, subjects = [], []
    for table in (members, non_members):
        found = nearest(table, synthetic, metric=metric, other_subjects=False).scores
        kept = ~np.isnan(found)
        if not kept.any() or np.isneginf(found[kept]).any():
            raise Unresolvable("membership inference needs templates of synthetic, member and non-member samples")
        scores.append(found[kept])
        subjects.append(table.subjects[kept])
    return auc(scores[0], scores[1], subjects[0], subjects[1], bootstrap)


def auc(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    first_subjects: NDArray[np.int64],
    second_subjects: NDArray[np.int64],
    bootstrap: Bootstrap = DEFAULT,
) -> Auc:
    """Area under the ROC of first [A] against second [B], with an interval by resampling the subjects of each."""
    _, owners = np.unique(first_subjects, return_inverse=True)
    order = np.argsort(second, kind="stable")
    ordered = second[order]
    _, others = np.unique(second_subjects[order], return_inverse=True)
    below, up_to = np.searchsorted(ordered, first, "left"), np.searchsorted(ordered, first, "right")
    value = float(((below + up_to) / 2).mean() / len(second))
    replicates = np.full(bootstrap.replicates, np.nan)
    # Two streams: subjects of the two kinds are drawn independently. Rows come in chunks of one size in both.
    width = len(first) + len(second) + len(owners)
    other = Bootstrap(replicates=bootstrap.replicates, seed=bootstrap.seed + 1, confidence=bootstrap.confidence)
    for (part, left), (_, right) in zip(
        bootstrap.multiplicities(int(owners.max()) + 1, width),
        other.multiplicities(int(others.max()) + 1, width),
        strict=True,
    ):
        weights, running = left[:, owners], np.cumsum(right[:, others], 1)
        running = np.concatenate([np.zeros((len(running), 1)), running], 1)
        beaten = (weights * (running[:, below] + running[:, up_to]) / 2).sum(1)
        whole = weights.sum(1) * running[:, -1]
        replicates[part] = np.divide(beaten, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return Auc(
        value=value,
        first=len(first),
        second=len(second),
        by_subject=percentile_interval(replicates, "bootstrap by subject", bootstrap.confidence),
    )
