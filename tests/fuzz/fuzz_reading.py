"""Mutates checkpoints and reads them: every one must end in a refusal or a sound reading, quickly and in little memory.

    nice -n 15 python tests/fuzz/fuzz_reading.py FOLDER… --count 100000 [--seed 1] [--out failures]

FOLDERs hold the files to mutate, sound and hostile ones. A file that ends otherwise (another exception, more than
SECONDS, memory beyond the process's limit) is kept under --out, and the run exits with 1.
"""

import argparse
import random
import resource
import struct
import sys
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

from workers.generator.imported.importer import convert
from workers.generator.reading.contents import read_contents
from workers.generator.reading.limits import Limits
from workers.generator.reading.opcodes import READERS, Cursor, next_opcode, read_argument
from workers.generator.reading.refusals import FileRefused

SECONDS = 2.0
MEMORY = 1024**3
"""Bytes of address space beyond what the process has before it begins."""

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)
WORDS = (b"os\nsystem\n", b"FloatStorage", b"QInt8Storage", b"\x93", b"R", b"b", b"\x81", b"Q", b"(", b"t", b"u", b".")


def flip(data: bytearray, rng: random.Random, places: Sequence[int]) -> None:
    """Change single bits."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        data[rng.choice(places) % len(data)] ^= 1 << rng.randrange(8)


def replace(data: bytearray, rng: random.Random, places: Sequence[int]) -> None:
    """Put another byte somewhere."""
    data[rng.choice(places) % len(data)] = rng.randrange(256)


def cut(data: bytearray, rng: random.Random, places: Sequence[int]) -> None:
    """Take bytes away: from the end, or in the middle."""
    place = rng.choice(places) % len(data)
    del data[place : len(data) if rng.random() < 0.3 else place + rng.randrange(1, 40)]


def double(data: bytearray, rng: random.Random, places: Sequence[int]) -> None:
    """Say something twice."""
    start, place = rng.choice(places) % len(data), rng.choice(places) % len(data)
    data[place:place] = data[start : start + rng.randrange(1, 200)]


def swap(data: bytearray, rng: random.Random, places: Sequence[int]) -> None:
    """Put one stretch over another."""
    start, place, count = rng.choice(places) % len(data), rng.choice(places) % len(data), rng.randrange(1, 60)
    data[place : place + count] = data[start : start + count]


def extreme(data: bytearray, rng: random.Random, places: Sequence[int]) -> None:
    """Write a number that lengths, counts and indices do not expect."""
    place, layout = rng.choice(places) % len(data), rng.choice(("<B", "<H", "<I", "<Q", ">I"))
    most = 2 ** (8 * struct.calcsize(layout))
    data[place : place + struct.calcsize(layout)] = struct.pack(layout, rng.choice(EXTREMES) % most)


def word(data: bytearray, rng: random.Random, places: Sequence[int]) -> None:
    """Write a name or an opcode."""
    place, text = rng.choice(places) % len(data), rng.choice(WORDS)
    data[place : place + (len(text) if rng.random() < 0.5 else 0)] = text


MUTATIONS: tuple[Callable[[bytearray, random.Random, Sequence[int]], None], ...] = (
    flip,
    replace,
    cut,
    double,
    swap,
    extreme,
    word,
)


class Seed:
    """A file to mutate, and where in it something else than plain numbers stands."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self.opcodes = _opcodes(data)
        self.places: Sequence[int] = [
            place for start, end in self.opcodes for place in range(start, min(end, start + 64))
        ] or range(len(data))

    def _rearranged(self, rng: random.Random) -> bytes:
        """The file with whole opcodes taken out, doubled, exchanged or given other numbers: still a pickle's form."""
        parts = [self.data[start:end] for start, end in self.opcodes]
        for _ in range(rng.choice((1, 1, 2, 3))):
            place, other = rng.randrange(len(parts)), rng.randrange(len(parts))
            what = rng.randrange(5)
            if what == 0:
                parts[place] = b""
            elif what == 1:
                parts.insert(other, parts[place])
            elif what == 2:
                parts[place], parts[other] = parts[other], parts[place]
            elif what == 3:
                parts[place] = parts[other]
            else:
                parts[place] = rng.choice(
                    (b"K\x00", b"J\xff\xff\xff\xff", b"N", b")", b"]", b"}", b"\x88", b"G" + bytes(8))
                )
        return b"".join(parts) + self.data[self.opcodes[-1][1] :]

    def mutated(self, rng: random.Random) -> bytes:
        """The file with one to four changes; an archive half of the time with its checksums mended."""
        if self.data.startswith(b"PK\x03\x04") and rng.random() < 0.6:
            return _inside(self.data, rng)
        if self.opcodes and rng.random() < 0.5:
            return self._rearranged(rng)
        data = bytearray(self.data)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            if data:
                rng.choice(MUTATIONS)(data, rng, self.places)
        return bytes(data)


