"""Assembling: the manifest, out of the shards' reports and the dataset's. It comes last, and makes the set succeed."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from app.dataset.keys import DatasetKeys
from app.dataset.manifest import Tally, manifest_lines, summarize
from app.dataset.plan import Plan
from app.dataset.shard import IdentityChoice, SampleRow, ShardReport
from app.jobs.records import JSON, Accepted, read_json, write_json
from app.storage import ObjectStore
from workers.pipeline.judgements import read_qualities
from workers.pipeline.store import put_chunks


def assemble(
    store: ObjectStore, at: DatasetKeys, accepted: Accepted, plan: Plan, still_wanted: Callable[[], bool]
) -> None:
    """Write summary and manifest; run twice, it leaves the same bytes.

    `still_wanted` is asked before the manifest, which makes the dataset succeed, is written.
    """
    summary = summarize_stored(store, at, accepted, plan)
    if not still_wanted():
        return
    write_json(store, at.summary, summary)
    put_chunks(store, at.manifest, manifest_lines(summary, stored_rows(store, at, plan)), JSON)


def summarize_stored(store: ObjectStore, at: DatasetKeys, accepted: Accepted, plan: Plan) -> dict[str, Any]:
    """Build everything of the manifest but the sample lines, out of what is stored."""
    tally = Tally()
    devices: set[str] = set()
    digests: list[str] = []
    for number in range(plan.shards):
        raw = store.get(at.shard_report(number))
        made = ShardReport.model_validate_json(raw)
        tally.add(made)
        devices.add(made.device)
        digests.append(hashlib.sha256(raw).hexdigest())
    choice = IdentityChoice.model_validate_json(store.get(at.identities)) if plan.unique else None
    report = read_json(store, at.report)
    summary = summarize(
        plan,
        accepted.request,
        name=accepted.name,
        created_at=accepted.created_at,
        tally=tally,
        choice=choice,
        comparisons=report["comparisons"],
        contract=report.get("contract"),
        products={
            key.removeprefix(at.prefix): hashlib.sha256(store.get(key)).hexdigest()
            for key in (at.contact_sheet, at.report, at.report_page)
        },
        device=", ".join(sorted(devices)),
        report_digests=digests,
    )
    if not store.exists(at.described):
        return summary
    described = read_json(store, at.described)
    return {**summary, **described, "products": {**summary["products"], **described["products"]}}


def stored_rows(store: ObjectStore, at: DatasetKeys, plan: Plan) -> Iterator[SampleRow]:
    """Yield the manifest's sample lines out of the shards' reports."""
    for number in range(plan.shards):
        report = ShardReport.model_validate_json(store.get(at.shard_report(number)))
        qualities = read_qualities(store, at, plan, number)
        for stored in report.samples:
            yield stored.row.model_copy(update={"quality": qualities.get(stored.row.id)})
