"""A family's drawing version is held to the pixels: other pixels need another version, other words do not.

In `golden` lie `FAMILY.png`, a sheet of what the family drew when its drawing version was last raised, and
`FAMILY.json`: that version, the digest of the sheet's pixels, the kind of machine that drew it. On that kind of machine
every pixel must be the same. Elsewhere another rasteriser or other vector instructions round otherwise: there the mean
over the sheet may be off by a level or two.

After a change that is meant to change pixels: raise `drawing` in the family's `__init__.py`, and

    FACSIMILE_RENEW_GOLDEN=FAMILY python -m pytest tests/generator/test_golden.py

writes the new sheet: look at it beside the old one.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.config import WorkerSettings
from workers.generator.base import Latents
from workers.generator.draw import draw_identity, draw_observation
from workers.generator.registry import FAMILIES, SHIPPED, load_generator, model_card
from workers.images import decode, encode_sheet, to_pixels

GOLDEN = Path(__file__).with_name("golden")
RENEW = "FACSIMILE_RENEW_GOLDEN"

ELSEWHERE = 2.0
"""Levels of 255 by which a picture's mean absolute difference may be off on another kind of machine."""

Sheet = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Golden:
    """What is kept of a family."""

    drawing: int
    sha256: str
    """Over the sheet's pixels."""
    machine: str
    """Kind of machine that drew it."""
    sheet: Sheet
    """[rows · side, columns · side, 3]"""


