"""Rendering a corpus: every core draws parts; a part that is there is never drawn again."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from app.dataset.streams import Purpose, uniforms
from app.errors import FacsimileError, RequestRefused
from workers.generator import latents as lt
from workers.generator.draw import draw_identity, draw_observation
from workers.generator.parametric import FAMILY
from workers.generator.parametric.placement import landmarks as place_landmarks
from workers.generator.parametric.scans.heads import FILE as HEADS
from workers.generator.parametric.scans.heads import read_heads
from workers.generator.parametric.scene import load_scene
from workers.training.corpus.cycles import Blender, BlenderFailed, load_blender, trace
from workers.training.corpus.store import Columns, CorpusSpec, missing_parts, open_corpus, write_part
from workers.training.files import write_whole

SCALE_STREAM = 1_000_000
"""Attempt number of the stream that a sample's σ is drawn from; no sample is ever tried so often."""


class RenderFailed(FacsimileError):
    """A part could not be rendered; says which subject and sample."""


TRACING = 1
"""Version of the pictures by Cycles beyond the head itself. Raise it with every change to blender_scene, cycles,
exchange or surface that makes other pixels. A test holds what Blender is told to it; what Blender then does with it, in
blender_scene, can only be seen where Blender is."""


def drawing_version(renderer: str) -> str:
    """Which pictures `opengl` or `cycles` draws now, as a corpus says it; a comment in the code leaves it as it is."""
    head = f"{FAMILY.kind} {FAMILY.drawing}"
    return f"{head}, cycles {TRACING}" if renderer == "cycles" else head


def render_corpus(
    folder: Path,
    spec: CorpusSpec,
    *,
    processes: int,
    blender: Path | None = None,
    heads: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> None:
    """Render every part that is missing; `on_progress` gets parts done and in all.

    `blender` is the Python that has Blender, for a corpus by Cycles; `heads` the file of heads that `spec.heads` is the
    digest of, and is copied into a new corpus. Raises RenderFailed; whatever was
    finished stays, and a further call goes on from there.
    """
    if spec.layout != lt.CURRENT.version:
        wrong = f"a corpus of layout {spec.layout} cannot be rendered: this version draws layout {lt.CURRENT.version}"
        raise RequestRefused([("layout", wrong)])
    open_corpus(folder, spec)
    if heads is not None and not (folder / HEADS).exists():
        write_whole(folder / HEADS, heads.read_bytes())
    todo = iter(missing_parts(folder, spec))
    done = spec.parts - len(missing_parts(folder, spec))
    on_progress(done, spec.parts)
    # A fresh interpreter each: an OpenGL context does not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:
        running = {pool.submit(render_part, folder, spec, number, blender) for number in islice(todo, 2 * processes)}
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                if future.exception():
                    pool.shutdown(wait=False, cancel_futures=True)
                future.result()
                done += 1
                on_progress(done, spec.parts)
                number = None if should_cancel() else next(todo, None)
                if number is not None:
                    running.add(pool.submit(render_part, folder, spec, number, blender))


def render_part(folder: Path, spec: CorpusSpec, number: int, blender: Path | None = None) -> None:
    """Draw and write one part; `blender` as in `render_corpus`."""
    scene = load_scene()
    scans = None if spec.heads is None else read_heads(folder / HEADS, spec.heads)
    rows: list[tuple[Any, ...]] = []
    for subject in spec.part(number):
        identity = draw_identity(spec.seed, subject, 0, lt.CURRENT.identity)
        for sample in range(spec.samples_per_subject):
            observation = draw_observation(spec.seed, subject, sample, 0, _sigma(spec, subject, sample))
            try:
                if spec.renderer == "cycles":
                    noise = subject * spec.samples_per_subject + sample
                    head, placed = trace(_blender(spec, blender), scene, identity, observation, spec.size, noise, scans)
                else:
                    drawn = scene.draw(identity, observation, spec.size, spec.size, scans)
                    head, placed = np.concatenate([drawn.head, drawn.alpha[..., None]], -1), drawn.placed
                points = place_landmarks(scene.head, scene.regions, identity, observation, placed)
            except Exception as exc:
                raise RenderFailed(f"part {number}, subject {subject}, sample {sample}: {exc}") from exc
            pixels = np.rint(head.clip(0, 1) * 255).astype(np.uint8)
            rows.append((pixels, points, identity, observation, np.int32(subject)))
    heads, landmarks, identities, observations, subjects = (np.stack(column) for column in zip(*rows, strict=True))
    columns: Columns = {
        "head": heads,
        "landmarks": landmarks,
        "identity": identities,
        "observation": observations,
        "subject": subjects,
    }
    write_part(folder, number, columns)


def _end_with_parent() -> None:
    """Go when the process that hands out parts goes, however it does; an executor's workers would wait for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _blender(spec: CorpusSpec, python: Path | None) -> Blender:
    if python is None:
        raise BlenderFailed("a corpus by cycles needs the Python that has Blender")
    blender = load_blender(python)
    if blender.version != spec.blender:
        raise BlenderFailed(f"{python} has Blender {blender.version}, but the corpus is by {spec.blender}")
    return blender


def _sigma(spec: CorpusSpec, subject: int, sample: int) -> np.ndarray:
    low, high = spec.scale
    share = uniforms(spec.seed, Purpose.OBSERVATION, subject, sample, SCALE_STREAM, 1)[0]
    return np.full(lt.CURRENT.observation, low + (high - low) * share, np.float32)
