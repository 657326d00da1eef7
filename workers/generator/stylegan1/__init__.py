"""The model family `stylegan1`: StyleGAN1 (Karras et al., 2019), for weights that a user imports."""

from pathlib import Path

from workers.generator.base import Family, Generator


def _load(folder: Path, device: str) -> Generator:
    from workers.generator.imported.generator import load_imported
    from workers.generator.stylegan1.importer import architecture_of
    from workers.generator.stylegan1.network import StyleGan1

    return load_imported(folder, FAMILY.card(folder), device, lambda values: StyleGan1(architecture_of(values)))


FAMILY = Family(kind="stylegan1", drawing=1, load=_load)
