"""The comparisons that a dataset lists: which pairs of samples there are, and where in the list a pair stands.

Legend: R references, P probes, n comparisons, M of them mated. A *cell* is where a comparison is kept: of a list that
fills much of the table of references and probes it is the place in that table, of a sparse one the rank of its key.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.dataset.comparisons import ComparisonsFile
from app.errors import Corrupt
from workers.biometrics.errors import ScoresRefused
from workers.verdict.blocks import SAMPLES, Block, Places
from workers.verdict.score_rows import read_csv

Cells = NDArray[np.int64]

ABSENT = 0
"""State of a cell without a comparison."""
NON_MATED = 1
MATED = 2
SEEN = 4
"""Added to the state of a comparison that a file has given."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Listed:
    """A dataset's comparisons."""

    references: Places
    """[R] ascending."""
    probes: Places
    """[P] ascending."""
    keys: Cells | None
    """[n] ascending, reference number · P + probe number; None if there is a cell for every pair."""
    states: NDArray[np.uint8]
    """[cells] ABSENT, NON_MATED or MATED."""

    @cached_property
    def mated_cells(self) -> Cells:
        """[M] ascending."""
        return np.flatnonzero(self.states == MATED)

    @cached_property
    def count(self) -> int:
        """n."""
        return int(np.count_nonzero(self.states))

    @property
    def non_mated(self) -> int:
        """How many are not mated."""
        return self.count - len(self.mated_cells)

    @cached_property
    def subjects(self) -> NDArray[np.int64]:
        """[S] numbers of all subjects on either side, ascending; a subject's code is its index here."""
        return np.unique(np.concatenate([self.references, self.probes]) // SAMPLES)

    @cached_property
    def mated_subjects(self) -> NDArray[np.int64]:
        """[M] codes."""
        references, _ = self.pairs_at(self.mated_cells)
        return self.codes_of(references)

    def codes_of(self, places: Places) -> NDArray[np.int64]:
        """Subjects' codes of places that are in the list."""
        return np.searchsorted(self.subjects, places // SAMPLES).astype(np.int64)

    def cells_of(self, references: Places, probes: Places) -> Cells:
        """Cells of pairs; −1 for a pair that is not listed."""
        left, right = _number(self.references, references), _number(self.probes, probes)
        outside = (left < 0) | (right < 0)
        cells = left * len(self.probes) + right
        if self.keys is not None:
            cells = _number(self.keys, cells)
            outside |= cells < 0
        cells[outside] = 0
        outside |= self.states[cells] == ABSENT
        cells[outside] = -1
        return cells

    def pairs_at(self, cells: Cells) -> tuple[Places, Places]:
        """The places of cells' references and probes."""
        keys = cells if self.keys is None else self.keys[cells]
        left, right = np.divmod(keys, len(self.probes))
        return self.references[left], self.probes[right]


def _number(known: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of `wanted` is in `known`, ascending; −1 where it is not."""
    at = np.searchsorted(known, wanted)
    at[at == len(known)] = 0
    at[known[at] != wanted] = -1
    return at


def read_comparisons(file: ComparisonsFile) -> Listed:
    """Number comparisons.csv; it is read twice, so that memory is one byte a comparison where most pairs are compared.

    Raises Corrupt if this is no list of comparisons as a dataset has it.
    """
    try:
        return list_blocks(lambda: read_csv(file.chunks(), "mated"))
    except ScoresRefused as exc:
        raise Corrupt(f"comparisons.csv cannot be read: {exc}") from exc


def list_blocks(open_blocks: Callable[[], Iterator[Block]]) -> Listed:
    """As `read_comparisons`, from blocks whose values say whether a comparison is mated (1) or not (0)."""
    references = probes = np.zeros(0, np.int64)
    count = 0
    for block in open_blocks():
        _check(block)
        references, probes = (
            np.unique(np.concatenate([known, new]))
            for known, new in ((references, block.references), (probes, block.probes))
        )
        count += len(block.values)
    if not count:
        raise Corrupt("comparisons.csv lists no comparison; this dataset was made with comparisons.selection 'none'")
    numbered = (
        (
            np.searchsorted(references, block.references) * len(probes) + np.searchsorted(probes, block.probes),
            np.where(block.values == 1, MATED, NON_MATED).astype(np.uint8),
        )
        for block in open_blocks()
    )
    if len(references) * len(probes) <= 9 * count:
        states = np.zeros(len(references) * len(probes), np.uint8)
        for cells, kinds in numbered:
            states[cells] = kinds
        found = Listed(references=references, probes=probes, keys=None, states=states)
    else:
        keys, kinds_of = np.empty(count, np.int64), np.empty(count, np.uint8)
        at = 0
        for cells, kinds in numbered:
            keys[at : at + len(cells)], kinds_of[at : at + len(cells)] = cells, kinds
            at += len(cells)
        order = np.argsort(keys)
        keys = keys[order]
        if (np.diff(keys) == 0).any():
            raise Corrupt("comparisons.csv lists a comparison twice; fetch the dataset anew")
        found = Listed(references=references, probes=probes, keys=keys, states=kinds_of[order])
    if found.count != count:
        raise Corrupt("comparisons.csv lists a comparison twice; fetch the dataset anew")
    return found


def _check(block: Block) -> None:
    for places in (block.references, block.probes):
        if (nowhere := np.flatnonzero(places < 0)).size:
            names = block.names(int(nowhere[0]))
            raise Corrupt(f"comparisons.csv, line {block.first + nowhere[0]}: {names} are no samples of a dataset")
    mated = block.references // SAMPLES == block.probes // SAMPLES
    if (wrong := np.flatnonzero(mated != (block.values == 1))).size:
        names = block.names(int(wrong[0]))
        raise Corrupt(f"comparisons.csv, line {block.first + wrong[0]}: {names} are said to be mated, or not, wrongly")
