"""The model family `progan`: ProGAN (Karras et al., 2018), for weights that a user imports."""

from pathlib import Path

from workers.generator.base import Family, Generator


def _load(folder: Path, device: str) -> Generator:
    from workers.generator.imported.generator import load_imported
    from workers.generator.progan.importer import architecture_of
    from workers.generator.progan.network import ProGan

    return load_imported(folder, FAMILY.card(folder), device, lambda values: ProGan(architecture_of(values)))


FAMILY = Family(kind="progan", drawing=1, load=_load)
