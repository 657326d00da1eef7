"""Where the faces of a run of samples are, as a small file: found once, used by every layout that aligns."""

import io
import zipfile
from collections.abc import Sequence

import numpy as np

from app.errors import Corrupt
from workers.matchers.detector import Face

Faces = Sequence[Face | None]


def pack(faces: Faces) -> bytes:
    """Write faces as .npz: points [N, 5, 2], boxes [N, 4] and scores [N], float32, NaN where there is none."""
    points = np.full((len(faces), 5, 2), np.nan, np.float32)
    boxes = np.full((len(faces), 4), np.nan, np.float32)
    scores = np.full(len(faces), np.nan, np.float32)
    for number, face in enumerate(faces):
        if face is not None:
            points[number], boxes[number], scores[number] = face.points, face.box, face.score
    out = io.BytesIO()
    np.savez(out, points=points, boxes=boxes, scores=scores)
    return out.getvalue()


def unpack(data: bytes, count: int) -> Faces:
    """Read `count` faces; raises Corrupt."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            points, boxes, scores = (found[name] for name in ("points", "boxes", "scores"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as exc:
        raise Corrupt(f"stored landmarks cannot be read: {exc}") from exc
    if points.shape != (count, 5, 2) or boxes.shape != (count, 4) or scores.shape != (count,):
        raise Corrupt(f"stored landmarks are of {len(points)} samples and not of {count}")
    return [
        None if np.isnan(score) else Face(box=tuple(map(float, box)), points=five, score=float(score))  # type: ignore[arg-type]
        for five, box, score in zip(points, boxes, scores, strict=True)
    ]
