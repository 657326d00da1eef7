"""Which generators there are: the shipped models, and those in a folder of the operator's."""

from functools import lru_cache
from pathlib import Path

import structlog

from app.config import WorkerSettings
from app.dataset.model import ModelCard
from app.errors import Corrupt, Misconfigured
from workers.generator.base import Generator
from workers.generator.cards import read_card
from workers.generator.parametric import generator as parametric

log = structlog.get_logger()

SHIPPED = Path(__file__).parent / "models"

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
            if card.kind == parametric.KIND and (reason := parametric.why_unavailable()):
                log.warning("model_unavailable", model=card.name, reason=reason)
                continue
            folders[card.name] = path.parent
    return folders


def model_cards(settings: WorkerSettings) -> list[ModelCard]:
    """Cards of all models that can run here, without loading any."""
    return [_card(folder) for folder in model_folders(settings).values()]


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
    """Load a model, once a process; raises Misconfigured for one that cannot run here, Corrupt for a bad one."""
    folder = model_folders(settings).get(name)
    if folder is None:
        raise Misconfigured(f"model {name!r} cannot run on this worker; it has {', '.join(model_folders(settings))}")
    return _load(folder, settings.device)


@lru_cache(maxsize=4)
def _load(folder: Path, device: str) -> Generator:
    kind = read_card(folder).kind
    if kind == parametric.KIND:
        return parametric.load_parametric(folder)
    # torch is imported here, in the process that will use it, and never before a fork.
    from workers.generator.sdbegan import generator as sdbegan
    from workers.generator.sdgan import generator as sdgan

    if kind == sdgan.KIND:
        return sdgan.load_sdgan(folder, _torch_device(device))
    if kind == sdbegan.KIND:
        return sdbegan.load_sdbegan(folder, _torch_device(device))
    raise Corrupt(f"{folder / 'card.json'} has kind {kind!r}; this version knows parametric, sdgan and sdbegan")


def _torch_device(wanted: str) -> str:
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise Misconfigured("FACSIMILE_WORKER__DEVICE is cuda and torch finds no CUDA device; set it to auto or cpu")
    # One thread a process: a second process fills the second core better, and sums never depend on their number.
    torch.set_num_threads(1)
    # On a GPU the same sums every time, and no shortened mantissas: its pixels must be those of the CPU.
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def _card(folder: Path) -> ModelCard:
    card = read_card(folder)
    return parametric.parametric_card(folder) if card.kind == parametric.KIND else card
