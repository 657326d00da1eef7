"""A release's samples on their way into a folder: looked at one by one, and fetched in parallel runs."""

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from app.cli.errors import ServiceUnreachable, VerificationFailed
from app.cli.paths import inside, make_parents
from app.cli.releases.cache import Cache, digest_of
from app.cli.releases.patience import Patience
from app.cli.releases.sources import Source, Wanted
from app.cli.verify import NAMED
from app.dataset.shard import SampleRow

WINDOW = 512
"""Samples looked at together; bounds what is held in memory."""
RUN_BYTES = 8 * 1024 * 1024
"""One connection fetches about this much at a time."""
PARENTS = 4096
"""Folders remembered as made."""
LOOKERS = 4


@dataclass(kw_only=True)
class Tally:
    """What became of the samples."""

    samples: int = 0
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


class Samples:
    """Brings a manifest's samples into a folder. What is there and right stays as it is."""

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
        self._cache = cache
        self._workers = workers
        self._patience = patience
        self._on_bytes = on_bytes
        self._bytes = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def bring(self, rows: Iterable[SampleRow], before_first: Callable[[], None]) -> None:
        """Fetch what is neither in the folder nor in the cache; `before_first` is called if there is any such.

        Raises NoRanges, OtherOrder, ServiceUnreachable; samples that come wrong are in the tally.
        """
        pending: set[Future[None]] = set()
        begun = False
        with ThreadPoolExecutor(LOOKERS) as lookers, ThreadPoolExecutor(self._workers) as fetchers:
            try:
                for run in self._missing(rows, lookers):
                    if not begun:
                        before_first()
                        begun = True
                    while len(pending) >= 2 * self._workers:
                        pending = _settle(pending)
                    pending.add(fetchers.submit(self._fetch, run))
                while pending:
                    pending = _settle(pending)
            except BaseException:
                self._stop.set()  # what has arrived is kept
                raise

    def bring_cached(self, rows: Iterable[SampleRow]) -> None:
        """Take what is missing out of the cache; what is not there either is in the tally as wrong."""
        self.tally.samples = self.tally.there = self.tally.cached = self._bytes = 0
        with ThreadPoolExecutor(LOOKERS) as lookers:
            for run in self._missing(rows, lookers):
                self.tally.wrong.extend((wanted.row.file, f"{self._source.where} does not hold it") for wanted in run)

    def _missing(self, rows: Iterable[SampleRow], lookers: ThreadPoolExecutor) -> Iterator[list[Wanted]]:
        """Runs of samples that follow each other and are not here; those in the cache are handed out by the way."""
        known: set[Path] = set()
        run: list[Wanted] = []
        offset = 0
        left = iter(rows)
        while window := list(itertools.islice(left, WINDOW)):
            paths = [inside(self._folder, row.file) for row in window]
            if len(known) > PARENTS:
                known.clear()
            for path in paths:
                make_parents(self._folder, path, known)
            states = list(lookers.map(self._look, window, paths))
            looked_at = list(zip(window, paths, states, strict=True))
            self._cache.hand_out((row.file_sha256, path) for row, path, state in looked_at if state == "cached")
            for row, _, state in looked_at:
                wanted = Wanted(row, offset)
                offset = wanted.end
                self.tally.samples += 1
                if state != "missing":
                    self.tally.there += state == "there"
                    self.tally.cached += state == "cached"
                    self._count(row.bytes)
                    continue
                if run and (run[-1].end != wanted.offset or wanted.end - run[0].offset > RUN_BYTES):
                    yield run
                    run = []
                run.append(wanted)
        if run:
            yield run

    def _look(self, row: SampleRow, path: Path) -> str:
        """Whether a sample is `there` in the folder, `cached`, or `missing`."""
        if path.is_symlink():
            raise VerificationFailed(f"{path} is a link; nothing is written through it", [str(path)])
        try:
            if path.stat().st_size == row.bytes and digest_of(path) == row.file_sha256:
                return "there"
        except FileNotFoundError:
            pass
        return "cached" if self._cache.held(row.file_sha256, row.bytes) else "missing"

    def _fetch(self, run: list[Wanted]) -> None:
        """Fetch one run; what arrives wrong is asked for once more by itself."""
        again: list[Wanted] = []
        left, patience = run, self._patience()
        while left and not self._stop.is_set():
            try:
                count, wrong = self._fetch_some(left)
            except _Broken as broken:
                count, wrong = broken.count, broken.wrong
                if count:
                    patience.renew()
                patience.wait(broken)
            again.extend(wrong)
            left = left[count:]
        for wanted in again:
            if self._fetch_some([wanted])[1]:
                reason = f"what {self._source.where} has has another digest, or is not there"
                with self._lock:
                    self.tally.wrong.append((wanted.row.file, reason))

    def _fetch_some(self, run: list[Wanted]) -> tuple[int, list[Wanted]]:
        """Fetch until the end, or until stopped; returns how many came, and which of them were wrong."""
        staged: list[tuple[Path, Wanted]] = []
        wrong: list[Wanted] = []
        count = 0
        try:
            with closing(self._source.read(run)) as found:
                for wanted, data in found:
                    if self._stop.is_set():
                        break
                    count += 1
                    if len(data) == wanted.row.bytes and hashlib.sha256(data).hexdigest() == wanted.row.file_sha256:
                        staged.append((self._cache.write(data), wanted))
                    else:
                        wrong.append(wanted)
        except (ServiceUnreachable, EOFError) as exc:
            raise _Broken(str(exc), count, wrong) from exc
        finally:
            self._keep(staged)
        return count, wrong

    def _keep(self, staged: list[tuple[Path, Wanted]]) -> None:
        """Name what has arrived, in the cache and in the folder."""
        self._cache.adopt([(path, wanted.row.file_sha256) for path, wanted in staged])
        self._cache.hand_out((wanted.row.file_sha256, inside(self._folder, wanted.row.file)) for _, wanted in staged)
        size = sum(wanted.row.bytes for _, wanted in staged)
        with self._lock:
            self.tally.fetched += len(staged)
            self.tally.bytes_fetched += size
        self._count(size)

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes += size
            self._on_bytes(self._bytes)


class _Broken(Exception):
    """A run that broke off after so many samples."""

    def __init__(self, text: str, count: int, wrong: list[Wanted]) -> None:
        self.count = count
        self.wrong = wrong
        super().__init__(text)


def _settle(pending: set[Future[None]]) -> set[Future[None]]:
    """Wait for one at least; returns the others. Raises what it raised."""
    done, others = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        future.result()
    return others
