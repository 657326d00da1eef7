"""Candidate lists of 1:N searches, taken in as a stream: what each search returned, and everything that is odd named.

Memory grows with the searches, not with their lists; tests/bench/bench_candidates.py says how fast it is.
Legend: n rows of a block, P probes, R references.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from app.errors import Cancelled
from workers.biometrics.errors import ScoresRefused
from workers.verdict.blocks import NOWHERE, SAMPLES, Places, name_of, place_of
from workers.verdict.candidate_files import ListBlock, read_list_blocks

NAMED = 10
"""Rows named of each kind of oddity."""

LONGEST_SPARE = 2**20
"""Rows of one list beyond the references that there are, which no list can have: the rest of the file is not read."""

Floats = NDArray[np.float64]

_KINDS = {
    "gap": "ranks do not go on by one: give every list from rank 1 on, without gaps",
    "rank": "ranks contradict scores: the score rises from one rank to the next; rank by falling score",
    "duplicate": "a reference stands twice in a list; leave each once",
    "again": "a probe's list comes again further on; give each probe one list, its rows together",
    "probe": "no probe of the set; use the dataset's own labels",
    "reference": "no reference of the gallery; use the dataset's own labels, and --gallery if only some were enrolled",
    "half": "a row has no rank, reference or score: leave all three empty where a search returned nobody",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Searched:
    """What every search came to."""

    probes: Places
    """[P]"""
    has_mate: NDArray[np.bool_]
    """[P] whether the probe's subject is in the gallery."""
    mate_scores: Floats
    """[P] −inf where the mate is not in the list, or there is none."""
    mate_ranks: NDArray[np.int64]
    """[P] 0 where it is not in the list; a tie with another counts against it."""
    best_others: Floats
    """[P] highest score of another subject's reference; −inf where nobody else is in the list."""
    gallery: int
    gallery_digest: str
    """SHA-256 over the references' places: which gallery it was."""
    candidates: int
    lengths: NDArray[np.int64]
    """[P]"""
    ties: tuple[str, ...]
    """The first few lists with equal scores, as they are told."""
    tied: int
    """Rows whose score is that of the row before."""


