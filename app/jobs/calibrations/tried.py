"""What a search for a scale has measured so far, as its last step wrote it down."""

from app.dataset.calibration import CalibrationStep, TriedScale
from app.dataset.keys import DatasetKeys
from app.dataset.plan import Plan
from app.errors import ObjectNotFound
from app.jobs.phases import CALIBRATE, Facts
from app.storage import ObjectStore


def tried_scales(store: ObjectStore, at: DatasetKeys, plan: Plan, facts: Facts) -> tuple[TriedScale, ...]:
    """By scale; empty without a target, before the first is measured, and once the search is over: it says more."""
    steps = CALIBRATE.done(facts)
    if plan.target is None or facts.calibrated or not steps:
        return ()
    try:
        return CalibrationStep.model_validate_json(store.get(at.calibration_step(int(max(steps))))).tried
    except ObjectNotFound:  # deleted while we looked
        return ()
