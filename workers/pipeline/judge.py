"""Judging: every judged sample of a finished shard, out of its stored file: templates by every judge, and qualities."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.dataset.keys import DatasetKeys
from app.dataset.names import parse_sample_name
from app.dataset.plan import Plan
from app.dataset.shard import ShardReport, StoredSample
from app.errors import Cancelled, Corrupt
from app.storage import ObjectStore
from workers.images import Pixels, decode
from workers.matchers.base import Failure, Matcher, NetworkMatcher, Role, Stage
from workers.matchers.detector import Detector
from workers.matchers.extraction import NO_FACE, extract_one
from workers.matchers.ofiq import Ofiq
from workers.matchers.quality import Quality, measure_quality
from workers.matchers.sface import SFace
from workers.pipeline.scoring import metric_of
from workers.pipeline.tables import pack

MEASURES = (
    "detection_score",
    "yaw_deg",
    "roll_deg",
    "inter_eye_px",
    "sharpness",
    "contrast",
    "brightness",
    "sface_norm",
)
"""Measures with a column of their own; components of ISO/IEC 29794-5 (0 to 100) follow under their names in OFIQ, and
after `ofiq.` what an installed OFIQ itself says."""


def judge_shard(
    store: ObjectStore,
    at: DatasetKeys,
    plan: Plan,
    shard: int,
    *,
    judges: Sequence[Matcher],
    detector: Detector,
    ofiq: Ofiq | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> bytes:
    """Judge the stored samples of a shard; returns the file that `workers.pipeline.judgements` reads.

    With an installed `ofiq`, what it says of each sample stands beside our own measures, as `ofiq.NAME`.
    `should_cancel` is asked before each sample; raises Cancelled, and Corrupt for a sample that cannot be read.
    """
    report = ShardReport.model_validate_json(store.get(at.shard_report(shard)))
    chosen = [stored for stored in report.samples if _is_judged(plan, stored)]
    tables = {judge.name: np.full((len(chosen), judge.dimensions), np.nan, np.float32) for judge in judges}
    failures: dict[str, dict[str, str]] = {judge.name: {} for judge in judges}
    qualities: list[dict[str, float]] = []
    seen: list[Pixels] = []
    sface = next((judge for judge in judges if isinstance(judge, SFace)), None)
    for row, stored in enumerate(chosen):
        if should_cancel():
            raise Cancelled(f"judging shard {shard} was called off")
        data = b"".join(store.read(at.shard_samples(shard), stored.offset, stored.row.bytes))
        pixels = decode(data, f"sample {stored.row.id}")
        role = Role.PROBE if stored.row.role == "probe" else Role.REFERENCE
        face = detector.detect(pixels)
        for judge in judges:
            if face is None and isinstance(judge, NetworkMatcher):
                found: NDArray[np.float32] | Failure = Failure(role=role, stage=Stage.DETECT, reason=NO_FACE)
            else:
                found = extract_one(judge, pixels, role, face=face if isinstance(judge, NetworkMatcher) else None)
            if isinstance(found, Failure):
                failures[judge.name][stored.row.id] = f"{found.stage}: {found.reason}"
            else:
                tables[judge.name][row] = found
        qualities.append({} if face is None else columns(measure_quality(pixels, face, sface=sface)))
        if ofiq is not None:
            seen.append(pixels)
    if ofiq is not None:
        qualities = [found | more for found, more in zip(qualities, ofiq_columns(ofiq, seen), strict=True)]
    measures = [*MEASURES, *sorted({name for quality in qualities for name in quality} - set(MEASURES))]
    return pack(
        {
            "ids": np.array([stored.row.id for stored in chosen], np.str_),
            **{f"template:{name}": table for name, table in tables.items()},
            **{
                f"quality:{name}": np.array([quality.get(name, np.nan) for quality in qualities], np.float64)
                for name in measures
            },
        },
        {"failures": failures, "metrics": {judge.name: metric_of(judge) for judge in judges}},
    )


def columns(quality: Quality) -> dict[str, float]:
    """A sample's qualities as numbers under their columns' names."""
    found = {
        "detection_score": quality.detection_score,
        "yaw_deg": quality.pose.yaw,
        "roll_deg": quality.pose.roll,
        "inter_eye_px": quality.inter_eye_px,
        "sharpness": quality.sharpness,
        "contrast": quality.contrast,
        "brightness": quality.brightness,
        **{name: float(component.quality) for name, component in quality.components.items()},
    }
    return found if quality.sface_norm is None else {**found, "sface_norm": quality.sface_norm}


def ofiq_columns(ofiq: Ofiq, images: Sequence[Pixels]) -> list[dict[str, float]]:
    """What OFIQ says of samples, 0 to 100 each; what it failed to assess is left out. Its models are loaded once."""
    return [
        {f"ofiq.{name}": float(found.quality) for name, found in assessed.items() if found is not None}
        for assessed in ofiq.assess(images)
    ]


def _is_judged(plan: Plan, stored: StoredSample) -> bool:
    place = parse_sample_name(stored.row.id)
    if place is None:
        raise Corrupt(f"{stored.row.id!r} is no sample's name")
    return plan.judged(place)
