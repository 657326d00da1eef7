"""Reading an npz or Parquet file to plain numbers, and the child process that does it for a stranger's file.

Started as `python -m workers.verdict.reading_child FILE KIND MOST_ROWS MEMORY SECONDS NUMBERED`; NUMBERED is a file of
whole numbers (see `read_list_blocks`), or nothing. On standard output it gives frames (`workers.verdict.frames`); at
last `{"end": true}` or `{"refused": why}`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from workers.biometrics.errors import ScoresRefused
from workers.generator.reading.child import limit_process
from workers.verdict.candidate_files import get_ready, read_list_blocks
from workers.verdict.columns import NPZ_MAGIC, read_npz, read_parquet
from workers.verdict.frames import Kind, Part, write_part
from workers.verdict.named_blocks import read_named_blocks
from workers.verdict.template_files import read_template_npz, read_template_parquet


def read_columns(path: Path, kind: Kind, most: int, numbered: Path | None = None) -> Iterator[Part]:
    """Yield what is in a file of at most so many rows; raises ScoresRefused.

    Candidate lists are as long as they are: who takes them in knows how many there can be.
    """
    if kind == "named":
        yield from read_named_blocks(path, most)
        return
    with path.open("rb") as file:
        if kind == "candidates":
            places = None if numbered is None else np.fromfile(numbered, "<i8")
            yield from read_list_blocks(file, places, threads=False)
            return
        npz = file.read(len(NPZ_MAGIC)) == NPZ_MAGIC
        file.seek(0)
        if kind == "scores":
            yield from (read_npz if npz else read_parquet)(file, most)
        else:
            yield from (read_template_npz if npz else read_template_parquet)(file, most)


def main(path: str, kind: Kind, most: str, memory: str, seconds: str, numbered: str) -> None:
    """Read a file within limits and write frames."""
    if kind == "candidates":
        get_ready()
    limit_process(int(memory), int(seconds), 0)
    out = sys.stdout.buffer
    try:
        for part in read_columns(Path(path), kind, int(most), Path(numbered) if numbered else None):
            write_part(out, part)
        last: dict[str, Any] = {"end": True}
    except ScoresRefused as exc:
        last = {"refused": str(exc)}
    except MemoryError:
        last = {"refused": f"reading this file needs more memory than the limit of {int(memory) // 2**20:,} MiB"}
    out.write(json.dumps(last).encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
