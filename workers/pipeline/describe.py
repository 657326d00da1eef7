"""Describing: the documents about a set, out of what is stored of it, when all that they tell is known.

Data card and chain are pinned by the manifest; the Croissant file, which pins the manifest, comes last of all.
"""

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from app.dataset.keys import DatasetKeys
from app.dataset.manifest import manifest_lines
from app.dataset.model import ModelCard
from app.dataset.plan import Plan
from app.dataset.products import CROISSANT, DATA_CARD, MANIFEST, PRODUCTS, PROVENANCE, Product
from app.jobs.records import JSON, Accepted, read_json, write_json
from app.storage import ObjectStore
from workers.pipeline.assemble import stored_rows, summarize_stored
from workers.pipeline.generate import check_model
from workers.provenance.card import data_card, licence_of
from workers.provenance.chain import chain, corpus_digest
from workers.provenance.croissant import FileFact, croissant


def describe(store: ObjectStore, at: DatasetKeys, accepted: Accepted, plan: Plan, card: ModelCard) -> None:
    """Write data card, chain and Croissant file of a set that has its report; run twice, it leaves the same bytes."""
    check_model(plan, card)
    summary = summarize_stored(store, at, accepted, plan)
    plan_sha256 = hashlib.sha256(store.get(at.plan)).hexdigest()
    texts: dict[Product, bytes] = {
        DATA_CARD: data_card(summary, read_json(store, at.report), card).encode(),
        PROVENANCE: _json(chain(summary, plan, card, plan_sha256=plan_sha256, version=_version())),
    }
    for document, text in texts.items():
        store.put(f"{at.prefix}{document.file}", text, document.media_type)
    described = [_fact(document.file, [text], document.media_type) for document, text in texts.items()]
    write_json(
        store,
        at.described,
        {
            "licence": licence_of(card),
            "provenance": {
                "plan_sha256": plan_sha256,
                "model_sha256": plan.model.digest,
                "weights_sha256": card.weights.sha256 if card.weights else None,
                "corpus_sha256": corpus_digest(card),
                "software": f"Facsimile {_version()}",
            },
            # What pins the manifest cannot be pinned by it.
            "products": {**{file.name: file.sha256 for file in described}, CROISSANT.file: None},
        },
    )
    summary = summarize_stored(store, at, accepted, plan)
    manifest = _fact("manifest.json", manifest_lines(summary, stored_rows(store, at, plan)), JSON)
    beside = [
        _fact(product.file, store.read(at.product(product)), product.media)
        for product in PRODUCTS
        if not product.late and product is not MANIFEST
    ]
    first = next(iter(stored_rows(store, at, plan)), None)
    shown = first.shown if first else None
    text = _json(croissant(summary, plan, card, [manifest, *beside, *described], shown))
    store.put(at.croissant, text, CROISSANT.media_type)


def _fact(name: str, chunks: Iterable[bytes], media_type: str) -> FileFact:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return FileFact(name=name, bytes=size, sha256=digest.hexdigest(), media_type=media_type)


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _version() -> str:
    try:
        return version("facsimile-faces")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
