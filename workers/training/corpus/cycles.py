"""Heads by Cycles, Blender's path tracer: soft shadows, light under the skin, hair that scatters. Slow and optional.

Blender lives in a Python of its own (`bpy` needs another numpy than ours). Each worker process starts one, and asks it
for one head after the other; see blender_scene for what they say to each other and exchange for the scenes. Samples and
seeds are fixed, but Cycles promises the same bytes only on the same kind of machine and of the same version: a corpus
says which version rendered it, and no other goes on with it.
"""

import atexit
import json
import select
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from app.errors import FacsimileError
from workers.generator.parametric.appearance import skin_tone
from workers.generator.parametric.develop import encode
from workers.generator.parametric.lighting import read_light
from workers.generator.parametric.placement import Placed, place_head
from workers.generator.parametric.scans.heads import ScanHeads
from workers.generator.parametric.scene import Scene
from workers.generator.parametric.shape import Latent
from workers.training.corpus.exchange import pack_scene

SCRIPT = Path(__file__).with_name("blender_scene.py")

SAMPLES = 8
"""Paths for each of the four that make a pixel; a denoiser does the rest."""

SUBJECTS_PER_PART = 4
"""A part takes minutes, so less of them is lost where a run is broken off."""

START_TIMEOUT_S = 120.0
HEAD_TIMEOUT_S = 900.0

INSTALL = "python3.11 -m venv blender && blender/bin/pip install bpy==5.0.1 'numpy<2'; --blender blender/bin/python"


class BlenderFailed(FacsimileError):
    """Blender is not there, died, hung or could not render; says what it said last."""


class Blender:
    """One running Blender."""

    def __init__(self, python: Path, script: Path, *, timeout_s: float = HEAD_TIMEOUT_S) -> None:
        """Start it; raises BlenderFailed."""
        self._timeout_s = timeout_s
        self._folder = Path(tempfile.mkdtemp(prefix="facsimile-cycles-"))
        self._log = self._folder / "log.txt"
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603  (a program that the user named)
                    # Isolated: neither our packages nor this folder, whose names are some of Blender's own, are its.
                    [str(python), "-I", str(script), str(self._folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                )
        except OSError as exc:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise BlenderFailed(f"{python} cannot be started ({exc}); get Blender with: {INSTALL}") from exc
        self._requests: IO[bytes] = self._process.stdin  # type: ignore[assignment]  # pipes, as asked
        self._answers: IO[bytes] = self._process.stdout  # type: ignore[assignment]
        try:
            self.version = self._answer("blender", min(START_TIMEOUT_S, timeout_s))
        except BlenderFailed as exc:
            if "No module named 'bpy'" in str(exc):
                raise BlenderFailed(f"{python} has no bpy; get it with: {INSTALL}") from exc
            raise

    def render(self, scene: dict[str, Any]) -> NDArray[np.float32]:
        """Trace a scene: float32 [H, W, 4], linear light multiplied by alpha, and alpha; raises BlenderFailed."""
        asked, made = self._folder / "scene.npz", self._folder / "image.npy"
        np.savez(asked, **scene)
        try:
            self._requests.write(json.dumps({"scene": str(asked), "image": str(made)}).encode() + b"\n")
        except BrokenPipeError:
            self._fail("ended")
        self._answer("image", self._timeout_s)
        return np.asarray(np.load(made, allow_pickle=False), np.float32)

    @property
    def closed(self) -> bool:
        """Whether it is at its end, by `close` or by a failure."""
        return self._requests.closed

    def close(self) -> None:
        """End it and remove its files; does no harm twice."""
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._answers.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answer(self, key: str, timeout_s: float) -> str:
        ready, _, _ = select.select([self._answers], [], [], timeout_s)
        if not ready:
            self._fail(f"did not answer within {timeout_s:g} s")
        line = self._answers.readline()
        if not line:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._fail(f"ended with {self._process.returncode}")
        try:
            return str(json.loads(line)[key])
        except (ValueError, KeyError, TypeError):
            self._fail(f"answered {line[:200]!r}")

    def _fail(self, what: str) -> NoReturn:
        said = self._log.read_text(errors="replace").strip().splitlines()[-3:]
        self.close()
        raise BlenderFailed(f"Blender {what}; it said last: {' / '.join(said) or 'nothing'}")


def load_blender(python: Path) -> Blender:
    """The Blender of this process; raises BlenderFailed."""
    if _start(python).closed:
        _start.cache_clear()
    return _start(python)


@lru_cache(maxsize=1)
def _start(python: Path) -> Blender:
    blender = Blender(python, SCRIPT)
    atexit.register(blender.close)
    return blender


def blender_version(python: Path) -> str:
    """Which Blender an interpreter has; raises BlenderFailed."""
    blender = Blender(python, SCRIPT)
    blender.close()
    return blender.version


def trace(
    blender: Blender,
    scene: Scene,
    identity: Latent,
    observation: Latent,
    size: int,
    seed: int,
    scans: ScanHeads | None = None,
) -> tuple[NDArray[np.float32], Placed]:
    """One head, encoded light multiplied by alpha, and alpha, [H, W, 4]; and where it lies."""
    placed = place_head(scene.head, scene.regions, identity, observation, size, size, scans)
    packed = pack_scene(
        scene.pieces(identity, observation, placed, all_round=True),
        placed=placed,
        light=read_light(observation, skin_tone(identity)),
        width=size,
        height=size,
        samples=SAMPLES,
        seed=seed,
    )
    return develop(blender.render(packed)), placed


def develop(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear light, encoded as the shaders encode it; both multiplied by alpha."""
    alpha = image[..., 3:].clip(0, 1)
    light = np.maximum(image[..., :3] / np.maximum(alpha, 1e-4), 0)
    return np.concatenate([encode(light) * alpha, alpha], -1)