def as_sheet(pictures: Sheet, columns: int = 4) -> Sheet:
    """Lay pictures [N, H, W, 3], N a multiple of the columns, out in rows."""
    count, height, width, _ = pictures.shape
    rows = pictures.reshape(count // columns, columns, height, width, 3)
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(count // columns * height, columns * width, 3))


def sha256_of(sheet: Sheet) -> str:
    return hashlib.sha256(str(sheet.shape).encode() + sheet.tobytes()).hexdigest()


def machine_kind(drawer: str) -> str:
    """What decides the last bits: who draws (renderer or torch, with its version), and numpy with its instructions."""
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return f"{drawer}; numpy {np.__version__}; {' '.join(found)}"


def read_golden(family: str, folder: Path) -> Golden:
    kept = json.loads((folder / f"{family}.json").read_text())
    return Golden(**kept, sheet=decode((folder / f"{family}.png").read_bytes()))


def write_golden(family: str, drawing: int, sheet: Sheet, machine: str, folder: Path = GOLDEN) -> None:
    """Keep a sheet; refuses other pixels under a drawing version that is kept already, by the machine that drew it."""
    if (folder / f"{family}.json").exists():
        kept = read_golden(family, folder)
        if (kept.drawing, kept.machine) == (drawing, machine) and kept.sha256 != sha256_of(sheet):
            raise SystemExit(f"other pixels need another drawing version: raise it in workers/generator/{family}")
    (folder / f"{family}.png").write_bytes(encode_sheet(sheet, "algorithmicMedia"))
    about: dict[str, Any] = {"drawing": drawing, "sha256": sha256_of(sheet), "machine": machine}
    (folder / f"{family}.json").write_text(json.dumps(about, indent=1) + "\n")


def differences(family: str, drawing: int, sheet: Sheet, machine: str, folder: Path = GOLDEN) -> str | None:
    """What is wrong with what is drawn now, and what to do about it; None if nothing is."""
    kept = read_golden(family, folder)
    renew = f"{RENEW}={family} python -m pytest tests/generator/test_golden.py"
    if kept.drawing != drawing:
        return f"the golden pictures of {family} are of drawing {kept.drawing}, its code says {drawing}; run {renew}"
    if kept.sha256 != sha256_of(kept.sheet):
        return f"{family}.png and {family}.json are not of one sheet; run {renew}"
    if sheet.shape != kept.sheet.shape:
        return f"{family} draws a sheet {sheet.shape}, the golden one is {kept.sheet.shape}; run {renew}"
    off = np.abs(sheet.astype(np.int16) - kept.sheet)
    same = bool(off.max() == 0) if machine == kept.machine else bool(off.mean() <= ELSEWHERE)
    if same:
        return None
    return (
        f"{family} draws other pixels than drawing {drawing} did: {np.count_nonzero(off):,} values differ, by "
        f"{off.mean():.3f} of 255 on average and {off.max()} at the most ({machine}; golden: {kept.machine}). If that "
        f"is meant, raise `drawing` in workers/generator/{family}/__init__.py, then {renew}; if not, something that "
        "was to leave the pixels alone did not"
    )


SEED = 20_261_128
COUNT = 12


def strangers(identity: int, observation: int) -> tuple[Latents, Latents]:
    """z_I and z_O of twelve strangers: the first a calm portrait, σ rising to 2.2 at the last."""
    who = [draw_identity(SEED, subject, 0, identity) for subject in range(COUNT)]
    how = [
        draw_observation(SEED, subject, 0, 0, np.full(observation, 0.2 * subject, np.float32))
        for subject in range(COUNT)
    ]
    return np.stack(who), np.stack(how)


def shipped(name: str, size: int) -> tuple[Sheet, str]:
    """Sheet by a shipped model, and the kind of machine that drew it."""
    model = load_generator(name, WorkerSettings(device="cpu"))
    card = model.card
    pictures = to_pixels(model.generate(*strangers(card.latent.identity, card.latent.observation_size), size, size))
    return as_sheet(pictures), machine_kind(model.device if name == "parametric" else _torch())


def by_random_weights(folder: Path) -> tuple[Sheet, str]:
    """Sheet by a network of random weights: its authors' own are not ours to ship."""
    import torch

    from workers.generator.sdbegan.generator import FACTOR, Architecture, Decoder, load_sdbegan
    from workers.generator.weights import save_model

    architecture = Architecture(identity=12, observation=6, channels=16, resolution=32)
    torch.manual_seed(SEED)
    card = {
        "name": "random",
        "version": "1",
        "kind": "sdbegan",
        "description": "random weights",
        "sizes": [[32, 32]],
        "latent": {"identity": 12, "observation": {FACTOR: [0, 6]}},
        "licence": "none",
        "provenance": "none",
        "architecture": asdict(architecture),
    }
    network = Decoder(architecture)
    for value in network.parameters():
        torch.nn.init.normal_(value, std=2.5 / max(1, value[0].numel()) ** 0.5 if value.dim() > 1 else 0.1)
    save_model(folder, card, network.state_dict())
    model = load_sdbegan(folder, "cpu")
    return as_sheet(to_pixels(model.generate(*strangers(12, 6), 32, 32))), machine_kind(_torch())


def imported(kind: str) -> Callable[[Path], tuple[Sheet, str]]:
    """What draws a sheet by an imported network of random weights, along two directions and with noise of its own."""

    def draw(folder: Path) -> tuple[Sheet, str]:
        import torch

        from workers.generator.editing.directions import Direction, factors_of, save_directions
        from workers.generator.imported.model_folder import NETWORKS
        from workers.generator.progan.network import Architecture as ProGan
        from workers.generator.stylegan1.network import Architecture as StyleGan1
        from workers.generator.stylegan2.network import Architecture as StyleGan2
        from workers.generator.stylegan3.network import Architecture as StyleGan3
        from workers.generator.weights import save_model

        architecture: Any = {
            "progan": ProGan(latent=8, resolution=32, channels=(12, 10, 8, 6), fused=(False, True, True)),
            "stylegan1": StyleGan1(latent=8, mapping=(10, 8), resolution=32, channels=(12, 10, 8, 6)),
            "stylegan2": StyleGan2(
                latent=8, labels=0, embedding=0, mapping=(10, 8), resolution=32, channels=(12, 10, 8, 6)
            ),
            "stylegan3": StyleGan3(
                latent=8, labels=0, embedding=0, mapping=(8,), resolution=32, channel_base=256, channel_max=12, layers=6
            ),
        }[kind]
        network: Any = NETWORKS[kind](architecture)
        rng, state = np.random.default_rng(SEED), {}
        for name, value in network.state_dict().items():
            made = rng.standard_normal(tuple(value.shape)) * (0.3 if name.endswith("bias") else 1)
            if name.endswith("_filter"):
                made = np.hanning(len(made) + 2)[1:-1] / np.hanning(len(made) + 2).sum()
            if name.endswith("magnitude"):
                made = np.abs(made) + 0.5
            if name == "stack.6.weight":
                made = made * 12  # else the picture is grey
            state[name] = torch.tensor(made, dtype=torch.float32)
        space = "Z" if kind == "progan" else "W"
        axes = np.eye(8)
        directions = [
            Direction(name="a", factor="pose", space=space, normal=axes[0], unit=0.5, limit=1.5, centre=0.0),
            Direction(name="b", factor="residual", space=space, normal=axes[1], unit=0.5, limit=1.5),
        ]
        factors = factors_of(directions, noise=bool(network.noise_sizes))
        card = {
            "name": "random",
            "version": "1",
            "kind": kind,
            "description": "random weights",
            "sizes": [[32, 32]],
            "latent": {"identity": 8, "observation": factors},
            "licence": "none",
            "provenance": "none",
            "architecture": asdict(architecture),
            "directions": save_directions(folder, directions),
        }
        save_model(folder, card, state, torch.float32)
        model = FAMILIES[kind].load(folder, "cpu")
        pictures = model.generate(*strangers(8, max(stop for _, stop in factors.values())), 32, 32)
        return as_sheet(to_pixels(pictures)), machine_kind(_torch())

    return draw


def _torch() -> str:
    import torch

    return f"torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}"


SHEETS: dict[str, Callable[[Path], tuple[Sheet, str]]] = {
    "parametric": lambda _: shipped("parametric", 96),
    "sdgan": lambda _: shipped("sdgan", 64),
    "sdbegan": by_random_weights,
    **{kind: imported(kind) for kind in ("progan", "stylegan1", "stylegan2", "stylegan3")},
}
"""Family to what draws its golden sheet."""


@pytest.mark.parametrize("family", FAMILIES)
def test_a_drawing_version_is_a_promise_about_pixels(family: str, tmp_path: Path) -> None:
    if reason := FAMILIES[family].why_unavailable():
        pytest.skip(reason)
    assert family in SHEETS, (
        f"{family} has no golden sheet: say in SHEETS how it is drawn, then run with {RENEW}={family}"
    )
    sheet, machine = SHEETS[family](tmp_path)
    if os.environ.get(RENEW) in (family, "all"):
        write_golden(family, FAMILIES[family].drawing, sheet, machine)
    assert differences(family, FAMILIES[family].drawing, sheet, machine) is None


class TestComparing:
    """What counts as the same picture, and what is said where it is not."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        write_golden("sdgan", 3, self.sheet(), "here", tmp_path)
        return tmp_path

    @staticmethod
    def sheet() -> np.ndarray:
        return np.random.default_rng(0).integers(20, 200, (32, 64, 3), np.uint8)

    def test_one_level_of_one_pixel_is_another_picture_where_it_was_drawn(self, folder: Path) -> None:
        changed = self.sheet()
        changed[5, 6, 1] += 1
        assert differences("sdgan", 3, self.sheet(), "here", folder) is None
        said = differences("sdgan", 3, changed, "here", folder)
        assert said is not None
        assert "1 values differ" in said
        assert "raise `drawing` in workers/generator/sdgan/__init__.py" in said

    def test_another_machine_may_round_otherwise_but_not_draw_otherwise(self, folder: Path) -> None:
        assert differences("sdgan", 3, self.sheet() + 1, "there", folder) is None
        assert "draws other pixels" in str(differences("sdgan", 3, self.sheet() + 3, "there", folder))
        assert "draws a sheet" in str(differences("sdgan", 3, self.sheet()[:16], "there", folder))

    def test_a_new_version_wants_new_pictures_and_other_pictures_a_new_version(self, folder: Path) -> None:
        assert "golden pictures of sdgan are of drawing 3" in str(differences("sdgan", 4, self.sheet(), "here", folder))
        with pytest.raises(SystemExit, match="other pixels need another drawing version"):
            write_golden("sdgan", 3, self.sheet() + 1, "here", folder)
        write_golden("sdgan", 4, self.sheet() + 1, "here", folder)
        assert differences("sdgan", 4, self.sheet() + 1, "here", folder) is None


PINNED = {
    "parametric": "aeb369fc15356ec6937781cc76668835395ceab1892bce702c4169cd58002dc0",
    "sdgan": "5d6d0c958346fe05325c3f7360be2954216d1755b6a7f6aedff4200ac1d060c9",
}
"""Digests of the shipped models: what plans, calibrations and releases call them."""


@pytest.mark.parametrize("name", PINNED)
def test_a_shipped_model_keeps_its_digest(name: str) -> None:
    found = model_card(SHIPPED / name).digest
    assert found == PINNED[name], (
        f"plans under way and calibrations are pinned to {PINNED[name]}. If pixels, labels or checks changed, put "
        f"{found} here. If the model is still the same, add the digest pinned here to `formerly` in its card as well"
    )


def test_sheets_differ_in_what_they_are_of() -> None:
    assert sha256_of(np.zeros((2, 8, 3), np.uint8)) != sha256_of(np.zeros((8, 2, 3), np.uint8))
