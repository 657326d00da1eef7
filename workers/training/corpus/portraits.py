"""One image of each subject of a corpus, over the plain backdrop: what was trained on, as a matcher can look at it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.generator import latents as lt
from workers.generator.sdgan.generator import as_seen
from workers.images import Pixels, to_pixels
from workers.training.corpus.store import read_part, read_spec


def first_samples(folder: Path, subjects: NDArray[np.int64]) -> Iterator[tuple[int, Pixels]]:
    """Yield the number and the first sample, uint8 [H, W, 3], of some subjects, by number; raises Corrupt."""
    spec = read_spec(folder)
    layout = lt.LAYOUTS[spec.layout]
    calm, backdrop = np.zeros((1, layout.observation), np.float32), layout.factors["background"]
    wanted = set(subjects.tolist())
    for number in np.unique(subjects // spec.subjects_per_part).tolist():
        part = read_part(folder, number)
        owners, rows = np.unique(part["subject"], return_index=True)
        for subject, row in zip(owners.tolist(), rows.tolist(), strict=True):
            if subject in wanted:
                head = np.asarray(part["head"][row : row + 1] / np.float32(255), np.float32)
                image = as_seen(head, part["identity"][row : row + 1], calm, layout, backdrop)
                yield subject, to_pixels(image.clip(0, 1) * 2 - 1)[0]
