"""One shard, from its plan to its report: generate → check → store. Knows no queue and no store."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

from app.dataset import names
from app.dataset.model import ModelCard
from app.dataset.plan import FinalPlan, Place, Plan
from app.dataset.shard import (
    IdentityChoice,
    Missing,
    Point,
    Rejection,
    SampleRow,
    ShardReport,
    Sidecar,
    StoredSample,
)
from app.errors import Cancelled
from workers.generator.base import Generator, Latents
from workers.generator.shown import shown
from workers.images import Mark, Pixels, decode, encode, pixel_sha256
from workers.matchers.detector import Detector, Face
from workers.pipeline.check import check
from workers.pipeline.generate import Draw, attributes_of, check_model, generate_samples
from workers.pipeline.store import ShardTar
from workers.pipeline.thumbnails import ThumbnailSheet
from workers.provenance.marker import NO_MARKS, Marker, Sealed
from workers.provenance.signing import SUFFIX


@dataclass(frozen=True, kw_only=True)
class Passed:
    """A sample that passed its checks."""

    draw: Draw
    pixels: Pixels
    identity: Latents
    observation: Latents
    face: Face | None
    """What the detector found in it, where a check asked it."""


def run_shard(
    plan: FinalPlan,
    number: int,
    *,
    generator: Generator,
    choice: IdentityChoice | None,
    detector: Detector,
    tar: ShardTar,
    batch_size: int,
    encoder_threads: int,
    marker: Marker = NO_MARKS,
    thumbnails: ThumbnailSheet | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ShardReport:
    """Make every sample of a shard and add it to `tar`, and to `thumbnails` where there are to be any; returns the
    report.

    `should_cancel` is asked before each batch; raises Cancelled. `on_progress` gets samples done and in all.
    Files are marked and encoded by threads while the next batch is generated; neither batches nor threads change a
    byte. C2PA does: its signatures have chance in them, in the file or in what lies beside it; pixels never change.
    """
    check_model(plan, generator.card)
    rejected: list[Rejection] = []
    missing: list[Missing] = []
    encoding: deque[Future[tuple[SampleRow, Sealed]]] = deque()
    samples = passing_samples(
        plan,
        number,
        generator=generator,
        choice=choice,
        detector=detector,
        batch_size=batch_size,
        rejected=rejected,
        missing=missing,
        should_cancel=should_cancel,
        on_progress=on_progress,
    )
    with ThreadPoolExecutor(encoder_threads, "encode") as pool:
        try:
            for passed in samples:
                encoding.append(pool.submit(_encode, plan, generator.card, passed, marker, thumbnails))
                if len(encoding) > 2 * batch_size:
                    tar.add(*encoding.popleft().result())
        except Cancelled:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        while encoding:
            tar.add(*encoding.popleft().result())
    return shard_report(number, generator.device, tar.stored, rejected, missing, tar.bytes)


def shard_report(
    number: int,
    device: str,
    samples: Iterable[StoredSample],
    rejected: Iterable[Rejection],
    missing: Iterable[Missing],
    tar_bytes: int = 0,
) -> ShardReport:
    """What became of a shard, in the plan's order, whatever batches it fell into."""
    return ShardReport(
        shard=number,
        samples=tuple(samples),
        rejected=tuple(sorted(rejected, key=lambda item: (item.id, item.attempt))),
        missing=tuple(sorted(missing, key=lambda item: item.id)),
        tar_bytes=tar_bytes,
        device=device,
    )


def passing_samples(
    plan: FinalPlan,
    number: int,
    *,
    generator: Generator,
    choice: IdentityChoice | None,
    detector: Detector,
    batch_size: int,
    rejected: list[Rejection],
    missing: list[Missing],
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Passed]:
    """Yield a shard's samples that pass, in order; `should_cancel` is asked before each batch; raises Cancelled.

    What failed is put into `rejected`, what no attempt could make into `missing`.
    """
    indices = plan.shard(number)
    for start in range(indices.start, indices.stop, batch_size):
        if should_cancel():
            raise Cancelled(f"shard {number} was called off")
        places = list(plan.places(range(start, min(start + batch_size, indices.stop))))
        yield from passing(plan, generator, choice, detector, places, rejected, missing)
        on_progress(min(start + batch_size, indices.stop) - indices.start, len(indices))


