"""From images to a table of templates, in which every image keeps its row and every failure its reason."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import Cancelled
from workers.images import Pixels
from workers.matchers.base import Failure, Matcher, Role, Stage, Template
from workers.matchers.comparison import Scores, Templates
from workers.matchers.detector import Face

Image = Pixels | Callable[[], Pixels]
"""Pixels, or what reads them when their turn comes: then a file that cannot be read is a failure of its own row."""

NO_FACE = "no face found"

PAIRS_AT_ONCE = 65_536
"""Pairs whose templates are gathered at a time: 64 MiB at 128 dimensions."""

TIME_LIMIT = "SoftTimeLimitExceeded"
"""Celery's exception that ends a task, by its name: offline commands match images where there is no Celery."""


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What was extracted from N images on one side of the comparisons."""

    matcher: str
    version: str
    digest: str
    role: Role
    templates: Templates
    """float32 [N, d]; NaN in every row that has no template, so that a forgotten mask shows."""
    extracted: NDArray[np.bool_]
    """[N]: which rows have one."""
    failures: Mapping[int, Failure]
    """Row to why it has none: exactly the rows that `extracted` leaves out."""

    def __post_init__(self) -> None:
        if self.templates.ndim != 2 or self.extracted.shape != self.templates.shape[:1]:
            raise ValueError(f"templates {self.templates.shape} and mask {self.extracted.shape} do not fit")
        if sorted(self.failures) != np.flatnonzero(~self.extracted).tolist():
            raise ValueError("a row has either a template or a failure")

    def __len__(self) -> int:
        return len(self.templates)

    @property
    def failure_rate(self) -> float:
        """Share of images without a template: FTE of references, the extraction's FTX of probes; NaN of no images."""
        return len(self.failures) / len(self) if len(self) else float("nan")

    def reasons(self) -> dict[str, int]:
        """How often each reason came, the most frequent first."""
        counted = Counter(f"{failure.stage}: {failure.reason}" for failure in self.failures.values())
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def extract_one(matcher: Matcher, image: Image, role: Role, *, face: Face | None = None) -> Template | Failure:
    """Template of one image, float32 [d], or why there is none.

    `face` is what the matcher's own detector finds in it, where that is known already.

    Whatever the matcher throws for this image is this image's failure, with its reason. Only a lack of memory is
    passed on: it is no property of an image.
    """
    stage = Stage.READ
    try:
        pixels = image() if callable(image) else image
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise ValueError(f"an image must be uint8 [H, W, 3] and not empty; this is {pixels.dtype} {pixels.shape}")
        stage = Stage.DETECT
        face = matcher.detect(pixels) if face is None else face
        if face is None:
            return Failure(role=role, stage=stage, reason=NO_FACE)
        stage = Stage.ALIGN
        chip = matcher.align(pixels, face)
        stage = Stage.TEMPLATE
        template = np.array(matcher.template(chip), np.float32)
        if template.shape != (matcher.dimensions,):
            raise ValueError(f"a template of shape {template.shape} instead of ({matcher.dimensions},)")
        if not np.isfinite(template).all():
            raise ValueError("a template with values that are not finite")
    except Exception as exc:
        if isinstance(exc, MemoryError) or type(exc).__name__ == TIME_LIMIT:
            raise
        # A matcher may throw anything, and every image must be accounted for.
        return Failure(role=role, stage=stage, reason=f"{type(exc).__name__}: {exc}")
    return template


def extract_many(
    matcher: Matcher,
    images: Iterable[Image],
    role: Role,
    *,
    total: int | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Extraction:
    """Templates of many images, one row each in their order; one image is held at a time.

    `total` is how many there must be (that of a sized iterable is known); raises ValueError for another number.
    `should_cancel` is asked before each image; raises Cancelled. `on_progress` gets images done and in all.
    """
    if total is None and isinstance(images, Sized):
        total = len(images)
    rows: list[Template] = []
    failures: dict[int, Failure] = {}
    missing = np.full(matcher.dimensions, np.nan, np.float32)
    for row, image in enumerate(images):
        if should_cancel():
            raise Cancelled(f"extraction was called off after {row} images")
        found = extract_one(matcher, image, role)
        if isinstance(found, Failure):
            failures[row] = found
            rows.append(missing)
        else:
            rows.append(found)
        on_progress(row + 1, total)
    if total is not None and len(rows) != total:
        raise ValueError(f"there were to be {total} images and {len(rows)} came")
    extracted = np.ones(len(rows), np.bool_)
    extracted[list(failures)] = False
    return Extraction(
        matcher=matcher.name,
        version=matcher.version,
        digest=matcher.digest,
        role=role,
        templates=np.array(rows, np.float32).reshape(len(rows), matcher.dimensions),
        extracted=extracted,
        failures=failures,
    )


def compare_tables(matcher: Matcher, references: Extraction, probes: Extraction) -> Scores:
    """Comparison scores of all references with all probes, [N, M]; NaN where either has no template."""
    _check_made_by(matcher, references, probes)
    scores = matcher.compare(references.templates, probes.templates)
    # A matcher of somebody else's may make a number out of NaN.
    return np.where(references.extracted[:, None] & probes.extracted[None], scores, np.float32(np.nan))


def compare_pairs(matcher: Matcher, references: Extraction, probes: Extraction, pairs: NDArray[np.integer]) -> Scores:
    """Comparison scores of chosen pairs [K, 2] of (row of the references, row of the probes), [K].

    NaN where either has no template: a comparison that was not completed.
    """
    _check_made_by(matcher, references, probes)
    scores = np.full(len(pairs), np.nan, np.float32)
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        a, b = pairs[start : start + PAIRS_AT_ONCE].T
        completed = references.extracted[a] & probes.extracted[b]
        scores[start : start + len(a)][completed] = matcher.compare_pairs(
            references.templates[a[completed]], probes.templates[b[completed]]
        )
    return scores


def _check_made_by(matcher: Matcher, *tables: Extraction) -> None:
    for table in tables:
        if table.digest != matcher.digest:
            raise ValueError(f"templates of {table.matcher} {table.version} cannot be compared by {matcher.name}")
