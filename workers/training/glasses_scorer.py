"""Fitting the scorer of glasses (workers.matchers.glasses) to a corpus of labelled renders."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.errors import RequestRefused
from workers.generator import latents as lt
from workers.images import Pixels
from workers.matchers.alignment import align
from workers.matchers.detector import Detector
from workers.matchers.glasses import CHIP, Weights, features, score_of
from workers.training.data import Corpus
from workers.training.files import save_whole
from workers.training.glasses import composed

STRENGTH = 3.0
"""Of the ridge, over the mean variance of a feature."""

HELD_OUT_SHARE = 0.2
"""Of the subjects, the last: the scorer is judged by them."""

FEWEST = 50
"""Renders with glasses, and without, that it takes."""

PART = 64


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The scorer, and how often it is right on subjects that it was not fitted to."""

    by: Weights
    with_glasses: float
    """Share of renders with glasses that it sees."""
    without: float
    """Share of renders without in which it sees none."""
    judged: int

    @property
    def accuracy(self) -> float:
        """Both weighed alike."""
        return (self.with_glasses + self.without) / 2


def fit_scorer(
    corpus: Corpus, detector: Detector, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Fitted:
    """Fit a ridge regression to all subjects but the last; raises RequestRefused for too few faces of either kind."""
    chips, rows = _chips(corpus, detector, on_progress)
    worn = lt.wears_glasses(corpus.columns["identity"][rows], corpus.columns["observation"][rows], corpus.latents)
    subjects = corpus.columns["subject"][rows]
    judged = subjects >= int(corpus.subjects * (1 - HELD_OUT_SHARE))
    if min((worn & ~judged).sum(), (~worn & ~judged).sum(), (worn & judged).sum()) < FEWEST:
        raise RequestRefused(
            [("corpus", f"it takes {FEWEST} renders with glasses and without, and of either to judge by")]
        )
    # As they are, mirrored, and as a network of half the size would make them.
    ways = [(mirrored, coarse) for mirrored in (False, True) for coarse in (False, True)]
    learned = [chip for chip, held in zip(chips, judged, strict=True) if not held]
    x = np.stack([features(_varied(chip, *way)) for way in ways for chip in learned]).astype(np.float64)
    by = _ridge(x, np.tile(worn[~judged], len(ways)))
    scores = np.array([score_of(chip, by) for chip, held in zip(chips, judged, strict=True) if held])
    truth = worn[judged]
    return Fitted(
        by=by,
        with_glasses=float((scores[truth] > 0).mean()),
        without=float((scores[~truth] <= 0).mean()),
        judged=len(scores),
    )


def save_scorer(path: Path, fitted: Fitted, corpus: str) -> None:
    """Write it; `corpus` is the digest of what it was fitted to. Raises DiskFull."""
    about = {
        "corpus": corpus,
        "held_out_accuracy": round(fitted.accuracy, 4),
        "with_glasses": round(fitted.with_glasses, 4),
        "without": round(fitted.without, 4),
        "judged": fitted.judged,
    }
    tensors = {name: values.astype(np.float32) for name, values in fitted.by._asdict().items()}
    save_whole(path, tensors, {"about": json.dumps(about, sort_keys=True)})
    path.chmod(0o644)  # written for its owner alone


def _chips(
    corpus: Corpus, detector: Detector, on_progress: Callable[[int, int], None]
) -> tuple[list[Pixels], NDArray[np.int64]]:
    """Aligned faces, and the corpus's rows that they are of; renders without a face are left out."""
    chips, rows = [], []
    total = len(corpus.columns["subject"])
    for start in range(0, total, PART):
        part = slice(start, min(start + PART, total))
        heads = np.asarray(corpus.columns["head"][part] / np.float32(255), np.float32)
        identity, observation = (corpus.columns[name][part] for name in ("identity", "observation"))
        images = composed(heads, identity, observation, corpus.latents)
        for row, image in enumerate(np.asarray(np.rint(images.clip(0, 1) * 255), np.uint8), start):
            face = detector.detect(image)
            if face is not None:
                chips.append(align(image, face.points, CHIP))
                rows.append(row)
        on_progress(part.stop, total)
    return chips, np.array(rows, np.int64)


def _varied(chip: Pixels, mirrored: bool, coarse: bool) -> Pixels:
    if coarse:
        small = cv2.resize(chip, (CHIP // 2, CHIP // 2), interpolation=cv2.INTER_AREA)
        chip = np.asarray(cv2.resize(small, (CHIP, CHIP), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.ascontiguousarray(chip[:, ::-1]) if mirrored else chip


def _ridge(x: NDArray[np.float64], worn: NDArray[np.bool_]) -> Weights:
    """Both kinds weighed alike, whatever their numbers."""
    weight = np.where(worn, 1 / worn.mean(), 1 / (~worn).mean())
    middle = (weight[:, None] * x).sum(0) / weight.sum()
    centred = x - middle
    products = (centred * weight[:, None]).T @ centred
    products[np.diag_indices_from(products)] += STRENGTH * np.trace(products) / len(products)
    wanted = (centred * weight[:, None]).T @ np.where(worn, 1.0, -1.0)
    return Weights(weights=np.linalg.solve(products, wanted), middle=middle)
