"""What the store keeps of an evaluation, and how it is read."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from app.dataset import keys
from app.dataset.candidates import SearchesFound, SearchRule
from app.dataset.evaluation import Evaluation, Rule
from app.dataset.evaluation_request import told_kind
from app.dataset.galleries import GalleriesAsked, GalleriesFound
from app.dataset.keys import DatasetKeys, EvaluationKeys
from app.dataset.manifest import Summary, read_summary
from app.errors import Corrupt, NotFound, ObjectNotFound
from app.storage import ObjectStore


class Handed(BaseModel):
    """Where scores come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upload: str | None = None
    data: str | None = None
    """Key of the upload's bytes."""
    metric: str | None = None
    evaluation: str | None = None
    """The evaluation whose scores they are, instead."""
    distractors: tuple["Handed", ...] = ()
    """Of templates to search: files of nobody's."""
    real_distractors: tuple["Handed", ...] = ()
    """And of further real people's."""

    @property
    def uploads(self) -> set[str]:
        """Ids of all uploads that it is of."""
        further = (one.upload for one in (*self.distractors, *self.real_distractors))
        return {upload for upload in (self.upload, *further) if upload}


class AcceptedEvaluation(BaseModel):
    """`request.json`: what was accepted. Its existence is the acceptance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    tenant: str
    name: str
    created_at: str
    dataset: str | None
    """None of templates whose file says whose they are."""
    release: str | None
    rule: Rule
    scores: Handed | None
    """None where candidate lists or templates to search were handed in instead."""
    baseline: Handed | None
    candidates: Handed | None = None
    gallery: Handed | None = None
    """Labels of the references that were enrolled; None: all."""
    searches: SearchRule = SearchRule()
    """What is allowed of searches."""
    templates: Handed | None = None
    galleries: GalleriesAsked = GalleriesAsked()
    """In which galleries templates are searched."""
    keep_uploads: bool
    request: dict[str, Any]
    """As the user wrote it."""

    @property
    def uploads(self) -> set[str]:
        """Ids of the uploads that it needs."""
        handed = (self.scores, self.candidates, self.gallery, self.baseline, self.templates)
        return {upload for one in handed if one for upload in one.uploads}

    @property
    def of(self) -> str:
        """The dataset, of what cannot do without."""
        if self.dataset is None:
            raise ValueError(f"evaluation {self.id} of {self.kind} was accepted without a dataset")
        return self.dataset

    @property
    def kind(self) -> str:
        """What is evaluated, in words."""
        return told_kind(lists=self.candidates is not None, templates=self.templates is not None)


def read_evaluation(store: ObjectStore, tenant: str, evaluation: str) -> AcceptedEvaluation:
    """Read what was accepted; raises NotFound, which also hides other tenants' evaluations, and Corrupt."""
    try:
        return AcceptedEvaluation.model_validate_json(store.get(EvaluationKeys(tenant, evaluation).request))
    except ObjectNotFound as exc:
        raise NotFound(f"there is no evaluation {evaluation!r}") from exc
    except ValidationError as exc:
        raise Corrupt(f"the stored request of evaluation {evaluation!r} cannot be read") from exc


Result = Evaluation | SearchesFound | GalleriesFound
"""What comes out of scores, of candidate lists, of templates that were searched."""


def read_result(store: ObjectStore, accepted: AcceptedEvaluation) -> Result | None:
    """What came out of it, if it has; raises Corrupt."""
    at = EvaluationKeys(accepted.tenant, accepted.id)
    try:
        found = store.get(at.result)
        if accepted.candidates is not None:
            return SearchesFound.model_validate_json(found)
        if accepted.templates is not None:
            return GalleriesFound.model_validate_json(found)
        return Evaluation.model_validate_json(found)
    except ObjectNotFound:
        return None
    except ValidationError as exc:
        raise Corrupt(f"the stored result {at.result!r} cannot be read") from exc


def summary_of(store: ObjectStore, tenant: str, dataset: str) -> Summary:
    """What a succeeded dataset's manifest begins with; raises NotFound and Corrupt."""
    try:
        return read_summary(store.get(DatasetKeys(tenant, dataset).summary))
    except ObjectNotFound as exc:
        raise NotFound(f"dataset {dataset!r} is not there any more") from exc


def indexed(accepted: AcceptedEvaluation) -> list[str]:
    """Keys under which an evaluation is found again."""
    of = [] if accepted.dataset is None else [f"dataset/{accepted.dataset}/"]
    if accepted.release is not None:
        of.append(f"release/{accepted.release.replace('@', '/')}/")
    return [f"{keys.evaluations_of(accepted.tenant, what)}{accepted.id}" for what in of]
