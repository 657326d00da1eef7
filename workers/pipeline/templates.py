"""Templates instead of images: a shard's samples made, templated by the plan's matcher, and let go of.

A shard's file is laid out as a judgement's is, so that what is judged of such a set is read from it; `write_templates`
joins all of them into templates.npz, a piece at a time. Legend: N samples, D numbers in a template.
"""

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from app.dataset import names
from app.dataset.keys import DatasetKeys
from app.dataset.manifest import Templates
from app.dataset.plan import FinalPlan, Plan, PlannedMatcher
from app.dataset.products import TEMPLATES
from app.dataset.shard import IdentityChoice, Missing, Rejection, ShardReport, StoredSample
from app.dataset.source_type import source_type_uri
from app.errors import Corrupt
from app.storage import ObjectStore
from workers.generator.base import Generator
from workers.images import pixel_sha256
from workers.matchers.base import Failure, Matcher, NetworkMatcher, Role, Template
from workers.matchers.detector import Detector
from workers.matchers.extraction import extract_one
from workers.pipeline.generate import check_model
from workers.pipeline.run import Passed, delivered, passing_samples, row_of, shard_report
from workers.pipeline.scoring import metric_of
from workers.pipeline.store import IN_MEMORY_BYTES
from workers.pipeline.tables import pack, unpack

FLOAT = np.dtype("<f4")
"""Of templates, wherever they lie or are digested."""


class Written(NamedTuple):
    """templates.npz, as it lies in the store."""

    templates: Templates
    bytes: int
    sha256: str


