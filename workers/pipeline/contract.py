"""The contract: what a finished set came to, measured afresh from its stored files, beside what was asked."""

from app.dataset.calibration import Calibration, Contract
from app.dataset.plan import Plan
from app.errors import Corrupt
from workers.biometrics.bootstrap import DEFAULT, Bootstrap
from workers.biometrics.calibration import measure
from workers.pipeline.judgements import Judgements


def measure_contract(
    judgements: Judgements, plan: Plan, calibration: Calibration, bootstrap: Bootstrap = DEFAULT
) -> Contract:
    """FNMR at the target's FMR over every two judged samples of the subjects, by the target's matcher."""
    asked = calibration.target
    if calibration.scale is None or calibration.measured is None:
        raise Corrupt("the calibration found no scale, and yet there is a set")
    delivered = measure(judgements.scores(asked.matcher.name, fmr=asked.fmr), asked.fmr, bootstrap)
    value = delivered.fnmr.value
    met = abs(value - asked.fnmr) <= asked.slack
    interval = delivered.fnmr.interval
    between = f"{interval.low:.4g} to {interval.high:.4g}"
    return Contract(
        asked=asked,
        scale=calibration.scale,
        calibrated=calibration.measured,
        delivered=delivered,
        met=met,
        subjects=plan.judged_subjects,
        note=(
            f"{'met' if met else 'not met'}: FNMR {value:.4g} (95%: {between}) at FMR {asked.fmr:g} by "
            f"{asked.matcher.name}, asked {asked.fnmr:g} ± {asked.tolerance:.0%} of it"
        ),
    )
