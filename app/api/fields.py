"""What the OpenAPI document says of every field of a request: its docstring in the code, and examples.

Docstrings are read when the document is built, so that no other process pays for it.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, get_args

from pydantic import BaseModel

EXAMPLES: dict[str, dict[str, list[Any]]] = {
    "DatasetRequest": {
        "name": ["gate-7 smoke"],
        "model": ["default", "parametric"],
        "subjects": [200],
        "samples_per_subject": [5],
        "distractors": [50],
        "seed": [7],
        "product": ["templates"],
        "matcher": ["sface"],
        "layouts": [["plain"], ["lfw", "parquet"]],
        "retention_days": [90],
    },
    "Target": {"matcher": ["sface"], "fmr": [0.01], "fnmr": [0.05], "tolerance": [0.1]},
    "Variability": {
        "scale": [1.0],
        "factors": [{"pose": 0.5, "illumination": 1.5}],
        "truncation": [0.7],
        "target": [{"matcher": "sface", "fmr": 0.01, "fnmr": 0.05}],
    },
    "AgeRange": {"min": [20], "max": [65]},
    "Attributes": {
        "sex": [{"female": 0.5, "male": 0.5}, {"female": 1.0}],
        "skin_tone": [{"light": 0.4, "medium": 0.3, "dark": 0.3}],
        "age": [{"min": 20, "max": 65}],
        "glasses": [0.2],
        "headwear": [0.1],
        "mask": [0.25],
    },
    "ImageSpec": {"size": [128, [480, 600]], "format": ["png", "jpeg"], "quality": [90]},
    "Checks": {"unique": [True], "face_found": [True]},
    "ComparisonsSpec": {"selection": ["crossed", "complete", "balanced", "none"]},
    "ReportSpec": {"judged_subjects": [300, 0]},
    "MarkingSpec": {"c2pa": [False, True, "detached"], "watermark": [False, True]},
    "PreviewRequest": {
        "model": ["default"],
        "subjects": [4],
        "samples_per_subject": [6],
        "row": [0],
        "seed": [7],
    },
    "CalibrationRequest": {
        "model": ["default"],
        "factors": [{"pose": 0.5}],
        "truncation": [0.7],
        "subjects": [300],
        "samples_per_subject": [3],
    },
    "EvaluationRequest": {
        "name": ["matcher 2.4.0, build 17"],
        "release": ["gate-smoke@1.2.0", "gate-smoke@latest"],
        "dataset": ["ds_06fa3k9x2m7q0v4c8d1e"],
        "scores": [{"upload": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}],
        "candidates": [{"upload": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}],
        "templates": [
            {
                "upload": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "distractors": ["2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"],
            }
        ],
        "gallery": [{"upload": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}],
        "baseline": [{"evaluation": "ev_06fa3k9x2m7q0v4c8d1e"}],
        "keep_uploads": [False],
    },
    "UploadedText": {"upload": ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]},
    "TemplateFiles": {
        "upload": ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        "distractors": [["2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"]],
        "real_distractors": [[]],
    },
    "SearchedTemplates": {
        "upload": ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        "distractors": [["2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"]],
        "real_distractors": [[]],
        "metric": ["cosine"],
        "sizes": [[100, 1000]],
        "extrapolate": [[1_000_000]],
        "draws": [8],
        "seed": [7],
    },
    "SearchRule": {
        "at_fpir": [[0.01]],
        "max_fnir": [0.05],
        "max_fnir_increase": ["10%", "0.01"],
        "alpha": [0.01],
    },
    "Uploaded": {
        "upload": ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        "metric": ["cosine", None],
    },
    "Earlier": {"evaluation": ["ev_06fa3k9x2m7q0v4c8d1e"]},
    "Rule": {
        "at_fmr": [0.001],
        "threshold": [0.363],
        "baseline_threshold": [0.351],
        "distances": [False],
        "max_fnmr": [0.05],
        "max_fnmr_increase": ["10%", "0.01"],
        "alpha": [0.01],
    },
    "ReleaseRequest": {"dataset": ["ds_06fa3k9x2m7q0v4c8d1e"], "notes": ["first one for gate 7"]},
    "WithdrawalRequest": {"reason": ["two subjects look alike"], "confirm": ["gate-smoke@1.2.0"]},
    "KeyRequest": {"label": ["nightly gate"], "role": ["read", "write"], "days": [90]},
    "WebhookRequest": {"url": ["https://qa.example/hooks/facsimile"]},
}
"""Model to field to what may be sent there."""


def describe_fields(schemas: dict[str, Any], models: Iterable[type[BaseModel]]) -> None:
    """Write descriptions and examples into the schemas of some models and of all that they are made of."""
    for model in set(_with_parts(models)):
        found = schemas.get(model.__name__, {}).get("properties", {})
        for name, text in _meanings(model).items():
            if name in found:
                found[name].setdefault("description", text)
        for name, examples in EXAMPLES.get(model.__name__, {}).items():
            found[name]["examples"] = examples


def _with_parts(models: Iterable[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    for model in models:
        yield model
        for field in model.model_fields.values():
            yield from _with_parts(models_in(field.annotation))


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a field's type is made of."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Field to the docstring below it, in one line; those that it has from models that it extends, too."""
    found: dict[str, str] = {}
    for part in reversed(model.__mro__):
        if issubclass(part, BaseModel) and part is not BaseModel:
            found |= _own_meanings(part)
    return found


def _own_meanings(model: type[BaseModel]) -> dict[str, str]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    return {
        node.target.id: " ".join(after.value.value.split())
        for node, after in pairwise(body.body if isinstance(body, ast.ClassDef) else [])
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and isinstance(after.value.value, str)
    }