@dataclass
class _Lists:
    """Takes blocks in."""

    probes: Places
    """[P] ascending: all that are to be searched."""
    gallery: Places
    """[R] ascending."""
    what: str
    candidates: int = 0
    tied: int = 0
    ties: list[str] = field(default_factory=list)
    odd: dict[str, int] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.probes)
        self.seen = np.zeros(count, bool)
        self.mate_scores = np.full(count, -np.inf)
        self.mate_ranks = np.zeros(count, np.int64)
        self.best_others = np.full(count, -np.inf)
        self.lengths = np.zeros(count, np.int64)

    def take(self, block: ListBlock) -> None:
        """Take in whole lists [n]; a search that returned nobody has rank 0."""
        self._note("half", np.flatnonzero(block.half), block)
        probes, ranks, scores = block.probes, block.ranks, block.scores
        count = len(probes)
        starts = np.flatnonzero(np.append(True, probes[1:] != probes[:-1]))
        sizes = np.diff(np.append(starts, count))
        group = np.repeat(np.arange(len(starts)), sizes)
        place = np.arange(count) - starts[group]
        empty = ranks == 0
        first = np.zeros(count, bool)
        first[starts] = True
        same = ~first
        self._note("gap", np.flatnonzero((ranks != place + 1) & ~(empty & first & (sizes[group] == 1))), block)
        rise = np.zeros(count, bool)
        tie = np.zeros(count, bool)
        rise[1:] = same[1:] & (scores[1:] > scores[:-1])
        tie[1:] = same[1:] & (scores[1:] == scores[:-1])
        self._note("rank", np.flatnonzero(rise), block)
        number = _number(self.gallery, block.references)
        self._note("reference", np.flatnonzero((number < 0) & ~empty), block)
        keys = np.sort(group * (len(self.gallery) + 1) + np.where(number < 0, len(self.gallery), number))
        twice = keys[1:][(keys[1:] == keys[:-1]) & (keys[1:] % (len(self.gallery) + 1) < len(self.gallery))]
        self._note("duplicate", starts[np.unique(twice // (len(self.gallery) + 1))], block)
        at = _number(self.probes, probes[starts])
        self._note("probe", starts[at < 0], block)
        known = at >= 0
        again = known & self.seen[np.where(known, at, 0)]
        order = np.argsort(at, kind="stable")
        later = np.zeros(len(at), bool)
        later[order[1:]] = (np.diff(at[order]) == 0) & (at[order[1:]] >= 0)
        self._note("again", starts[again | later], block)
        self.candidates += int((~empty).sum())
        self.tied += int(tie.sum())
        for row in np.flatnonzero(tie)[: NAMED - len(self.ties)].tolist():
            self.ties.append(
                f"line {block.lines[row]}: {name_of(probes[row])}, ranks {ranks[row] - 1} and {ranks[row]}"
            )
        keep = known & ~again & ~later
        self._measure(at, keep, starts, sizes, group, block)

    def _measure(
        self,
        at: NDArray[np.int64],
        keep: NDArray[np.bool_],
        starts: NDArray[np.int64],
        sizes: NDArray[np.int64],
        group: NDArray[np.int64],
        block: ListBlock,
    ) -> None:
        ranks, scores, empty = block.ranks, block.scores, block.ranks == 0
        targets = at[keep]
        self.seen[targets] = True
        self.lengths[targets] = np.where(empty[starts[keep]], 0, sizes[keep])
        mate = (block.references // SAMPLES == block.probes // SAMPLES) & ~empty
        others = ~mate & ~empty & keep[group]
        # Lists fall in score, so the first row of a kind is its best.
        np.maximum.at(self.best_others, at[group[others]], scores[others])
        rows = np.flatnonzero(mate & keep[group])
        rows = rows[np.unique(group[rows], return_index=True)[1]]
        owner = at[group[rows]]
        self.mate_scores[owner], self.mate_ranks[owner] = scores[rows], ranks[rows]
        # All that tie with the mate stand before it.
        tied = np.flatnonzero(others)
        tied = tied[scores[tied] == self.mate_scores[at[group[tied]]]]
        behind = tied[ranks[tied] > self.mate_ranks[at[group[tied]]]]
        np.add.at(self.mate_ranks, at[group[behind]], 1)

    def _note(self, kind: str, rows: NDArray[Any], block: ListBlock) -> None:
        if not len(rows):
            return
        self.odd[kind] = self.odd.get(kind, 0) + len(rows)
        named = self.named.setdefault(kind, [])
        for row in rows[: NAMED - len(named)].tolist():
            text = name_of(block.probes[row])
            if kind == "reference":
                text = f"{text}: {name_of(block.references[row])}"
            named.append(f"line {block.lines[row]}: {text}")

    def refuse(self, *, whole: bool = True) -> None:
        """Raise ScoresRefused if anything does not fit; unless the `whole` file was read, more may be wrong."""
        texts = []
        for kind, count in self.odd.items():
            more = f" and {count - len(self.named[kind]):,} more" if count > len(self.named[kind]) else ""
            texts.append(f"{count:,} × {_KINDS[kind]} ({', '.join(self.named[kind])}{more})")
        missing = np.flatnonzero(~self.seen & whole)
        if len(missing):
            names = ", ".join(name_of(place) for place in self.probes[missing[:NAMED]])
            more = f" and {len(missing) - NAMED:,} more" if len(missing) > NAMED else ""
            texts.append(
                f"{len(missing):,} probes have no list ({names}{more}): a search that returned nobody has one row with "
                "its probe alone"
            )
        if texts:
            raise ScoresRefused(f"{self.what} do not fit the set: " + "; ".join(texts))


def read_candidates(
    file: BinaryIO,
    probes: Places,
    gallery: Places,
    *,
    what: str = "the candidate lists",
    numbered: Places | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> Searched:
    """Read lists for all `probes` [P] searched in a `gallery` [R], both ascending.

    `numbered` are all samples in the set's order, by which the layout `frte` numbers them; None: no number is known.

    Raises ScoresRefused, with counts and the first ten of each kind; Cancelled when told to stop.
    """
    return gather_lists(read_list_blocks(file, numbered), probes, gallery, what=what, should_cancel=should_cancel)


def gather_lists(
    blocks: Iterable[ListBlock],
    probes: Places,
    gallery: Places,
    *,
    what: str,
    should_cancel: Callable[[], bool] = lambda: False,
) -> Searched:
    """As `read_candidates`, from the blocks of a file, wherever it was read."""
    lists = _Lists(probes=probes, gallery=gallery, what=what)
    held: ListBlock | None = None
    for block in blocks:
        if should_cancel():
            raise Cancelled("the evaluation was called off")
        if not len(block):
            continue
        found = block if held is None else held.then(block)
        # The last list may go on in the next block.
        before = np.flatnonzero(found.probes != found.probes[-1])
        cut = int(before[-1]) + 1 if len(before) else 0
        held = found.take(slice(cut, None))
        if cut:
            lists.take(found.take(slice(cut)))
        if len(held) > len(gallery) + LONGEST_SPARE:
            lists.take(held)
            lists.refuse(whole=False)
    if held is not None:
        lists.take(held)
    lists.refuse()
    subjects = np.unique(gallery // SAMPLES)
    return Searched(
        probes=probes,
        has_mate=np.isin(probes // SAMPLES, subjects),
        mate_scores=lists.mate_scores,
        mate_ranks=lists.mate_ranks,
        best_others=lists.best_others,
        gallery=len(gallery),
        gallery_digest=hashlib.sha256(gallery.astype("<i8").tobytes()).hexdigest(),
        candidates=lists.candidates,
        lengths=lists.lengths,
        ties=tuple(lists.ties),
        tied=lists.tied,
    )


def _number(known: Places, wanted: Places) -> NDArray[np.int64]:
    """Where each of `wanted` is in `known`, ascending; −1 where it is not."""
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[at] == wanted, at, -1)


def gallery_of(names: Iterable[str]) -> Places:
    """Places of a gallery's references, ascending; raises ScoresRefused for a name that is none, or comes twice."""
    places = []
    for line, name in enumerate(names, 1):
        if (place := place_of(name)) == NOWHERE:
            raise ScoresRefused(f"{ascii(name)[:100]} is no sample's label", line)
        places.append(place)
    found = np.unique(np.array(places, np.int64))
    if len(found) != len(places):
        raise ScoresRefused("a reference stands twice in the gallery; leave each once")
    return found
