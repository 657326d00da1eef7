"""What StyleGAN2-ADA-PyTorch and StyleGAN3 files have in common: their keywords and their modules' attributes."""

from collections.abc import Collection, Mapping
from typing import Any

from workers.generator.imported.checks import MOST_WIDTH, check_whole
from workers.generator.imported.taking import Keywords
from workers.generator.reading.refusals import FileRefused, shown

ACTIVATIONS = ("lrelu", "linear")


def mapping_of(root: Keywords) -> tuple[int, int, int, int, tuple[int, ...]]:
    """Latents, labels, width of w, width of the embedded label, and the mapping's layers; raises FileRefused."""
    inner = root.values.get("mapping_kwargs", {})
    if not isinstance(inner, dict):
        raise FileRefused("mapping_kwargs are not a dict")
    own = Keywords(inner, frozenset({"w_avg_beta"}))
    own.only("activation", *ACTIVATIONS[:1])
    if own.number("lr_multiplier", 0.01) != 0.01:
        raise FileRefused("lr_multiplier of the mapping is not 0.01")
    try:
        latent = check_whole("z_dim", root.get("z_dim"), 1, MOST_WIDTH)
        labels = check_whole("c_dim", root.get("c_dim", 0), 0, MOST_WIDTH)
        width = check_whole("w_dim", root.get("w_dim"), 1, MOST_WIDTH)
        layers = check_whole("num_layers", own.get("num_layers", 8), 1, 32)
        embedding = own.get("embed_features")
        embedding = width if embedding is None else check_whole("embed_features", embedding, 1, MOST_WIDTH)
        between = own.get("layer_features")
        between = width if between is None else check_whole("layer_features", between, 1, MOST_WIDTH)
    except ValueError as exc:
        raise FileRefused(str(exc)) from exc
    own.finish()
    return latent, labels, width, embedding if labels else 0, (*[between] * (layers - 1), width)


def check_modules(modules: Mapping[str, Any], classes: Collection[str]) -> None:
    """Raise FileRefused for a module of a class, or with an attribute, that the arithmetic here does not have."""
    if missing := [name for name in ("mapping", "synthesis") if name not in modules]:
        raise FileRefused("weights are missing ({})".format(", ".join(f"no `{name}`" for name in missing)))
    for path, facts in modules.items():
        if facts.get("class") not in classes:
            raise FileRefused(f"class `{shown(facts.get('class'))}` of `{shown(path)}` is not known")
        if facts.get("activation", "lrelu") not in ACTIVATIONS:
            raise FileRefused(f"activation `{shown(facts['activation'])}` is not known ({', '.join(ACTIVATIONS)})")
        if facts.get("use_noise", True) is not True:
            raise FileRefused(f"use_noise of `{shown(path)}` is not True")


def number_or_none(root: Keywords, name: str, default: float | None) -> float | None:
    """A number above nought, or None; raises FileRefused."""
    if root.get(name, default) is None:
        return None
    value = root.number(name, default or 0.0)
    if value <= 0:
        raise FileRefused(f"{name} {value} is not a number above 0")
    return float(value)
