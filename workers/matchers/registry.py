"""Which matchers there are: those that come with Facsimile, those of installed packages, and ONNX files with cards.

A package offers its own under the entry-point group `facsimile.matchers`: a name, and a class (or a function) that
takes no arguments and gives a Matcher of that name.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from multiprocessing import get_context
from pathlib import Path

import structlog

from app.config import WorkerSettings
from app.dataset.matcher import MatcherCard
from app.errors import Corrupt, FacsimileError, Misconfigured
from workers.matchers.base import Matcher
from workers.matchers.comparison import DEFINITIONS, ScoreDefinition
from workers.matchers.dlib_resnet import DlibResNet, load_dlib_resnet
from workers.matchers.onnx import check_network, load_onnx_matcher, read_matcher_card
from workers.matchers.sface import SFace, load_sface

log = structlog.get_logger()

GROUP = "facsimile.matchers"

BUILT_IN: dict[str, Callable[[], Matcher]] = {SFace.name: load_sface, DlibResNet.name: load_dlib_resnet}

Loaders = dict[str, Callable[[], Matcher]]


def matcher_names(settings: WorkerSettings) -> list[str]:
    """Names of all matchers here, without loading any; raises Misconfigured where two have one name."""
    return list(_loaders(settings))


def load_matcher(name: str, settings: WorkerSettings) -> Matcher:
    """Load a matcher, once a process; raises Misconfigured for one that is not here, Corrupt for a bad file."""
    loaders = _loaders(settings)
    if name not in loaders:
        raise Misconfigured(f"this worker has no matcher {name!r}; it has {', '.join(loaders)}")
    return loaders[name]()


def matcher_cards(settings: WorkerSettings) -> list[MatcherCard]:
    """Cards of all matchers that can judge sets here. No network is loaded in this process, which may yet fork.

    A matcher of an installed package is asked in a process of its own. One whose package is missing, that cannot be
    loaded, or that makes scores in a way of its own, is left out with a warning. Raises Misconfigured and Corrupt for
    what is wrong in the operator's own folder.
    """
    _loaders(settings)  # says what is wrong with names and folders
    cards = []
    for kind in (SFace, DlibResNet):
        try:
            kind.check_files()
        except (Misconfigured, Corrupt) as exc:
            log.warning("matcher_unavailable", matcher=kind.name, reason=str(exc))
            continue
        cards.append(_card(kind.name, kind.version, kind.digest, kind.dimensions, kind.score, kind.provenance, True))
    if settings.matchers_dir:
        for path in sorted(Path(settings.matchers_dir).glob("*/card.json")):
            own = read_matcher_card(path.parent)
            check_network(path.parent, own)
            score = DEFINITIONS[own.metric]
            cards.append(_card(own.name, own.version, own.sha256, own.dimensions, score, own.provenance, False))
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            with ProcessPoolExecutor(1, get_context("spawn")) as apart:
                cards.append(apart.submit(_card_of_entry_point, point).result())
        except (FacsimileError, BrokenProcessPool) as exc:
            log.warning("matcher_unavailable", matcher=point.name, reason=str(exc))
    return cards


def card_of(matcher: Matcher, *, judge: bool = False) -> MatcherCard:
    """Card of a matcher that is loaded; raises Misconfigured where it makes scores in a way of its own."""
    if matcher.score.name not in DEFINITIONS:
        raise Misconfigured(
            f"matcher {matcher.name!r} makes scores by {matcher.score.name!r}; sets are judged by "
            f"{' or '.join(DEFINITIONS)}"
        )
    return _card(
        matcher.name, matcher.version, matcher.digest, matcher.dimensions, matcher.score, matcher.provenance, judge
    )


def _card_of_entry_point(point: EntryPoint) -> MatcherCard:
    return card_of(_load_entry_point(point))


def _card(
    name: str, version: str, digest: str, dimensions: int, score: ScoreDefinition, provenance: str, judge: bool
) -> MatcherCard:
    return MatcherCard(
        name=name,
        version=version,
        digest=digest,
        dimensions=dimensions,
        score=score.formula,
        provenance=provenance,
        judge=judge,
    )


def load_judge(filtered_by: str, settings: WorkerSettings) -> Matcher:
    """The network that judges a set which another has filtered: never that one itself."""
    return load_matcher(SFace.name if filtered_by == DlibResNet.name else DlibResNet.name, settings)


def _loaders(settings: WorkerSettings) -> Loaders:
    loaders: Loaders = dict(BUILT_IN)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        _add(loaders, point.name, partial(_load_entry_point, point), f"the entry point {point.value}")
    if settings.matchers_dir:
        root = Path(settings.matchers_dir)
        if not root.is_dir():
            raise Misconfigured(f"FACSIMILE_WORKER__MATCHERS_DIR names {root}, which is not a folder")
        for path in sorted(root.glob("*/card.json")):
            _add(loaders, path.parent.name, partial(_load_folder, path.parent), str(path))
    return loaders


def _add(loaders: Loaders, name: str, loader: Callable[[], Matcher], where: str) -> None:
    # A threshold belongs to a matcher by its name: one that hides another would silently make it a wrong one.
    if name in loaders:
        raise Misconfigured(f"{where} offers a matcher {name!r}, and there is one of that name already")
    loaders[name] = loader


@lru_cache(maxsize=4)
def _load_folder(folder: Path) -> Matcher:
    return load_onnx_matcher(folder)


@lru_cache(maxsize=4)
def _load_entry_point(point: EntryPoint) -> Matcher:
    where = f"the matcher {point.name!r} of {point.value}"
    try:
        made = point.load()()
    except FacsimileError:
        raise
    except Exception as exc:
        raise Misconfigured(f"{where} cannot be loaded: {type(exc).__name__}: {exc}") from exc
    if not isinstance(made, Matcher):
        wanted = [name for name in dir(Matcher) if not name.startswith("_") and not hasattr(made, name)]
        raise Misconfigured(f"{where} is no matcher: it lacks {', '.join(wanted)}")
    if made.name != point.name:
        raise Misconfigured(f"{where} calls itself {made.name!r}; both names must be the same")
    return made
