"""Both networks, renders of a few identities, and real faces for development where they are at hand."""

import os
import re
import tarfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config import WorkerSettings
from app.errors import Misconfigured
from workers.generator import latents as lt
from workers.generator.base import Generator
from workers.images import Pixels, decode, to_pixels
from workers.matchers.base import Matcher
from workers.matchers.registry import load_matcher

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def render(renderer: Generator) -> Callable[..., list[Pixels]]:
    """Draws samples of identities [N, d_I] with observations [N, d_O]."""

    def draw(who: Any, how: Any, size: int = 128) -> list[Pixels]:
        who, how = np.asarray(who, np.float32), np.asarray(how, np.float32)
        return list(to_pixels(renderer.generate(who, how, size, size)))

    return draw


@pytest.fixture(scope="session")
def pairs(render: Callable[..., list[Pixels]]) -> tuple[list[Pixels], list[Pixels]]:
    """Two samples each of 12 identities, at half the usual variability."""
    rng = np.random.default_rng(4)
    who = rng.standard_normal((12, lt.IDENTITY))
    how = 0.5 * rng.standard_normal((2, 12, lt.OBSERVATION))
    return render(who, how[0]), render(who, how[1])


@pytest.fixture(scope="session", params=["sface", "dlib-resnet"])
def matcher(request: pytest.FixtureRequest) -> Matcher:
    """Each of the two networks in turn; its tests are skipped where it is not installed."""
    try:
        return load_matcher(request.param, WorkerSettings())
    except Misconfigured as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def real_faces() -> dict[str, list[Pixels]]:
    """An image out of each of three videos of 40 people (YouTube Faces, small and poor pictures).

    A check for development: no real face is ever a part of anything that Facsimile makes.
    """
    path = Path(os.environ.get("FACSIMILE_SHARED", ROOT.parent / "shared")) / "data" / "ytf112.tar"
    if not path.exists():
        pytest.skip(f"{path} is not here: set FACSIMILE_SHARED to the folder that holds data/ytf112.tar")
    with tarfile.open(path) as tar:
        files: dict[str, list[tarfile.TarInfo]] = defaultdict(list)
        for member in tar:
            if member.isfile():
                # Name_VF.jpg: the first digit is the video, the second the frame.
                files[re.sub(r"_\d\d\.jpg$", "", Path(member.name).name)].append(member)
        able = [name for name in sorted(files) if len(videos(files[name])) >= 3]
        chosen = able[:: len(able) // 40][:40]
        return {
            name: [decode(tar.extractfile(member).read()) for member in videos(files[name])[:3]]  # type: ignore[union-attr]
            for name in chosen
        }


def videos(members: list[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
    """The first frame of every video of one person."""
    first: dict[str, tarfile.TarInfo] = {}
    for member in sorted(members, key=lambda member: member.name):
        first.setdefault(member.name[-6], member)
    return list(first.values())
