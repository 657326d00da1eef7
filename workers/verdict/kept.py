"""What is kept of a matcher's scores, so that a later evaluation can take them for its baseline; no pickle."""

import io
from dataclasses import fields
from typing import Any

import numpy as np

from workers.biometrics.histogram import ScoreHistogram
from workers.biometrics.scores import Failures
from workers.verdict.compared import ComparedScores
from workers.verdict.highest import Codes, Tail
from workers.verdict.kept_file import opened

VERSION = 1


def pack(scores: ComparedScores) -> bytes:
    """Scores as bytes; far fewer than the file they came from, for most non-mated ones are in the histogram alone."""
    histogram = scores.histogram
    held = np.flatnonzero(histogram.counts)
    out = io.BytesIO()
    np.savez(
        out,
        version=np.int64(VERSION),
        mated=scores.mated,
        mated_subjects=scores.mated_subjects.astype(np.int32),
        tail=scores.tail.scores,
        tail_references=scores.tail.references.astype(np.int32),
        tail_probes=scores.tail.probes.astype(np.int32),
        tail_cells=np.zeros(0, np.int64) if scores.tail.cells is None else scores.tail.cells,
        bins=np.array([histogram.first, histogram.exponent, len(histogram.counts)], np.int64),
        bins_held=held,
        counts=histogram.counts[held],
        compared=scores.compared,
        totals=np.array([scores.non_mated_total, scores.subjects], np.int64),
        failures=np.array([getattr(scores.failures, field.name) for field in fields(Failures)], np.int64),
        digest=np.uint64(scores.digest),
    )
    return out.getvalue()


def unpack(data: bytes) -> ComparedScores:
    """The scores again; raises Corrupt."""
    with opened(data, "version", VERSION, form="scores", what="scores") as found:
        first, exponent, bins = found["bins"].tolist()
        counts = np.zeros(bins, np.int64)
        counts[found["bins_held"]] = found["counts"]
        total, subjects = found["totals"].tolist()
        names = [field.name for field in fields(Failures)]
        return ComparedScores(
            mated=found["mated"],
            mated_subjects=found["mated_subjects"].astype(np.int64),
            tail=Tail(
                scores=found["tail"],
                references=found["tail_references"].astype(np.int64),
                probes=found["tail_probes"].astype(np.int64),
                cells=_cells(found),
            ),
            histogram=ScoreHistogram(first=first, exponent=exponent, counts=counts),
            non_mated_total=total,
            compared=found["compared"],
            subjects=subjects,
            failures=Failures(**dict(zip(names, found["failures"].tolist(), strict=True))),
            digest=int(found["digest"]),
        )


def _cells(found: Any) -> Codes | None:
    """Where the tail's comparisons are in the list; None where that was not kept."""
    if "tail_cells" not in found or len(found["tail_cells"]) != len(found["tail"]):
        return None
    return np.asarray(found["tail_cells"], np.int64)
