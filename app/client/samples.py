"""A release's samples on their way into a folder: looked at one by one, and fetched in parallel runs."""

import hashlib
import itertools
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.client.cache import Cache, digest_of
from app.client.errors import ServiceUnreachable, VerificationFailed
from app.client.paths import make_parents, place
from app.client.patience import Patience
from app.client.sources import Source, Wanted
from app.client.verify import NAMED
from app.dataset.shard import SampleRow
from app.errors import FacsimileError

WINDOW = 512
"""Samples looked at together; bounds what is held in memory."""
RUN_BYTES = 4 * 1024 * 1024
"""One connection fetches about this much at a time; each, and a few more, are held in memory."""
LARGE_BYTES = 64 * 1024
"""Samples from this size on are hashed where they are read: then the threads help each other."""
AHEAD = 4
"""Runs that may wait to be written."""
KEEP_BYTES, KEEP_FILES = 16 * 1024 * 1024, 2048
"""After so much, what was written is made durable and named; what is killed before that is fetched anew."""
PARENTS = 4096
"""Folders remembered as made."""


@dataclass(kw_only=True)
class Tally:
    """What became of the samples."""

    samples: int = 0
    """Files of samples: C2PA manifests that lie beside them are counted, too."""
    there: int = 0
    """They were in the folder and right."""
    cached: int = 0
    """They came out of the cache."""
    fetched: int = 0
    bytes_fetched: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)
    """File and what is wrong with it."""

    def demand(self) -> None:
        """Raise VerificationFailed if a sample did not come, or not as it should."""
        if not self.wrong:
            return
        lines = [f"  {name}: {why}" for name, why in self.wrong[:NAMED]]
        if len(self.wrong) > NAMED:
            lines.append(f"  and {len(self.wrong) - NAMED} more")
        raise VerificationFailed(
            f"{len(self.wrong)} samples did not come as the manifest has them; all others are there:\n"
            + "\n".join(lines),
            [name for name, _ in self.wrong],
        )


@dataclass(kw_only=True)
class _Arrived:
    """What came of one run."""

    samples: list[tuple[Wanted, bytes, bool | None]] = field(default_factory=list)
    """Each with whether it is right, if that was looked at already."""
    error: FacsimileError | None = None
    """Why not all came."""


