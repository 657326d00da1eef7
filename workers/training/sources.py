"""Which kind of training data a folder holds."""

from pathlib import Path

from app.errors import Corrupt, RequestRefused
from workers.training.data import Corpus, Source
from workers.training.packing import PACKED
from workers.training.photographs import Photographs


def is_labelled(folder: Path) -> bool:
    """Whether a folder holds labelled renders; raises Corrupt for one that holds no training data."""
    if (folder / "corpus.json").exists():
        return True
    if (folder / PACKED).exists():
        return False
    raise Corrupt(f"{folder} holds neither a corpus of renders nor photographs that are packed to the end")


def open_source(folder: Path, *, begun: bool = False) -> Source:
    """Read training data into memory; `begun` as in Corpus. Raises Corrupt, RequestRefused."""
    if is_labelled(folder):
        return Corpus(folder, begun=begun)
    if begun:
        raise RequestRefused(
            [("begun", f"{folder} holds photographs, which are packed to the end first; leave it out")]
        )
    return Photographs(folder)
