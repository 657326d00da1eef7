"""The model family `parametric`: a head drawn from its latents (geometry, appearance, hair, light and camera)."""

from pathlib import Path

from workers.generator.base import Family, Generator


def _load(folder: Path, device: str) -> Generator:
    from workers.generator.parametric.generator import load_parametric

    return load_parametric(folder)


def _why_unavailable() -> str | None:
    from workers.generator.parametric.generator import why_unavailable

    return why_unavailable()


FAMILY = Family(kind="parametric", drawing=2, load=_load, uses_torch=False, why_unavailable=_why_unavailable)