class Samples:
    """Brings a manifest's samples into a folder. What is there and right stays as it is.

    Connections are read in threads, but small files are hashed and written in one: each of these calls lets go of
    the interpreter's lock, and threads that fight for it over small files are several times slower than one.
    """

    def __init__(
        self,
        source: Source,
        folder: Path,
        cache: Cache,
        *,
        workers: int,
        patience: Callable[[], Patience],
        on_bytes: Callable[[int], None],
    ) -> None:
        """`on_bytes` is told how many bytes of samples are there, so far."""
        self.tally = Tally()
        self._source = source
        self._folder = folder
        self._root = str(folder)
        self._cache = cache
        self._workers = workers
        self._patience = patience
        self._on_bytes = on_bytes
        self._bytes = 0
        self._stop = threading.Event()
        self._staged: list[tuple[str, SampleRow]] = []
        self._staged_bytes = 0
        self._keeper = ThreadPoolExecutor(1)
        self._keeping: Future[None] | None = None
        self._lock = threading.Lock()

    def bring(self, rows: Iterable[SampleRow], before_first: Callable[[], None]) -> None:
        """Fetch what is neither in the folder nor in the cache; `before_first` is called if there is any such.

        Raises NoRanges, OtherOrder, ServiceUnreachable; samples that come wrong are in the tally.
        """
        pending: set[Future[_Arrived]] = set()
        begun = False
        with ThreadPoolExecutor(self._workers) as fetchers, ThreadPoolExecutor(1) as self._keeper:
            try:
                for run in self._missing(rows):
                    if not begun:
                        before_first()
                        begun = True
                    while len(pending) >= self._workers + AHEAD:
                        self._settle(pending)
                    pending.add(fetchers.submit(self._fetch, run))
                while pending:
                    self._settle(pending)
                self._keep()
                self._kept()
            except BaseException as exc:
                self._stop.set()
                with suppress(OSError):  # the error that is under way says more
                    self._keep_what_came(set() if isinstance(exc, OSError) else pending)
                raise

    def bring_cached(self, rows: Iterable[SampleRow]) -> None:
        """Take what is missing out of the cache; what is not there either is in the tally as wrong."""
        self.tally.samples = self.tally.there = self.tally.cached = self._bytes = 0
        for run in self._missing(rows):
            self.tally.wrong.extend((wanted.row.file, f"{self._source.where} does not hold it") for wanted in run)

    def _missing(self, rows: Iterable[SampleRow]) -> Iterator[list[Wanted]]:
        """Runs of samples that follow each other and are not here; those in the cache are handed out by the way."""
        known: set[str] = set()
        made: set[Path] = set()
        run: list[Wanted] = []
        offset = 0
        left = iter(rows)
        while window := list(itertools.islice(left, WINDOW)):
            if len(known) > PARENTS:
                known.clear()
                made.clear()
            cached = []
            for row in window:
                path = place(self._root, row.file)
                parent = row.file.rpartition("/")[0]
                if parent not in known:
                    make_parents(self._folder, Path(path), made)
                    known.add(parent)
                wanted = Wanted(row, offset)
                offset = wanted.end
                self.tally.samples += 1
                if self._is_there(row, path):
                    self.tally.there += 1
                    self._count(row.bytes)
                    continue
                if self._cache.held(row.file_sha256, row.bytes):
                    cached.append((row.file_sha256, path))
                    self.tally.cached += 1
                    self._count(row.bytes)
                    continue
                if run and (run[-1].end != wanted.offset or wanted.end - run[0].offset > RUN_BYTES):
                    yield run
                    run = []
                run.append(wanted)
            self._cache.hand_out(cached)
        if run:
            yield run

    def _is_there(self, row: SampleRow, path: str) -> bool:
        """Whether a sample is in the folder, and right."""
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(found.st_mode):
            raise VerificationFailed(f"{path} is a link; nothing is written through it", [path])
        return found.st_size == row.bytes and digest_of(path) == row.file_sha256

    def _fetch(self, run: list[Wanted]) -> _Arrived:
        """Read one run, again where it breaks off; never raises what is the source's fault."""
        arrived, patience = _Arrived(), self._patience()
        while len(arrived.samples) < len(run) and not self._stop.is_set():
            before = len(arrived.samples)
            try:
                with closing(self._source.read(run[before:])) as found:
                    for wanted, data in found:
                        if self._stop.is_set():
                            break
                        right = _is_right(wanted.row, data) if len(data) >= LARGE_BYTES else None
                        arrived.samples.append((wanted, data, right))
            except (ServiceUnreachable, EOFError) as exc:
                if len(arrived.samples) > before:
                    patience.renew()
                try:
                    patience.wait(exc)
                except ServiceUnreachable as too_long:
                    arrived.error = too_long
                    break
        return arrived

    def _settle(self, pending: set[Future[_Arrived]]) -> None:
        """Take in one run at least, and out of what is pending. Raises what went wrong with it."""
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            pending.remove(future)
            arrived = future.result()
            self._take(arrived.samples)
            if arrived.error:
                raise arrived.error

    def _keep_what_came(self, pending: set[Future[_Arrived]]) -> None:
        """Name what has been written, and what has arrived by then of runs that are under way."""
        wait(pending)
        for future in pending:
            if future.exception() is None:
                self._take(future.result().samples)
        self._keep()
        self._kept()

    def _take(self, samples: list[tuple[Wanted, bytes, bool | None]]) -> None:
        """Check samples and write them; one that came wrong is asked for once more by itself."""
        for wanted, data, right in samples:
            row = wanted.row
            if not (_is_right(row, data) if right is None else right):
                again = self._fetch([wanted]).samples
                data = again[0][1] if again else b""  # noqa: PLW2901
                if not _is_right(row, data):
                    reason = f"what {self._source.where} has has another digest, or is not there"
                    self.tally.wrong.append((row.file, reason))
                    continue
            self._staged.append((self._cache.write(data), row))
            self._staged_bytes += row.bytes
        if self._staged_bytes >= KEEP_BYTES or len(self._staged) >= KEEP_FILES:
            self._keep()

    def _keep(self) -> None:
        """Have what has been written named, once the batch before it is: the disk works while more is written."""
        self._kept()
        staged, self._staged, size, self._staged_bytes = self._staged, [], self._staged_bytes, 0
        self._keeping = self._keeper.submit(self._name, staged, size)

    def _kept(self) -> None:
        """Wait for what is being named; raises what went wrong with it."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.result()

    def _name(self, staged: list[tuple[str, SampleRow]], size: int) -> None:
        """Name files that have been written, in the cache and in the folder."""
        self._cache.adopt([(path, row.file_sha256) for path, row in staged])
        self._cache.hand_out((row.file_sha256, place(self._root, row.file)) for _, row in staged)
        self.tally.fetched += len(staged)
        self.tally.bytes_fetched += size
        self._count(size)

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes += size
            self._on_bytes(self._bytes)


def _is_right(row: SampleRow, data: bytes) -> bool:
    return len(data) == row.bytes and hashlib.sha256(data).hexdigest() == row.file_sha256
