"""CSV and JSON lines that several layouts have in common."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence

from app.dataset.shard import SampleRow
from workers.layouts.archive import Entry, text


def line(*values: object) -> str:
    """One line of a CSV file, with its end."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    return out.getvalue()


def described(row: SampleRow, *, landmarks: bool = True, **more: object) -> str:
    """A sample as one line of JSON: what `more` says, then its label, subject, role, attributes, and what it shows.

    Without `landmarks` where the layout has other pixels than the set.
    """
    found = {**more, "id": row.id, "subject": row.subject, "role": row.role, **row.labels()}
    if landmarks and row.landmarks is not None:
        found["landmarks"] = row.landmarks
    return json.dumps(found, ensure_ascii=False) + "\n"


def samples_csv(named: Iterable[tuple[str, SampleRow]]) -> Entry:
    """samples.csv: which sample each file is, for layouts that call files otherwise than the set does."""
    return text("samples.csv", sample_lines(("file",), (((file,), row) for file, row in named)))


def sample_lines(where: Sequence[str], named: Iterable[tuple[Sequence[object], SampleRow]]) -> Iterator[str]:
    """Lines of a table of samples: the columns `where`, label, subject, role, attributes, and what each image shows.

    The columns are those of the first sample; what another lacks of them is empty.
    """
    keys: tuple[str, ...] | None = None
    for values, row in named:
        labels = row.labels()
        if keys is None:
            keys = tuple(labels)
            yield line(*where, "id", "subject", "role", *keys)
        yield line(*values, row.id, row.subject, row.role, *(labels.get(key, "") for key in keys))
    if keys is None:
        yield line(*where, "id", "subject", "role")
