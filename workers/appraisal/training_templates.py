"""Templates of a training corpus, to be shipped with the model: what a set's leakage is measured against.

The identities of the training side are spread evenly over all that were trained on; those held out are taken from the
first on. Each goes through every judge; an image without a template is left out.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from workers.generator.trained_on import TemplatesOf, TrainedOn
from workers.images import Pixels
from workers.matchers.base import Failure, Matcher, Role
from workers.matchers.extraction import extract_one

HELD_OUT_SHARE = 0.05
"""Of the subjects, the last; as training holds them out."""

Codes = NDArray[np.int64]


def trained_on(subjects: int) -> int:
    """How many of a corpus's subjects, from the first on, are trained on; the others are held out."""
    return int(subjects * (1 - HELD_OUT_SHARE))


def choose(subjects: int, *, training: int, held_out: int) -> Codes:
    """Numbers of the identities to template out of a corpus of so many, ascending."""
    trained = trained_on(subjects)
    chosen = np.unique(np.linspace(0, trained - 1, min(training, trained)).round().astype(np.int64))
    return np.concatenate([chosen, np.arange(trained, min(trained + held_out, subjects))])


def template_corpus(
    portraits: Iterable[tuple[int, Pixels]],
    judges: Sequence[Matcher],
    *,
    trained: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> dict[str, TrainedOn]:
    """Template the portraits (number, pixels) of a corpus whose first `trained` subjects were trained on, by judge.

    On one core about an eighth of a second an identity. `on_progress` gets identities done.
    """
    kept: dict[str, list[tuple[int, NDArray[np.float32]]]] = {judge.name: [] for judge in judges}
    for number, (subject, pixels) in enumerate(portraits):
        for judge in judges:
            found = extract_one(judge, pixels, Role.REFERENCE)
            if not isinstance(found, Failure):
                kept[judge.name].append((subject, found))
        on_progress(number + 1)
    return {
        judge.name: TrainedOn(
            matcher_digest=judge.digest,
            training=_table([row for row in kept[judge.name] if row[0] < trained], judge),
            held_out=_table([row for row in kept[judge.name] if row[0] >= trained], judge),
        )
        for judge in judges
    }


def _table(rows: list[tuple[int, NDArray[np.float32]]], judge: Matcher) -> TemplatesOf:
    return TemplatesOf(
        templates=np.array([template for _, template in rows], np.float32).reshape(len(rows), judge.dimensions),
        subjects=np.array([subject for subject, _ in rows], np.int64),
    )
