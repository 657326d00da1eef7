"""The chain from request and training corpus to the set, in the words of PROV-O. https://www.w3.org/TR/prov-o/

    request ──planning──▶ plan ──┐
                                 ├─generation──▶ dataset
    corpus ──training──▶ model ──┘

Every entity is known by a digest, so that the chain can be followed without us; only times that were written down when
they came about are told.
"""

import hashlib
import json
from typing import Any

from app.dataset.manifest import Summary
from app.dataset.model import ModelCard
from app.dataset.plan import Plan

CONTEXT = {
    "prov": "http://www.w3.org/ns/prov#",
    "dct": "http://purl.org/dc/terms/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "facsimile": "urn:facsimile:1:",
    "sha256": "facsimile:sha256",
    "title": "dct:title",
    "description": "dct:description",
}

Node = dict[str, Any]


def dataset_urn(dataset: str) -> str:
    """What a dataset is called in linked data."""
    return f"urn:facsimile:dataset:{dataset}"


def corpus_digest(card: ModelCard) -> str | None:
    """Digest of what the model was trained on; None for a model that is code only, or whose card does not say."""
    training = (card.model_extra or {}).get("training")
    corpus = training.get("corpus") if isinstance(training, dict) else None
    found = corpus.get("sha256") if isinstance(corpus, dict) else None
    return found if isinstance(found, str) else None


def chain(summary: Summary, plan: Plan, card: ModelCard, *, plan_sha256: str, version: str) -> Node:
    """The chain as JSON-LD; `summary` is the manifest's, `plan_sha256` the digest of the stored plan."""
    dataset = dataset_urn(plan.dataset)
    request, planned = f"{dataset}:request", f"{dataset}:plan"
    model = f"urn:facsimile:model:sha256:{plan.model.digest}"
    software = f"urn:facsimile:software:{version}"
    asked = json.dumps(summary.request, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    graph: list[Node] = [
        {"@id": software, "@type": ["prov:Agent", "prov:SoftwareAgent"], "title": f"Facsimile {version}"},
        _entity(
            request,
            "The request, canonical JSON",
            hashlib.sha256(asked.encode()).hexdigest(),
            **{"prov:value": asked, "prov:generatedAtTime": _time(summary.created_at)},
        ),
        _entity(
            planned,
            "The plan, plan.json",
            plan_sha256,
            **_made(f"{dataset}:planning", from_=[request, model]),
        ),
        *_origin(card, model, plan.model.digest),
        {
            **_entity(
                dataset,
                f"Dataset {plan.dataset} ({summary.name})",
                None,
                **_made(f"{dataset}:generation", from_=[planned, model]),
            ),
            "@type": ["prov:Entity", "prov:Collection"],
            "facsimile:seed": str(plan.seed),  # text: JSON-LD has no integers of 63 bits
            "facsimile:pixels": summary.digests.pixels,
            "facsimile:files": summary.digests.files,
        },
        _activity(f"{dataset}:planning", "Planning", [request, model], software),
        _activity(f"{dataset}:generation", "Generation", [planned, model], software),
    ]
    return {"@context": CONTEXT, "@graph": graph}


def _origin(card: ModelCard, model: str, digest: str) -> list[Node]:
    """The model, by the digest that the plan is pinned to, and what it was trained on where there is such a thing."""
    weights = {"facsimile:weights": card.weights.sha256} if card.weights else {}
    about = _entity(
        model,
        f"Model {card.name} {card.version}, digest of its card",
        digest,
        **weights,
        description=card.provenance,
        **{"dct:license": card.licence},
    )
    corpus = corpus_digest(card)
    if corpus is None:
        return [about]
    trained_on = f"urn:facsimile:corpus:sha256:{corpus}"
    training = f"{model}:training"
    return [
        {**about, **_made(training, from_=[trained_on])},
        _entity(trained_on, "Training corpus", corpus),
        _activity(training, "Training", [trained_on], None),
    ]


def _entity(name: str, title: str, sha256: str | None, **more: Any) -> Node:
    digest = {} if sha256 is None else {"sha256": sha256}
    return {"@id": name, "@type": "prov:Entity", "title": title, **digest, **more}


def _made(activity: str, *, from_: list[str]) -> Node:
    return {
        "prov:wasGeneratedBy": {"@id": activity},
        "prov:wasDerivedFrom": [{"@id": source} for source in from_],
    }


def _activity(name: str, title: str, used: list[str], agent: str | None) -> Node:
    by = {} if agent is None else {"prov:wasAssociatedWith": {"@id": agent}}
    return {
        "@id": name,
        "@type": "prov:Activity",
        "title": title,
        "prov:used": [{"@id": source} for source in used],
        **by,
    }


def _time(iso: str) -> Node:
    return {"@type": "xsd:dateTime", "@value": iso}
