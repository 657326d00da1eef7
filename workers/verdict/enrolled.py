"""Whom searches of a set are about: its probes, and the references that were enrolled."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from app.dataset.manifest import Asked, Summary
from app.dataset.shard import SampleRow
from workers.biometrics.errors import ScoresRefused
from workers.verdict.blocks import SAMPLES, Places, name_of, place_of
from workers.verdict.candidates import NAMED, gallery_of


class Enrolled(NamedTuple):
    """Places, ascending."""

    probes: Places
    """[P] that are to be searched."""
    gallery: Places
    """[R] references that were enrolled."""
    numbered: Places
    """All samples that were planned, in the order by which the layout `frte` numbers them."""


def enrolled_of(summary: Summary, rows: Iterable[SampleRow], labels: Sequence[str] | None) -> Enrolled:
    """Of a set's manifest, and of the labels of those enrolled (None: every reference and distractor).

    Raises ScoresRefused for labels that are no references of the set, the first ten named.
    """
    sides: dict[bool, list[int]] = {True: [], False: []}
    for row in rows:
        sides[row.role == "probe"].append(place_of(row.id))
    probes, references = (np.array(sorted(sides[side]), np.int64) for side in (True, False))
    gallery = references
    if labels is not None:
        gallery = gallery_of(labels)
        if (strange := gallery[~np.isin(gallery, references)]).size:
            named = ", ".join(name_of(place) for place in strange[:NAMED])
            more = f" and {strange.size - NAMED:,} more" if strange.size > NAMED else ""
            raise ScoresRefused(
                f"{strange.size:,} of the gallery's labels are no references of this set: {named}{more}"
            )
    return Enrolled(probes, gallery, planned_places(summary.asked))


def planned_places(asked: Asked) -> Places:
    """Places of all samples that were planned, in the plan's order."""
    groups = asked.sample_counts or (((asked.samples - asked.distractors) // max(asked.subjects, 1), asked.subjects),)
    found, first = [], 0
    for samples, subjects in groups:
        codes = np.arange(first, first + subjects)[:, None] * SAMPLES + np.arange(samples)
        found.append(codes.ravel())
        first += subjects
    others = (first + np.arange(asked.distractors)) * SAMPLES
    return np.concatenate([*found, others])
