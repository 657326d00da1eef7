"""Closing a set: everything that tells about it, out of one pass over its shards' reports.

`close` writes comparisons, contact sheet, report, documents and the manifest, which it lays aside; layouts read it
there. `publish` gives the manifest its name, last of all, and so makes the set succeed.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any, BinaryIO, cast

from app.dataset.calibration import Calibration
from app.dataset.keys import DatasetKeys
from app.dataset.manifest import Origin, Summary, read_manifest, summarize, whole_manifest
from app.dataset.matcher import MatcherCard
from app.dataset.model import ModelCard
from app.dataset.plan import FinalPlan
from app.dataset.products import (
    COMPARISONS,
    CONTACT_SHEET,
    CROISSANT,
    DATA_CARD,
    MANIFEST,
    PROVENANCE,
    REPORT,
    REPORT_PAGE,
    TEMPLATES,
    Product,
    of_kind,
)
from app.dataset.reference import Reference
from app.errors import Cancelled
from app.jobs.records import JSON, Accepted, write_json
from app.storage import ObjectStore
from workers.generator.trained_on import TrainedOn
from workers.images import encode_sheet
from workers.pipeline.generate import check_model
from workers.pipeline.inventory import take_stock
from workers.pipeline.judgements import read_judgements
from workers.pipeline.report import make_report, make_sheet, page_sheets, sheet_samples, write_comparisons
from workers.pipeline.store import IN_MEMORY_BYTES, put_chunks
from workers.pipeline.templates import write_templates
from workers.provenance.card import data_card, licence_of
from workers.provenance.chain import chain, corpus_digest
from workers.provenance.croissant import FileFact, croissant
from workers.report.page import Sheet, render_page

CHUNK_BYTES = 256 * 1024


def close(
    store: ObjectStore,
    at: DatasetKeys,
    accepted: Accepted,
    plan: FinalPlan,
    card: ModelCard,
    *,
    matchers: Mapping[str, MatcherCard],
    trained_on: Mapping[str, TrainedOn] = MappingProxyType({}),
    reference: Reference | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> None:
    """Write everything that tells about a set, the laid-aside manifest last; run twice, it leaves the same bytes.

    `card` is the model's, `matchers` the cards of those on offer, `trained_on` by matcher the templates of what the
    model was trained on. Raises Cancelled when told to stop.
    """
    check_model(plan, card)
    judgements = read_judgements(store, at, plan) if plan.judges else None
    calibration = None
    if store.exists(at.calibration):
        calibration = Calibration.model_validate_json(store.get(at.calibration))
    files: dict[Product, FileFact] = {}

    def write(product: Product, data: bytes, media_type: str) -> None:
        store.put(at.product(product), data, product.media_type)
        files[product] = _fact(product, [data], media_type)

    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as spool:
        lines = cast(BinaryIO, spool)
        shown = frozenset(name for row in sheet_samples(plan) for name in row)
        inventory = take_stock(store, at, plan, judgements, lines, on_sheet=shown, should_cancel=should_cancel)
        listed, listed_bytes = write_comparisons(store, at, plan, inventory.missing)
        files[COMPARISONS] = FileFact(
            name=COMPARISONS.file, bytes=listed_bytes, sha256=listed.sha256, media_type=COMPARISONS.media
        )
        kept = write_templates(store, at, plan, inventory.tally.samples) if plan.templates else None
        sheets: list[Sheet] = []
        if kept is not None:
            files[TEMPLATES] = FileFact(
                name=TEMPLATES.file, bytes=kept.bytes, sha256=kept.sha256, media_type=TEMPLATES.media
            )
        else:
            sheet = make_sheet(store, at, plan, inventory)
            write(CONTACT_SHEET, encode_sheet(sheet, plan.model.source_type), CONTACT_SHEET.media)
            sheets = page_sheets(sheet, plan)
        report = make_report(
            plan,
            card,
            accepted,
            inventory,
            judgements,
            comparisons=listed,
            calibration=calibration,
            matchers=matchers,
            trained_on=trained_on,
            reference=reference,
            should_cancel=should_cancel,
        )
        if should_cancel():
            raise Cancelled("the report was called off")
        write(REPORT_PAGE, render_page(report, sheets), REPORT_PAGE.media)
        write(REPORT, report.model_dump_json().encode(), REPORT.media)
        told = report.model_dump(mode="json")
        origin = Origin(
            plan_sha256=hashlib.sha256(store.get(at.plan)).hexdigest(),
            model_sha256=plan.model.digest,
            weights_sha256=card.weights.sha256 if card.weights else None,
            corpus_sha256=corpus_digest(card),
            software=f"Facsimile {_version()}",
        )
        summary = summarize(
            plan,
            accepted.request,
            name=accepted.name,
            created_at=accepted.created_at,
            tally=inventory.tally,
            choice=inventory.choice,
            comparisons=listed,
            contract=told["contract"],
            licence=licence_of(card),
            provenance=origin,
            templates=kept.templates if kept else None,
        )
        write(DATA_CARD, data_card(summary, told, card).encode(), DATA_CARD.media_type)
        links = chain(summary, plan, card, plan_sha256=origin.plan_sha256, version=_version())
        write(PROVENANCE, _json(links), PROVENANCE.media_type)
        pinned = [product for product in of_kind(plan.kind) if product in files and product is not COMPARISONS]
        # What pins the manifest cannot be pinned by it.
        digests = {**{product.file: files[product].sha256 for product in pinned}, CROISSANT.file: None}
        summary = summary.model_copy(update={"products": digests})
        manifest = _fact(MANIFEST, whole_manifest(summary, _chunks(lines)), MANIFEST.media)
        facts = [manifest, *(files[product] for product in (COMPARISONS, *pinned))]
        text = _json(croissant(summary, plan, card, facts, inventory.shown))
        store.put(at.croissant, text, CROISSANT.media_type)
        put_chunks(store, at.laid_aside, whole_manifest(summary, _chunks(lines)), JSON)


def publish(store: ObjectStore, at: DatasetKeys, still_wanted: Callable[[], bool]) -> None:
    """Give the laid-aside manifest its name, and its summary beside it; run twice, it leaves the same bytes.

    `still_wanted` is asked before the manifest, which makes the dataset succeed, is written.
    """
    if not store.exists(at.manifest):
        summary, _ = read_manifest(store.read(at.laid_aside))
        if not still_wanted():
            return
        write_json(store, at.summary, summary.as_json())
        put_chunks(store, at.manifest, store.read(at.laid_aside), JSON)
    store.delete(at.laid_aside)


def read_closed(store: ObjectStore, at: DatasetKeys) -> tuple[str, Summary]:
    """Key and summary of the manifest of a set that is closed, be it published or not."""
    key = at.manifest if store.exists(at.manifest) else at.laid_aside
    return key, read_manifest(store.read(key))[0]


def _chunks(lines: BinaryIO) -> Iterator[bytes]:
    lines.seek(0)
    while chunk := lines.read(CHUNK_BYTES):
        yield chunk


def _fact(product: Product, chunks: Iterable[bytes], media_type: str) -> FileFact:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return FileFact(name=product.file, bytes=size, sha256=digest.hexdigest(), media_type=media_type)


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _version() -> str:
    try:
        return version("facsimile-faces")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
