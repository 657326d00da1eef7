"""Which generators there are: the shipped models, and those in a folder of the operator's."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import structlog

from app.config import WorkerSettings
from app.dataset.model import ModelCard
from app.errors import Corrupt, Misconfigured
from workers.generator import parametric, progan, sdbegan, sdgan, stylegan1, stylegan2, stylegan3
from workers.generator.base import Family, Generator
from workers.generator.cards import read_card

log = structlog.get_logger()

_PACKAGES = (parametric, sdgan, sdbegan, progan, stylegan1, stylegan2, stylegan3)

FAMILIES: Mapping[str, Family] = {package.FAMILY.kind: package.FAMILY for package in _PACKAGES}
"""Kind to family: to add one, write its package and name it here."""

SHIPPED = Path(__file__).parent / "models"

SWEEP = "sweep.png"
"""File in a model's folder: the same latents at one scale after another, where it was evaluated."""

DEFAULT_ORDER = ("parametric", "sdgan")
"""What `default` means where nobody says otherwise: the first of these that can run. The learned model comes first
as soon as its card's table passes."""


RESERVED = frozenset({"default", *DEFAULT_ORDER})
"""Names that no imported model may have: it would hide a shipped one, and be the default."""


def model_folders(settings: WorkerSettings) -> dict[str, Path]:
    """Model name to its folder, for every model that can run here; an operator's model hides a shipped one."""
    folders: dict[str, Path] = {}
    for root in (SHIPPED, *([Path(settings.models_dir)] if settings.models_dir else [])):
        if not root.is_dir():
            raise Misconfigured(f"FACSIMILE_WORKER__MODELS_DIR names {root}, which is not a folder")
        for path in sorted(root.glob("*/card.json")):
            card = read_card(path.parent)
            if card.name != path.parent.name:
                raise Corrupt(f"{path} calls the model {card.name!r}; its folder must have the same name")
            if reason := _why_unavailable(family_of(card, path.parent)):
                log.warning("model_unavailable", model=card.name, reason=reason)
                continue
            folders[card.name] = path.parent
    return folders


def model_card(folder: Path) -> ModelCard:
    """The card of a model's folder as this version's code draws it; raises Corrupt."""
    return family_of(read_card(folder), folder).card(folder)


def model_cards(settings: WorkerSettings) -> list[ModelCard]:
    """Cards of all models that can run here, without loading any."""
    return [model_card(folder) for folder in model_folders(settings).values()]


def default_model(settings: WorkerSettings) -> str:
    """Name of the model that `default` means; raises Misconfigured if it cannot run here."""
    names = model_folders(settings)
    for name in (settings.default_model,) if settings.default_model else DEFAULT_ORDER:
        if name in names:
            if reason := (read_card(names[name]).model_extra or {}).get("never_default"):
                raise Misconfigured(f"model {name!r} may not be the default: {reason}")
            return name
    raise Misconfigured(
        f"the default model {settings.default_model or ' or '.join(DEFAULT_ORDER)} cannot run here; "
        f"there are {', '.join(names) or 'none'}"
    )


def load_generator(name: str, settings: WorkerSettings) -> Generator:
    """Load a model into this process; raises Misconfigured for one that cannot run here, Corrupt for a bad one.

    A model that is a network imports torch and sets how it computes in this process (`start_torch`): so call this in
    the process that generates, never before a fork. Nothing is kept: whoever loads a model holds it.
    """
    folders = model_folders(settings)
    if name not in folders:
        raise Misconfigured(f"model {name!r} cannot run on this worker; it has {', '.join(folders)}")
    family = family_of(read_card(folders[name]), folders[name])
    if not family.uses_torch:
        return family.load(folders[name], "cpu")
    from workers.generator.network import start_torch

    return family.load(folders[name], start_torch(settings.device))


def family_of(card: ModelCard, folder: Path) -> Family:
    """The family whose kind a card in a folder names; raises Corrupt for one that this version does not know."""
    if card.kind not in FAMILIES:
        raise Corrupt(f"{folder / 'card.json'} has kind {card.kind!r}; this version knows {', '.join(FAMILIES)}")
    return FAMILIES[card.kind]


def _why_unavailable(family: Family) -> str | None:
    if family.uses_torch and find_spec("torch") is None:
        return "torch is not installed; see https://pytorch.org/get-started/locally for the build that fits"
    return family.why_unavailable()
