"""The model family `sdbegan`: the network of Donahue et al. (ICLR 2018), with weights that its authors published."""

from pathlib import Path

from workers.generator.base import Family, Generator


def _load(folder: Path, device: str) -> Generator:
    from workers.generator.sdbegan.generator import load_sdbegan

    return load_sdbegan(folder, device)


FAMILY = Family(kind="sdbegan", drawing=1, load=_load)
