"""The model family `sdgan`: a network that learned to draw heads from latents that have a meaning."""

from pathlib import Path

from workers.generator.base import Family, Generator


def _load(folder: Path, device: str) -> Generator:
    from workers.generator.sdgan.generator import load_sdgan

    return load_sdgan(folder, device)


FAMILY = Family(kind="sdgan", drawing=1, load=_load)