def _opcodes(data: bytes) -> list[tuple[int, int]]:
    """Where each opcode of a file begins and ends with its argument, as far as it can be followed as a pickle."""
    cursor, found = Cursor(memoryview(data), Limits()), []
    try:
        while cursor.left:
            start = cursor.place
            name, _ = next_opcode(cursor)
            if name not in READERS:
                break
            read_argument(name, cursor)
            found.append((start, cursor.place))
    except FileRefused:
        pass
    return found


def _inside(data: bytes, rng: random.Random) -> bytes:
    """An archive with one member changed and everything about it right again."""
    out = BytesIO()
    try:
        with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
            names = old.namelist()
            chosen = rng.choice([name for name in names if name.endswith("data.pkl")] * 3 + names)
            for name in names:
                body = bytearray(old.read(name))
                if name == chosen and body:
                    rng.choice(MUTATIONS)(body, rng, range(len(body)))
                new.writestr(zipfile.ZipInfo(name), bytes(body))
    except (zipfile.BadZipFile, RuntimeError, zlib.error, OSError, EOFError, ValueError):
        changed = bytearray(data)
        flip(changed, rng, range(len(changed)))
        return bytes(changed)
    return out.getvalue()


def made_seeds() -> list[Seed]:
    """Small files of the formats that the folders may not have."""
    import numpy as np
    import torch
    from safetensors.numpy import save

    state = {"a.weight": torch.arange(24.0).reshape(2, 3, 4), "half": torch.ones(3, dtype=torch.float16)}
    whole = {"g_ema": state, "latent_avg": torch.zeros(4), "args": None, "empty": torch.zeros(0, 3)}
    seeds = [Seed("made.safetensors", save({"a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float16)}))]
    for name, modern in (("made.pt", True), ("made.pth", False)):
        out = BytesIO()
        torch.save(whole, out, _use_new_zipfile_serialization=modern)
        seeds.append(Seed(name, out.getvalue()))
    return seeds


def read(data: bytes) -> str:
    """How reading a file ends: the refusal's first words, or that it was read, or even a network of a family."""
    try:
        contents = read_contents(memoryview(data))
    except FileRefused as exc:
        return "refused: " + " ".join(exc.problem.split()[:3])
    try:
        convert(contents)
    except FileRefused as exc:
        return "read, no network: " + " ".join(exc.problem.split()[:3])
    return "read"


def fuzz(seeds: Sequence[Seed], count: int, seed: int) -> Iterator[tuple[str, bytes, str, float]]:
    """Yield (name, mutated file, how its reading ended, seconds); an ending that must not be begins with FAULT."""
    rng = random.Random(seed)
    for _ in range(count):
        one = rng.choice(seeds)
        data = one.mutated(rng)
        start = time.perf_counter()
        try:
            ended = read(data)
        except Exception as exc:  # noqa: BLE001 - this is what is looked for
            ended = f"FAULT {type(exc).__name__}: {traceback.format_exc(limit=-3)}"
        seconds = time.perf_counter() - start
        if seconds > SECONDS:
            ended = f"FAULT took {seconds:.1f} s ({ended})"
        yield one.name, data, ended, seconds


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--largest", type=int, default=1024 * 1024, help="bytes of a file that is mutated")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    files = [path for folder in asked.folders for path in sorted(folder.iterdir()) if path.is_file()]
    seeds = made_seeds() + [
        Seed(path.name, path.read_bytes())
        for path in files
        if path.suffix not in (".md", ".npz") and 0 < path.stat().st_size <= asked.largest
    ]
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    tally: Counter[str] = Counter()
    faults, slowest, start = 0, 0.0, time.perf_counter()
    for number, (name, data, ended, seconds) in enumerate(fuzz(seeds, asked.count, asked.seed), 1):
        slowest = max(slowest, seconds)
        if ended.startswith("FAULT"):
            faults += 1
            print(f"{name}: {ended}", flush=True)  # noqa: T201
            if asked.out:
                asked.out.mkdir(parents=True, exist_ok=True)
                (asked.out / f"{number}-{name}").write_bytes(data)
            continue
        tally[ended] += 1
        if number % 10_000 == 0:
            print(f"{number:,} of {asked.count:,}, {time.perf_counter() - start:.0f} s, {faults} faults", flush=True)  # noqa: T201
    for ended, times in tally.most_common(25):
        print(f"{times:8,}  {ended}")  # noqa: T201
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    read_whole = sum(times for ended, times in tally.items() if ended.startswith("read"))
    print(f"{asked.count:,} files of {len(seeds)} seeds: {read_whole:,} read, {faults} faults; ")  # noqa: T201
    print(f"slowest {slowest:.2f} s, {time.perf_counter() - start:.0f} s in all, peak {peak} MiB")  # noqa: T201
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