def passing(
    plan: FinalPlan,
    generator: Generator,
    choice: IdentityChoice | None,
    detector: Detector,
    places: list[Place],
    rejected: list[Rejection],
    missing: list[Missing],
) -> Iterator[Passed]:
    """Yield the samples of a batch that pass, in order; what fails is drawn again, all failures together."""
    passed: dict[Place, Passed] = {}
    pending: list[Draw] = []
    for place in places:
        if choice and place.subject in choice.missing:
            missing.append(Missing(id=names.sample_name(*place), reason=choice.missing[place.subject]))
        else:
            pending.append(Draw(place, choice.attempt(place.subject) if choice else 0, 0))
    while pending:
        pixels, identity, observation = generate_samples(plan, generator, pending)
        again: list[Draw] = []
        for draw, image, who, how in zip(pending, pixels, identity, observation, strict=True):
            face, reason = check(plan, image, detector)
            if reason is None:
                passed[draw.place] = Passed(draw=draw, pixels=image, identity=who, observation=how, face=face)
                continue
            name = names.sample_name(*draw.place)
            rejected.append(Rejection(id=name, attempt=draw.attempt, reason=reason))
            if draw.attempt + 1 < plan.max_attempts:
                again.append(draw._replace(attempt=draw.attempt + 1))
            else:
                missing.append(Missing(id=name, reason=f"{reason} in {plan.max_attempts} attempts"))
        pending = again
    return (passed[place] for place in places if place in passed)


def delivered(plan: Plan, pixels: Pixels, marker: Marker = NO_MARKS) -> Pixels:
    """The pixels that a reader of a sample's file will see: with a watermark, or as JPEG, not those that went in."""
    if plan.image.quality is None:
        return marker.pixels(pixels)
    # This mark is metadata: it changes no pixel.
    nobody = Mark(dataset="", sample="", model="", model_digest="", source_type=plan.model.source_type)
    return decode(encode(marker.pixels(pixels), nobody, quality=plan.image.quality))


def _encode(
    plan: Plan, card: ModelCard, sample: Passed, marker: Marker, thumbnails: ThumbnailSheet | None
) -> tuple[SampleRow, Sealed]:
    place = sample.draw.place
    name = names.sample_name(*place)
    mark = Mark(
        dataset=plan.dataset,
        sample=name,
        model=f"{plan.model.name} {plan.model.version}",
        model_digest=plan.model.digest,
        source_type=plan.model.source_type,
    )
    pixels = marker.pixels(sample.pixels)
    if thumbnails is not None:
        thumbnails.add(plan.index(place), pixels)
    sealed = marker.seal(encode(pixels, mark, quality=plan.image.quality), plan.image.media_type, mark)
    file = names.sample_file(plan, *place)
    # Of the decoded file: a JPEG's pixels are not those that went in.
    digest = pixel_sha256(pixels if plan.image.quality is None else decode(sealed.data))
    row = row_of(plan, card, sample, file, sealed.data, digest)
    if sealed.manifest is not None:
        row = row.model_copy(update={"c2pa": _sidecar(file, sealed.manifest)})
    return row, sealed


def row_of(plan: Plan, card: ModelCard, sample: Passed, file: str, data: bytes, digest: str) -> SampleRow:
    """The row of a sample whose bytes are `data`, in `file`, and whose pixels have this digest."""
    place = sample.draw.place
    return SampleRow(
        id=names.sample_name(*place),
        subject=names.subject_name(place.subject),
        role=names.role(plan, *place),
        file=file,
        width=plan.image.width,
        height=plan.image.height,
        bytes=len(data),
        pixel_sha256=digest,
        file_sha256=hashlib.sha256(data).hexdigest(),
        identity_attempt=sample.draw.identity_attempt,
        attempt=sample.draw.attempt,
        attributes=attributes_of(card, sample.identity),
        shown=shown(card, sample.identity, sample.observation),
        landmarks=_landmarks(sample.face),
    )


def _landmarks(face: Face | None) -> tuple[Point, Point, Point, Point, Point] | None:
    if face is None:
        return None
    # A tenth of a pixel: what lies below it differs between machines.
    points = [(round(float(x), 1), round(float(y), 1)) for x, y in face.points]
    return points[0], points[1], points[2], points[3], points[4]


def _sidecar(file: str, manifest: bytes) -> Sidecar:
    return Sidecar(
        file=str(PurePosixPath(file).with_suffix(SUFFIX)),
        bytes=len(manifest),
        sha256=hashlib.sha256(manifest).hexdigest(),
    )
