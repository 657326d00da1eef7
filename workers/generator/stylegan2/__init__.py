"""The model family `stylegan2`: StyleGAN2 (Karras et al., 2020), for weights that a user imports."""

from pathlib import Path

from workers.generator.base import Family, Generator


def _load(folder: Path, device: str) -> Generator:
    from workers.generator.imported.generator import load_imported
    from workers.generator.stylegan2.importer import architecture_of
    from workers.generator.stylegan2.network import StyleGan2

    return load_imported(folder, FAMILY.card(folder), device, lambda values: StyleGan2(architecture_of(values)))


FAMILY = Family(kind="stylegan2", drawing=1, load=_load)
