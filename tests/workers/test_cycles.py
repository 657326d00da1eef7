"""Heads by Cycles: what Blender is told, what it answers, and what happens when it does not."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from app.errors import FacsimileError, RequestRefused
from workers.commands.train import train as commands
from workers.generator import latents as lt
from workers.generator.draw import draw_identity, draw_observation
from workers.generator.parametric import shaders
from workers.generator.parametric.lighting import read_light
from workers.generator.parametric.placement import place_head
from workers.generator.parametric.scene import Scene, load_scene
from workers.training.corpus import cycles, render, surface
from workers.training.corpus.cycles import Blender, BlenderFailed, blender_version, develop, trace
from workers.training.corpus.exchange import pack_scene
from workers.training.corpus.store import CorpusSpec, corpus_digest, missing_parts, open_corpus, part_path, read_part

OURS = Path(sys.executable)
VARIABLE = "FACSIMILE_BLENDER"
GOLDEN = Path(__file__).parents[1] / "generator" / "golden" / "cycles.json"

STAND_IN = """
import json, os, sys, time
import numpy as np
def say(**words): os.write(1, json.dumps(words).encode() + b"\\n")
def dies(): sys.stderr.write("noise\\nout of paint\\n"); sys.exit(3)
say(blender="0.0.1")
for number, line in enumerate(sys.stdin):
    request = json.loads(line)
    with np.load(request["scene"], allow_pickle=False) as scene:
        size = int(scene["width"])
    {instead}
    np.save(request["image"], np.full((size, size, 4), 0.5, np.float32))
    say(image=request["image"])
