"""What is asked of comparison scores, of candidate lists of searches, or of templates to search, that were uploaded."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.dataset.candidates import SearchRule
from app.dataset.content import SHA256
from app.dataset.evaluation import Rule
from app.dataset.galleries import GalleriesAsked
from app.dataset.names import DATASET_ID

EVALUATION_ID = "^ev_[0-9a-hjkmnp-tv-z]{20}$"
RELEASE = "^[a-z0-9][a-z0-9-]{0,63}@[0-9a-z][0-9a-z.-]{0,63}$"
"""NAME@VERSION; the version may be `latest`."""


Upload = Annotated[str, Field(pattern=SHA256)]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Uploaded(_Asked):
    """A file that was uploaded before."""

    upload: Upload
    """Its id: the SHA-256 of its bytes."""
    metric: Literal["cosine", "euclidean"] | None = None
    """The file holds templates, to be compared so; null: it holds scores, or candidate lists."""


class UploadedText(_Asked):
    """A file of candidate lists or of labels that was uploaded before."""

    upload: Upload
    """Its id: the SHA-256 of its bytes."""


class TemplateFiles(_Asked):
    """Files of one matcher's templates that were uploaded before, to be searched."""

    upload: Upload
    """Id of the probes' and references' file: ids, templates, and subjects and roles where ids do not tell them."""
    distractors: Annotated[tuple[Upload, ...], Field(max_length=20)] = ()
    """Ids of files of distractors of nobody."""
    real_distractors: Annotated[tuple[Upload, ...], Field(max_length=20)] = ()
    """Ids of files of further real people."""

    @property
    def uploads(self) -> list[str]:
        """Ids of all of them."""
        return [self.upload, *self.distractors, *self.real_distractors]


class SearchedTemplates(TemplateFiles, GalleriesAsked):
    """Templates to be searched by the service, and in which galleries."""


class Earlier(_Asked):
    """What was handed in for an evaluation made before, of the same dataset and of the same kind."""

    evaluation: Annotated[str, Field(pattern=EVALUATION_ID)]
    """Its id."""


class EvaluationRequest(_Asked):
    """What is to be evaluated, by what rule: comparison scores, candidate lists of searches, or templates to search."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "matcher 2.4.0",
                    "release": "gate-smoke@1.2.0",
                    "scores": {"upload": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
                    "baseline": {"evaluation": "ev_06fa3k9x2m7q0v4c8d1e"},
                    "rule": {"at_fmr": 0.001, "max_fnmr_increase": "10%"},
                }
            ]
        },
    )

    name: Annotated[str, Field(max_length=100)] = ""
    """For people: which matcher, which build."""
    release: Annotated[str, Field(pattern=RELEASE)] | None = None
    """NAME@VERSION whose comparisons these are scores of, or whose references are searched."""
    dataset: Annotated[str, Field(pattern=DATASET_ID)] | None = None
    """Or the id of a dataset that has succeeded. Templates need neither if their file says whose they are."""
    scores: Uploaded | None = None
    """What is evaluated: a file of scores or templates that was uploaded."""
    candidates: UploadedText | None = None
    """Or a file of candidate lists: CSV (probe,rank,reference,score), or FRTE's; a list for every probe of the set."""
    templates: SearchedTemplates | None = None
    """Or templates, whose searches are made by the service in galleries of several sizes."""
    gallery: UploadedText | None = None
    """Of candidate lists: a file with the labels of the references that were enrolled, a line each; left out, all."""
    baseline: Uploaded | Earlier | TemplateFiles | None = None
    """What it is held against: another file, or an evaluation made before; of the same comparisons or searches."""
    rule: Rule = Rule()
    """Of scores: at which FMR, and what is allowed."""
    searches: SearchRule = SearchRule()
    """Of searches, whether of candidate lists or of templates: at which FPIR, and what is allowed."""
    keep_uploads: bool = False
    """Uploads are removed once evaluated, unless this is said; what a later baseline needs is kept anyway."""

    @property
    def uploads(self) -> list[str]:
        """Ids of the uploads that it names."""
        handed = (self.scores, self.candidates, self.gallery, self.baseline, self.templates)
        found = [one.upload for one in handed if isinstance(one, Uploaded | UploadedText)]
        return found + [name for one in handed if isinstance(one, TemplateFiles) for name in one.uploads]

    @property
    def kind(self) -> str:
        """What is evaluated, in words."""
        return told_kind(lists=self.candidates is not None, templates=self.templates is not None)

    @model_validator(mode="after")
    def _one_set(self) -> Self:
        if sum(one is not None for one in (self.scores, self.candidates, self.templates)) != 1:
            raise ValueError("name what is evaluated: either scores or candidates or templates, one of them")
        told = (self.release is not None) + (self.dataset is not None)
        if told == 2 or (told == 0 and self.templates is None):
            raise ValueError("name what the scores are of: either release or dataset")
        return self

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.gallery is not None and self.candidates is None:
            raise ValueError("gallery is about candidates; leave it out")
        if isinstance(self.baseline, TemplateFiles) and self.templates is None:
            raise ValueError("a baseline's distractors are of templates to search; leave them out")
        if self.scores is not None:
            if self.searches != SearchRule():
                raise ValueError("searches are about candidates and templates; scores have a rule")
            if self.rule.max_fnmr_increase is not None and self.baseline is None:
                raise ValueError("rule.max_fnmr_increase is over a baseline; name one in baseline")
            return self
        if self.rule != Rule():
            raise ValueError("rule is about scores; candidates and templates have searches (at_fpir, max_fnir …)")
        if isinstance(self.baseline, Uploaded) and self.baseline.metric is not None:
            raise ValueError("baseline.metric is of templates compared one by one; searches have none, leave it out")
        if self.searches.max_fnir_increase is not None and self.baseline is None:
            raise ValueError("searches.max_fnir_increase is over a baseline; name one in baseline")
        return self


def told_kind(*, lists: bool, templates: bool) -> str:
    """What an evaluation is of, in words."""
    return "candidate lists" if lists else "templates that are searched" if templates else "comparison scores"
