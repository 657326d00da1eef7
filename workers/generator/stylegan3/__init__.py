"""The model family `stylegan3`: StyleGAN3, T and R (Karras et al., 2021), for weights that a user imports."""

from pathlib import Path

from workers.generator.base import Family, Generator


def _load(folder: Path, device: str) -> Generator:
    from workers.generator.imported.generator import load_imported
    from workers.generator.stylegan3.importer import architecture_of
    from workers.generator.stylegan3.network import StyleGan3

    return load_imported(folder, FAMILY.card(folder), device, lambda values: StyleGan3(architecture_of(values)))


FAMILY = Family(kind="stylegan3", drawing=1, load=_load)