"""


def stand_in(folder: Path, instead: str = "pass") -> Path:
    """A script that speaks as Blender does and answers with grey; `instead` is what it does first."""
    path = folder / "stand_in.py"
    path.write_text(STAND_IN.replace("{instead}", instead))
    return path


def told(scene: Scene, subject: int = 3, size: int = 32) -> dict[str, Any]:
    """What Blender is told of a head."""
    who = draw_identity(7, subject, 0, lt.IDENTITY)
    how = draw_observation(7, subject, 0, 0, np.full(lt.OBSERVATION, 0.5, np.float32))
    placed = place_head(scene.head, scene.regions, who, how, size, size)
    pieces = scene.pieces(who, how, placed, all_round=True)
    return pack_scene(pieces, placed=placed, light=read_light(how), width=size, height=size, samples=2, seed=1)


@pytest.fixture(scope="module")
def scene(renderer: Any) -> Scene:
    return load_scene()


@pytest.fixture
def no_blender_left() -> Iterator[None]:
    cycles._start.cache_clear()
    yield
    if cycles._start.cache_info().currsize:
        cycles._start(OURS).close()
        cycles._start.cache_clear()


class TestSpec:
    """A corpus says what rendered it."""

    def test_a_corpus_from_before_has_the_digest_that_it_had(self, tmp_path: Path) -> None:
        before = {
            "schema_version": 2,
            "seed": 5,
            "subjects": 1,
            "samples_per_subject": 2,
            "size": 16,
            "scale": [0.2, 1.6],
            "subjects_per_part": 64,
        }
        (tmp_path / "corpus.json").write_text(json.dumps(before, indent=1))
        part_path(tmp_path, 0).write_bytes(b"part")
        total = hashlib.sha256(json.dumps(before, sort_keys=True).encode())
        total.update(hashlib.sha256(b"part").digest())
        assert corpus_digest(tmp_path) == total.hexdigest()
        again = CorpusSpec(seed=5, subjects=1, samples_per_subject=2, size=16, layout=lt.FIRST.version)
        open_corpus(tmp_path, again)
        assert json.loads(again.model_dump_json()) == before

    def test_another_blender_does_not_go_on_with_a_corpus(self, tmp_path: Path) -> None:
        spec = CorpusSpec(subjects=1, renderer="cycles", blender="5.0.1")
        open_corpus(tmp_path, spec)
        open_corpus(tmp_path, spec)
        written = json.loads((tmp_path / "corpus.json").read_text())
        assert (written["renderer"], written["blender"]) == ("cycles", "5.0.1")
        for other in (spec.model_copy(update={"blender": "5.0.2"}), CorpusSpec(subjects=1)):
            with pytest.raises(RequestRefused, match="holds another corpus"):
                open_corpus(tmp_path, other)

    @pytest.mark.parametrize("given", [{"renderer": "cycles"}, {"blender": "5.0.1"}])
    def test_cycles_and_its_version_go_together(self, given: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match="names the version of its Blender"):
            CorpusSpec(subjects=1, **given)


class TestExchange:
    """Pieces as plain arrays."""

    def test_a_scene_is_numbers_and_names_alone(self, scene: Scene, tmp_path: Path) -> None:
        packed = told(scene)
        np.savez(tmp_path / "scene.npz", **packed)
        with np.load(tmp_path / "scene.npz", allow_pickle=False) as file:
            read = dict(file)
        kinds = [str(read[f"{number}.material"]) for number in range(int(read["pieces"]))]
        assert set(kinds) == {"skin", "coated", "cap", "hair"}
        for number, kind in enumerate(kinds):
            points = read[f"{number}.position"]
            assert np.isfinite(points).all()
            if kind == "hair":
                sizes = read[f"{number}.sizes"]
                assert sizes.sum() == len(points) == len(read[f"{number}.radius"])
                assert read[f"{number}.colour"].shape == (len(sizes), 3)
            else:
                assert read[f"{number}.triangles"].max() == len(points) - 1
                assert read[f"{number}.colour"].shape == read[f"{number}.normal"].shape == points.shape
                assert np.abs(np.linalg.norm(read[f"{number}.normal"], axis=1) - 1).max() <= 1e-3

    def test_what_blender_is_told_is_what_this_version_told_before(self, scene: Scene) -> None:
        """Size, mean and deviation of every array: rounding moves them little, another scene moves them much."""
        found = {
            name: [int(value.size), round(float(value.mean()), 5), round(float(value.std()), 5)]
            for name, value in ((name, np.asarray(value)) for name, value in told(scene).items())
            if value.dtype.kind in "fiu"
        }
        drawing = render.drawing_version("cycles")
        if os.environ.get("FACSIMILE_RENEW_GOLDEN") in ("cycles", "all"):
            GOLDEN.write_text(json.dumps({"drawing": drawing, "figures": found}, indent=1) + "\n")
        kept = json.loads(GOLDEN.read_text())
        renew = f"then FACSIMILE_RENEW_GOLDEN=cycles python -m pytest {Path(__file__).name} writes the new figures"
        assert kept["drawing"] == drawing, f"the figures kept are of {kept['drawing']}: look at what changed, {renew}"
        assert kept["figures"].keys() == found.keys(), f"raise TRACING in render.py, {renew}"
        for name, figures in found.items():
            said = f"{name} changed: raise TRACING in render.py (or parametric's drawing), {renew}"
            assert figures == pytest.approx(kept["figures"][name], rel=1e-3, abs=1e-4), said

    def test_hairs_stay_with_the_lock_that_they_stand_for(self, scene: Scene) -> None:
        who, how = np.zeros(lt.IDENTITY, np.float32), np.zeros(lt.OBSERVATION, np.float32)
        placed = place_head(scene.head, scene.regions, who, how, 32, 32)
        pieces = [piece for piece in scene.pieces(who, how, placed) if piece.seen]
        packed = pack_scene(pieces, placed=placed, light=read_light(how), width=32, height=32, samples=1, seed=0)
        for number, piece in enumerate(pieces):
            if piece.material == shaders.STRAND:
                hairs, ribbon = packed[f"{number}.position"], piece.table[:, 0:3]
                assert (hairs.min(0) > ribbon.min(0) - 0.06).all()
                assert (hairs.max(0) < ribbon.max(0) + 0.06).all()

    def test_all_round_a_head_is_closed_behind(self, scene: Scene) -> None:
        packed = told(scene)
        skin = next(n for n in range(packed["pieces"]) if packed[f"{n}.material"] == "skin")
        assert len(packed[f"{skin}.triangles"]) == 8 * len(scene.skin.faces)

    def test_the_noise_is_the_shaders(self) -> None:
        def by_hand(x: int, y: int, z: int) -> float:
            mixed = (x * 1597334673 ^ y * 3812015801 ^ z * 2798796415) % 2**32
            mixed = mixed * 1597334673 % 2**32
            return ((mixed ^ mixed >> 15) >> 8) / 2**24

        corners = np.array([[0, 0, 0], [3, -7, 12], [-1, -1, 40]], float)
        expected = [by_hand(*(int(x) for x in corner)) for corner in corners]
        assert surface.noise(corners) == pytest.approx(expected)
        between = surface.noise(np.array([[0.5, 0, 0]]))
        assert between == pytest.approx([(by_hand(0, 0, 0) + by_hand(1, 0, 0)) / 2])

    def test_light_is_shown_over_nothing(self) -> None:
        image = np.array([[[0.2, 0.2, 0.2, 1], [0.1, 0.1, 0.1, 0.5], [0, 0, 0, 0], [90, 90, 90, 1]]], np.float32)
        shown = develop(image)[0]
        assert shown[1] == pytest.approx(shown[0] / 2)
        assert shown[2] == pytest.approx(np.zeros(4))
        assert shown[3] == pytest.approx(np.ones(4))


class TestProcess:
    """One Blender after another."""

    def test_it_renders_one_head_after_the_other(self, tmp_path: Path) -> None:
        blender = Blender(OURS, stand_in(tmp_path))
        assert blender.version == "0.0.1"
        for size in (4, 6):
            assert (blender.render({"width": size}) == np.full((size, size, 4), 0.5)).all()
        folder = blender._folder
        blender.close()
        blender.close()
        assert blender.closed
        assert not folder.exists()

    @pytest.mark.parametrize(
        ("instead", "said"),
        [
            ("dies()", "ended with 3; it said last: noise / out of paint"),
            ("os.kill(os.getpid(), 9)", "ended with -9; it said last: nothing"),
            ("os.write(1, b'Saved: picture\\n')", "answered b'Saved: picture"),
            ("time.sleep(600)", "did not answer within 5 s"),
        ],
    )
    def test_what_goes_wrong_is_told(self, tmp_path: Path, instead: str, said: str) -> None:
        blender = Blender(OURS, stand_in(tmp_path, instead), timeout_s=5)
        with pytest.raises(BlenderFailed) as caught:
            blender.render({"width": 4})
        assert said in str(caught.value)
        assert blender.closed
        assert not blender._folder.exists()

    def test_one_that_is_not_there_says_how_to_get_it(self, tmp_path: Path) -> None:
        with pytest.raises(BlenderFailed, match=r"cannot be started.*pip install bpy==5\.0\.1"):
            blender_version(tmp_path / "no-python")
        without = tmp_path / "without.py"
        without.write_text("import bpy")
        if subprocess.run([OURS, "-I", without], capture_output=True, check=False).returncode == 0:
            pytest.skip("this interpreter has bpy")
        with pytest.raises(BlenderFailed, match=r"has no bpy; get it with: python3\.11 -m venv"):
            blender_version(OURS)


@pytest.mark.usefixtures("no_blender_left")
class TestCorpus:
    """The command and its parts."""

    SPEC = CorpusSpec(
        seed=5, subjects=2, samples_per_subject=2, size=16, subjects_per_part=1, renderer="cycles", blender="0.0.1"
    )

    def test_a_part_has_the_labels_that_opengls_has(
        self, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cycles, "SCRIPT", stand_in(tmp_path))
        by_opengl = CorpusSpec(seed=5, subjects=2, samples_per_subject=2, size=16, subjects_per_part=1)
        parts = []
        for name, spec in (("cycles", self.SPEC), ("opengl", by_opengl)):
            open_corpus(tmp_path / name, spec)
            render.render_part(tmp_path / name, spec, 1, OURS)
            parts.append(read_part(tmp_path / name, 1))
        traced, drawn = parts
        for column in ("landmarks", "identity", "observation", "subject"):
            assert (traced[column] == drawn[column]).all()
        assert traced["head"].shape == drawn["head"].shape
        assert (traced["head"][..., 3] == 128).all()
        assert missing_parts(tmp_path / "cycles", self.SPEC) == [0]

    def test_a_failure_names_subject_and_sample_and_a_further_call_goes_on(
        self, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cycles, "SCRIPT", stand_in(tmp_path, "if number == 1: dies()"))
        open_corpus(tmp_path / "corpus", self.SPEC)
        with pytest.raises(render.RenderFailed, match=r"part 1, subject 1, sample 1: Blender ended.*out of pa"):
            render.render_part(tmp_path / "corpus", self.SPEC, 1, OURS)
        assert missing_parts(tmp_path / "corpus", self.SPEC) == [0, 1]
        stand_in(tmp_path)
        render.render_part(tmp_path / "corpus", self.SPEC, 1, OURS)
        assert missing_parts(tmp_path / "corpus", self.SPEC) == [0]

    def test_another_version_renders_no_part(
        self, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cycles, "SCRIPT", stand_in(tmp_path))
        other = self.SPEC.model_copy(update={"blender": "5.0.1"})
        with pytest.raises(render.RenderFailed, match=r"has Blender 0\.0\.1, but the corpus is by 5\.0\.1"):
            render.render_part(tmp_path, other, 0, OURS)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--renderer", "cycles"), "pip install bpy==5.0.1"),
            (("--blender", "python"), "only --renderer cycles needs it"),
            (("--renderer", "cycles", "--blender", "/no/python"), "cannot be started"),
        ],
    )
    def test_the_command_refuses_before_it_begins(self, tmp_path: Path, arguments: Any, said: str) -> None:
        with pytest.raises(FacsimileError, match=said):
            CliRunner().invoke(commands, ["corpus", str(tmp_path / "c"), *arguments], catch_exceptions=False)
        assert not (tmp_path / "c").exists()


@pytest.fixture(scope="module")
def blender() -> Iterator[Blender]:
    if VARIABLE not in os.environ:
        pytest.skip(f"{VARIABLE} does not name a Python in which bpy is installed")
    running = Blender(Path(os.environ[VARIABLE]), cycles.SCRIPT)
    yield running
    running.close()


class TestBlender:
    """The real one, where there is one."""

    def test_a_head_lies_where_opengl_draws_it(
        self, blender: Blender, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cycles, "SAMPLES", 2)
        who = draw_identity(7, 2, 0, lt.IDENTITY)
        how = draw_observation(7, 2, 0, 0, np.full(lt.OBSERVATION, 0.7, np.float32))
        drawn = scene.draw(who, how, 64, 64)
        traced, placed = trace(blender, scene, who, how, 64, 1)
        assert (placed.projection == drawn.placed.projection).all()
        ours, theirs = traced[..., 3] > 0.5, drawn.alpha > 0.5
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.95
        assert (traced[..., :3] <= traced[..., 3:] + 1e-6).all(), "premultiplied"
        both = ours & theirs
        assert traced[both][:, :3].mean() == pytest.approx(drawn.head[both].mean(), rel=0.15)
        # Features lie at the same pixels: any shift makes the pictures less alike.
        face = np.s_[16:52, 16:48]
        flat = drawn.head.mean(2)

        def alike(right: int, down: int) -> float:
            moved = np.roll(traced[..., :3].mean(2), (down, right), (0, 1))
            return float(np.corrcoef(moved[face].ravel(), flat[face].ravel())[0, 1])

        assert alike(0, 0) > max(alike(*shift) for shift in ((2, 0), (-2, 0), (0, 2), (0, -2)))

    def test_the_same_scene_is_the_same_picture(self, blender: Blender, scene: Scene) -> None:
        packed = told(scene)
        first = blender.render(packed)
        other = blender.render(told(scene, subject=4))
        assert (blender.render(packed) == first).all()
        assert (other != first).any()

    def test_it_dies_with_whoever_started_it(self, blender: Blender, tmp_path: Path) -> None:
        program = (
            "import os, sys, time\nfrom pathlib import Path\nfrom workers.training.corpus import cycles\n"
            "b = cycles.Blender(Path(sys.argv[1]), cycles.SCRIPT)\n"
            "print(b._process.pid, b._folder, flush=True)\ntime.sleep(600)\n"
        )
        command = [sys.executable, "-c", program, os.environ[VARIABLE]]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            child, folder = parent.stdout.readline().split()
            parent.send_signal(signal.SIGKILL)
        for _ in range(300):
            if not Path("/proc", child).exists() or "Z" in Path("/proc", child, "stat").read_text():
                break
            time.sleep(0.1)
        else:
            pytest.fail("it lives on")
        assert not Path(folder).exists()
