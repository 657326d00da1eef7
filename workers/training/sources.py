"""Which kind of training data a folder holds."""

from pathlib import Path

from app.errors import Corrupt
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


def open_source(folder: Path) -> Source:
    """Read training data into memory; raises Corrupt."""
    return Corpus(folder) if is_labelled(folder) else Photographs(folder)
