"""How fast candidate lists are read and measured, and in how much memory; the file is made by streaming.

    python tests/bench/bench_candidates.py --rows 10000000 [--list 50] [--out FOLDER]

It prints rows a second, the reader's peak of resident memory (a child process of its own, which does nothing else),
and the machine's load before and after. The file is removed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

GALLERY = 100_000
AT_ONCE = 2_000
"""Lists written at once."""


def write_lists(path: Path, probes: int, length: int, gallery: int) -> None:
    """Lists of `length` candidates of `probes` searches in a gallery of subjects 0 …, the mate mostly first."""
    width = len("S0000000_0001,001,S0000000_0000,0.000000\n")
    ranks = np.char.zfill(np.arange(1, length + 1).astype("S3"), 3)
    with path.open("wb") as file:
        file.write(b"probe,rank,reference,score\n")
        for first in range(0, probes, AT_ONCE):
            numbers = np.arange(first, min(first + AT_ONCE, probes))
            rng = np.random.default_rng(first)
            # Distinct references: steps of a stride that shares no factor with the gallery's size.
            others = (rng.integers(0, gallery, len(numbers))[:, None] + 7 * np.arange(length)) % gallery
            found = rng.random(len(numbers)) < 0.95
            others[found, 0] = numbers[found] % gallery
            twice = others[:, 1:] == others[:, :1]
            others[:, 1:][twice] = (others[:, 1:][twice] + 3) % gallery
            scores = np.sort(rng.integers(0, 1_000_000, others.shape), axis=1)[:, ::-1]
            rows = np.full((*others.shape, width), ord(","), np.uint8)
            rows[..., :13] = _text("S", numbers, "_0001")[:, None]
            rows[..., 14:17] = np.frombuffer(ranks.tobytes(), np.uint8).reshape(length, 3)
            rows[..., 18:31] = _text("S", others.ravel(), "_0000").reshape(*others.shape, 13)
            rows[..., 32:34] = np.frombuffer(b"0.", np.uint8)
            rows[..., 34:40] = _digits(scores, 6)
            rows[..., 40] = ord("\n")
            file.write(rows.tobytes())


def _digits(numbers: np.ndarray, count: int) -> np.ndarray:
    powers = 10 ** np.arange(count - 1, -1, -1)
    return (numbers[..., None] // powers % 10 + ord("0")).astype(np.uint8)


def _text(before: str, numbers: np.ndarray, after: str) -> np.ndarray:
    left, right = (np.frombuffer(part.encode(), np.uint8) for part in (before, after))
    shape = (len(numbers), 1)
    return np.hstack([np.tile(left, shape), _digits(numbers, 7), np.tile(right, shape)])


def read(path: Path, probes: int, gallery: int) -> None:
    """In the child: read, measure, and print what it took."""
    from app.dataset.evaluation import EvaluatedSet
    from workers.verdict.candidates import read_candidates
    from workers.verdict.searching import measure_searches

    begun, used = time.perf_counter(), time.process_time()
    with path.open("rb") as file:
        found = read_candidates(
            file, np.arange(probes, dtype=np.int64) * 10_000 + 1, np.arange(gallery, dtype=np.int64) * 10_000
        )
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    of = EvaluatedSet(dataset="ds", release=None, name="bench", comparisons=0, comparisons_sha256=None)
    measured = measure_searches(of, found, [0.1, 0.01])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(
        json.dumps(
            {
                "rows": found.candidates,
                "read_s": round(seconds, 1),
                "rows_a_second": round(found.candidates / seconds),
                "processor_s": round(cpu, 1),
                "measured_s": round(time.perf_counter() - begun - seconds, 1),
                "peak_mib": round(peak),
                "rank_one_miss": measured.rank_one.value,
            }
        )
    )


def say(text: str) -> None:
    """A line of what was found."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=10_000_000)
    asked.add_argument("--list", type=int, default=50, help="candidates a list")
    asked.add_argument("--out", type=Path, default=None, help="where the file is made")
    asked.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    told = asked.parse_args()
    probes = told.rows // told.list
    if told.read:
        read(told.read, probes, GALLERY)
        return
    with tempfile.TemporaryDirectory(dir=told.out) as folder:
        path = Path(folder) / "lists.csv"
        begun = time.perf_counter()
        write_lists(path, probes, told.list, GALLERY)
        say(f"{probes * told.list:,} rows, {path.stat().st_size / 1e9:.2f} GB, {time.perf_counter() - begun:.0f} s")
        before = os.getloadavg()[0]
        command = [sys.executable, __file__, "--read", str(path), "--rows", str(told.rows), "--list", str(told.list)]
        subprocess.run(command, check=True)
        say(f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} hyperthreads")


if __name__ == "__main__":
    main()
