"""Do the set's samples give the model's training set away? By one judge, against templates shipped with the model."""

from app.dataset.report import Absent, Leakage
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.leakage import copying, membership_inference
from workers.biometrics.templates import TemplateTable
from workers.generator.trained_on import TemplatesOf
from workers.report import figures
from workers.report.difficulty import BAND_REPLICATES
from workers.report.evidence import Evidence, JudgedBy

P99 = 0.99


def leaked(evidence: Evidence, judge: JudgedBy, trained_on: int, absent: Absent) -> Leakage | None:
    """Nearest-neighbour scores of all judged samples with the training set, beside those of held-out identities."""
    if judge.trained_on is None:
        absent["leakage"] = (
            "the model ships no templates of its training set by this matcher"
            if evidence.trained
            else "not applicable: the model is code only and was not trained on anything"
        )
        return None
    synthetic = evidence.table(judge)
    training, strangers = _table(judge.trained_on.training), _table(judge.trained_on.held_out)
    bootstrap = evidence.bootstrap(BAND_REPLICATES)
    try:
        found = copying(synthetic, training, strangers, metric=judge.metric, bootstrap=bootstrap)
        attack = membership_inference(synthetic, training, strangers, metric=judge.metric, bootstrap=bootstrap)
    except (Unresolvable, ScoresRefused, ValueError) as exc:
        absent["leakage"] = str(exc)
        return None
    span = max(found.synthetic.max(), found.real.max()) - min(found.synthetic.min(), found.real.min())
    width = figures.nice_width(float(span))
    ours, theirs = figures.distribution(found.synthetic, width=width), figures.distribution(found.real, width=width)
    excess = next(item for item in found.excess if item.quantile == P99)
    if ours is None or theirs is None:
        raise ValueError("nearest scores of nothing")
    return Leakage(
        searched=found.searched,
        trained_on=trained_on,
        held_out=len(strangers),
        synthetic=ours,
        strangers=theirs,
        auc=figures.rounded(found.auc.value),
        auc_interval=figures.interval(found.auc.by_subject),
        beyond_p99=figures.rounded(excess.share),
        beyond_p99_interval=figures.interval(excess.interval),
        membership_auc=figures.rounded(attack.value),
        membership_interval=figures.interval(attack.by_subject),
    )


def _table(side: TemplatesOf) -> TemplateTable:
    return TemplateTable(templates=side.templates, subjects=side.subjects)