def run_template_shard(
    plan: FinalPlan,
    number: int,
    *,
    generator: Generator,
    choice: IdentityChoice | None,
    detector: Detector,
    matcher: Matcher,
    batch_size: int,
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[ShardReport, bytes]:
    """Make every sample of a shard and keep its template alone; returns the report and the shard's file.

    The template is that of the image as it would be delivered, and its pixels' digest is in the report: the same
    request for images has the same digests, and its images the same templates. A sample without a template is a row
    of NaN. `should_cancel` is asked before each batch; raises Cancelled. Batches change no byte.
    """
    check_model(plan, generator.card)
    rejected: list[Rejection] = []
    missing: list[Missing] = []
    stored: list[StoredSample] = []
    templates: list[Template] = []
    failures: dict[str, str] = {}
    for sample in passing_samples(
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
    ):
        found, digest = _template_of(plan, matcher, sample)
        if isinstance(found, Failure):
            failures[names.sample_name(*sample.draw.place)] = f"{found.stage}: {found.reason}"
            found = np.full(matcher.dimensions, np.nan, FLOAT)
        data = found.astype(FLOAT).tobytes()
        row = row_of(plan, generator.card, sample, TEMPLATES.file, data, digest)
        stored.append(StoredSample(row=row, offset=len(templates) * len(data)))
        templates.append(found)
    report = shard_report(number, generator.device, stored, rejected, missing)
    table = np.array(templates, FLOAT).reshape(len(templates), matcher.dimensions)
    ids = np.array([sample.row.id for sample in stored], np.str_)
    said = {"failures": {matcher.name: failures}, "metrics": {matcher.name: metric_of(matcher)}}
    return report, pack({"ids": ids, f"template:{matcher.name}": table}, said)


def _template_of(plan: Plan, matcher: Matcher, sample: Passed) -> tuple[Template | Failure, str]:
    """Template float32 [D] of a sample as it would be delivered, or why there is none; and its pixels' digest."""
    pixels = delivered(plan, sample.pixels)
    role = Role.PROBE if names.role(plan, *sample.draw.place) == "probe" else Role.REFERENCE
    # What the check found is where the matcher's own detector would find it, unless JPEG has changed the pixels.
    known = isinstance(matcher, NetworkMatcher) and plan.image.quality is None
    return extract_one(matcher, pixels, role, face=sample.face if known else None), pixel_sha256(pixels)


def read_judged(store: ObjectStore, at: DatasetKeys, plan: Plan, matcher: PlannedMatcher) -> list[dict[str, Any]]:
    """What is judged of such a set, a table a shard, as `workers.pipeline.judgements.join` takes them."""
    found = []
    for shard in plan.judged_shards:
        table = unpack(store.get(at.shard_templates(shard)), at.shard_templates(shard))
        places = [names.parse_sample_name(str(name)) for name in table["ids"]]
        judged = np.array([place is not None and plan.judged(place) for place in places], np.bool_)
        ids = table["ids"][judged]
        kept = set(ids.tolist())
        failed = {
            judge: {name: why for name, why in reasons.items() if name in kept}
            for judge, reasons in json.loads(str(table["failures"])).items()
        }
        template = f"template:{matcher.name}"
        found.append(
            {
                "ids": ids,
                template: table[template][judged],
                "failures": np.array(json.dumps(failed)),
                "metrics": table["metrics"],
            }
        )
    return found


def write_templates(store: ObjectStore, at: DatasetKeys, plan: Plan, samples: int) -> Written:
    """Join the shards' templates into templates.npz, of so many samples, and write it; run twice, the same bytes.

    Memory: the samples' names, 13 bytes each, and a shard. Raises Corrupt where the shards hold another number.
    """
    if plan.templates is None:
        raise ValueError("the plan keeps images")
    matcher, name = plan.templates, f"template:{plan.templates.name}"
    ids: list[NDArray[np.bytes_]] = []
    failed = 0
    width = _width(store, at, plan, name)

    def tables() -> Iterator[NDArray[np.float32]]:
        nonlocal failed
        for shard in range(plan.shards):
            found = unpack(store.get(at.shard_templates(shard)), at.shard_templates(shard))
            ids.append(found["ids"].astype(np.bytes_))
            failed += int(np.isnan(found[name]).any(axis=1).sum())
            yield found[name].astype(FLOAT)

    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as spool:
        file = cast(BinaryIO, spool)
        with zipfile.ZipFile(file, "w") as archive:
            rows = _write_array(archive, "templates", FLOAT, (samples, width), tables(), zipfile.ZIP_STORED)
            if rows != samples:
                raise Corrupt(f"the shards hold {rows:,} templates and the set has {samples:,} samples")
            for column, text in _columns(plan):
                values = (np.array([text(str(one, "ascii")) for one in some], np.str_) for some in ids)
                longest = len(text(names.sample_name(0, 0))) if column != "roles" else len("distractor")
                _write_array(archive, column, np.dtype(f"<U{longest}"), (samples,), values, zipfile.ZIP_DEFLATED)
            said = f"{matcher.name} {matcher.digest}", source_type_uri(plan.model.source_type)
            for column, value in zip(("matcher", "synthetic"), said, strict=True):
                array = np.array([value], np.str_)
                _write_array(archive, column, array.dtype, array.shape, [array], zipfile.ZIP_DEFLATED)
        size, digest = file.tell(), hashlib.sha256()
        file.seek(0)
        while chunk := file.read(IN_MEMORY_BYTES // 32):
            digest.update(chunk)
        file.seek(0)
        store.put_stream(at.templates, file, TEMPLATES.media_type)
    told = Templates(matcher=matcher.name, matcher_digest=matcher.digest, dimensions=width, failed=failed)
    return Written(told, size, digest.hexdigest())


def _width(store: ObjectStore, at: DatasetKeys, plan: Plan, name: str) -> int:
    return int(unpack(store.get(at.shard_templates(0)), at.shard_templates(0))[name].shape[1])


def _columns(plan: Plan) -> list[tuple[str, Callable[[str], str]]]:
    """Columns of text beside the templates, each with what it says of a sample of this name."""

    def role(name: str) -> str:
        place = names.parse_sample_name(name)
        if place is None:
            raise Corrupt(f"{name!r} is no sample's name")
        return names.role(plan, *place)

    # A subject of a dataset is told from those of others: galleries of several sets may be searched together.
    return [
        ("ids", lambda name: name),
        ("subjects", lambda name: f"{plan.dataset}/{name.partition('_')[0]}"),
        ("roles", role),
    ]


def _write_array(
    archive: zipfile.ZipFile,
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    pieces: Iterable[NDArray[Any]],
    compression: int,
) -> int:
    """Append a .npy to a zip, piece by piece; returns how many rows came."""
    member = zipfile.ZipInfo(f"{name}.npy")  # its date is always the same
    member.compress_type = compression
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    rows = 0
    with archive.open(member, "w", force_zip64=True) as file:
        file.write(header.getvalue())
        for piece in pieces:
            file.write(np.ascontiguousarray(piece.astype(dtype, copy=False)).tobytes())
            rows += len(piece)
    return rows
