"""The shared cache: every file once, under its SHA-256, whatever releases it belongs to.

A file comes out of it as a clone of its blocks where the file system can do that, else as a hard link, else as a
copy. Files in the cache are read-only, for a hard link shares its bytes; and a file is hashed each time before it is
handed out, so one that was changed all the same is dropped and fetched anew. The cache may be deleted at any time.
"""

import ctypes
import errno
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from app.client.errors import FolderProblem, VerificationFailed
from app.client.files import write_whole
from app.client.paths import inside

CLONE = 0x40049409
"""ioctl FICLONE of Linux: the file shares the other's blocks until one of them is written to."""

NOT_POSSIBLE = frozenset(
    {
        errno.EXDEV,
        errno.EPERM,
        errno.EACCES,
        errno.EMLINK,
        errno.ENOSYS,
        errno.EOPNOTSUPP,
        errno.ENOTTY,
        errno.EINVAL,
        errno.ETXTBSY,
    }
)
"""What a file system answers that cannot clone or link: the next way is tried."""

STALE_S = 24 * 3600.0
"""Temporary files older than this are of a pull that was killed."""

CHUNK = 1024 * 1024


class Cache:
    """Files by digest below a folder; safe for many pulls at once, for a file gets its name only when it is whole."""

    def __init__(self, folder: Path, *, mode: int = 0o444) -> None:
        """`mode` is that of the files: read-only where others share them."""
        self.folder = folder
        self._mode = mode
        self._files = f"{folder}/files"
        self._temporary = f"{folder}/staged"
        self._prefix = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._numbers = itertools.count()
        self._ways: list[Callable[[str, str], None]] = [_clone, os.link]
        with told(folder):
            for part in ("files", "staged", "locks", "trees", "releases"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            self._sweep()

    def path(self, sha256: str) -> str:
        """Where a file of this digest lies or would lie."""
        return f"{self._files}/{sha256[:2]}/{sha256}"

    def held(self, sha256: str, size: int) -> bool:
        """Whether a file is here and right; one that is wrong is dropped."""
        path = self.path(sha256)
        try:
            found = os.stat(path)
        except FileNotFoundError:
            return False
        if found.st_size == size and digest_of(path) == sha256:
            return True
        with suppress(FileNotFoundError):
            os.unlink(path)
        return False

    def write(self, data: bytes) -> str:
        """Write bytes under a temporary name, to be adopted."""
        staged = f"{self._temporary}/{self._prefix}-{next(self._numbers)}"
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self._mode)
        try:
            written = 0
            while written < len(data):
                written += os.write(descriptor, data[written:] if written else data)
        except BaseException:
            os.unlink(staged)
            raise
        finally:
            os.close(descriptor)
        return staged

    def take(self, data: bytes) -> None:
        """Write bytes and adopt them, unless they are here."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.held(sha256, len(data)):
            self.adopt([(self.write(data), sha256)])

    def adopt(self, staged: Sequence[tuple[str, str]]) -> None:
        """Give staged files, with their digests, their names; they are made durable first, all together."""
        try:
            make_durable([path for path, _ in staged])
            for path, sha256 in staged:
                final = self.path(sha256)
                try:
                    os.rename(path, final)
                except FileNotFoundError:
                    Path(final).parent.mkdir(exist_ok=True)
                    os.rename(path, final)
        except BaseException:
            for path, _ in staged:
                with suppress(OSError):
                    os.unlink(path)
            raise

    def hand_out(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Put files, by digest, where they are wanted; each appears there whole or not at all."""
        copied: list[tuple[str, str]] = []
        for sha256, to in wanted:
            source = self.path(sha256)
            if self._share(source, to):
                continue
            # Something is there, or it must be copied: beside it first.
            folder, _, name = to.rpartition("/")
            beside = f"{folder}/.{name}.part"
            with suppress(FileNotFoundError):
                os.unlink(beside)
            if self._share(source, beside):
                os.replace(beside, to)
                with suppress(FileNotFoundError):  # two names of one file: then replacing does nothing (POSIX)
                    os.unlink(beside)
            else:
                shutil.copyfile(source, beside)
                copied.append((beside, to))
        make_durable([beside for beside, _ in copied])
        for beside, to in copied:
            os.replace(beside, to)

    def keep(self, digest: str, files: Iterable[Path]) -> None:
        """Keep what lies beside the samples of a release, by the release's digest: then nobody need be asked for it."""
        listed = {}
        for path in files:
            size, sha256 = path.stat().st_size, digest_of(path)
            if not self.held(sha256, size):
                staged = f"{self._temporary}/{self._prefix}-{next(self._numbers)}"
                shutil.copyfile(path, staged)
                os.chmod(staged, self._mode)
                self.adopt([(staged, sha256)])
            listed[path.name] = [size, sha256]
        write_whole(self._index(digest), json.dumps(listed).encode())

    def bring(self, digest: str, into: Path) -> bool:
        """Put copies of what `keep` kept into a folder; False if it is not all here."""
        try:
            listed = json.loads(self._index(digest).read_bytes())
            wanted = [(inside(into, name), int(size), str(sha256)) for name, (size, sha256) in listed.items()]
        except (OSError, ValueError, TypeError, AttributeError, VerificationFailed):
            return False
        if not all(self.held(sha256, size) for _, size, sha256 in wanted):
            return False
        for path, _, sha256 in wanted:
            beside = path.with_name(f".{path.name}.part")
            shutil.copyfile(self.path(sha256), beside)
            beside.replace(path)
        return True

    def _index(self, digest: str) -> Path:
        return self.folder / "releases" / f"{digest.rpartition(':')[2]}.json"

    @contextmanager
    def alone(self, folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold a folder for this process alone; `on_wait` is called if another one has it. Ends with the process."""
        name = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()
        with (self.folder / "locks" / name).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def tree(self, digest: str) -> Path:
        """A folder for a release's files as they are used, by the release's digest."""
        return self.folder / "trees" / digest.rpartition(":")[2]

    def _share(self, source: str, to: str) -> bool:
        """Clone or link to a name that is free; False where it is not, or where only a copy is possible."""
        while self._ways:
            way = self._ways[0]
            try:
                way(source, to)
            except FileExistsError:
                return False
            except OSError as exc:
                if exc.errno not in NOT_POSSIBLE:
                    raise
                if exc.errno == errno.EMLINK:  # of this file only: it has too many names
                    return False
                self._ways.remove(way)  # what did not work once is not tried again
            else:
                return True
        return False

    def _sweep(self) -> None:
        before = time.time() - STALE_S
        for path in Path(self._temporary).iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()


def default_cache() -> Cache:
    """The cache of $FACSIMILE_CACHE, or of ~/.cache/facsimile."""
    named = os.environ.get("FACSIMILE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Cache(Path(named) if named else Path(base) / "facsimile")


def digest_of(path: Path | str) -> str:
    """SHA-256 (hex) of a file."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_durable(paths: Sequence[Path | str]) -> None:
    """Return once the files are on the disk; they must lie on one file system."""
    if not paths:
        return
    descriptor = os.open(paths[0], os.O_RDONLY)
    try:
        # One call for all: a file at a time, fsync is ten times slower than writing small files.
        if _SYNCFS is not None and len(paths) > 1:
            if _SYNCFS(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(paths[0]))
            return
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    for path in paths[1:]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Turns errors of the file system into ours, which say what to do."""
    try:
        yield
    except OSError as exc:
        where = exc.filename or folder
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FolderProblem(
                f"there is no room left for {where}; make some and repeat the command: what is there already is "
                "not fetched again (FACSIMILE_CACHE names another place for the cache)"
            ) from exc
        if exc.errno in (errno.ELOOP, errno.ENOTDIR):
            raise VerificationFailed(f"{where} is a link or no folder; nothing is written through it", []) from exc
        raise FolderProblem(f"{where}: {exc.strerror or exc}") from exc


def _clone(source: str, to: str) -> None:
    beside = f"{to}.clone"
    try:
        with Path(source).open("rb") as file, Path(beside).open("xb") as made:
            fcntl.ioctl(made, CLONE, file.fileno())
        os.link(beside, to)  # the name must be free
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside)


def _syncfs() -> Callable[[int], int] | None:
    try:
        found = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):  # not Linux
        return None
    found.argtypes, found.restype = [ctypes.c_int], ctypes.c_int
    call: Callable[[int], int] = found
    return call


_SYNCFS = _syncfs()
