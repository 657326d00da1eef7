"""What a worker process holds: its store, its queue, its models. Each is made on first use, in the process using it.

A worker's parent forks its children: nothing here may be made before the fork, for neither connections, nor OpenGL
contexts, nor torch's threads survive it.
"""

from functools import cached_property

from app.config import Settings
from app.dataset.plan import Plan
from app.figures import Figures
from app.jobs.catalogues.marking import publish_marking
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.jobs.catalogues.models import ModelCatalogue
from app.queue import TaskQueue, open_queue
from app.storage import ObjectStore, open_store
from app.tracing import Tracing, start_tracing
from workers.generator.base import Generator
from workers.generator.registry import SWEEP, default_model, load_generator, model_cards, model_folders
from workers.matchers.detector import Detector, load_detector
from workers.matchers.ofiq import Ofiq, installed_ofiq
from workers.matchers.registry import matcher_cards
from workers.provenance.marker import marking_card

MOST_GENERATORS = 4
"""Models that a process holds at a time; the one loaded first goes first."""


class Resources:
    """Made from settings; handed to every task."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.figures = Figures()
        """What this process counts, until it is told to the queue's server."""
        self._generators: dict[str, Generator] = {}

    @cached_property
    def store(self) -> ObjectStore:
        """The object store."""
        return open_store(self.settings.store, self.figures.store_call)

    @cached_property
    def queue(self) -> TaskQueue:
        """The queue."""
        return open_queue(self.settings.queue)

    @cached_property
    def tracing(self) -> Tracing:
        """Makes the spans of tasks, or none."""
        return start_tracing("facsimile-worker")

    @cached_property
    def detector(self) -> Detector:
        """The face detector."""
        return load_detector()

    @cached_property
    def ofiq(self) -> Ofiq | None:
        """OFIQ, where the settings name it; raises Misconfigured if they name what is not there."""
        return installed_ofiq(self.settings.worker)

    def generator(self, plan: Plan) -> Generator:
        """The model that a plan names, loaded once; raises Misconfigured if this worker does not have it."""
        name = plan.model.name
        if name not in self._generators:
            while len(self._generators) >= MOST_GENERATORS:
                del self._generators[next(iter(self._generators))]
            self._generators[name] = load_generator(name, self.settings.worker)
        return self._generators[name]

    def publish_models(self) -> list[str]:
        """Write the cards of all models and marks that there are here into the store; returns the models' names."""
        cards = model_cards(self.settings.worker)
        folders = model_folders(self.settings.worker)
        sweeps = {name: file.read_bytes() for name, folder in folders.items() if (file := folder / SWEEP).is_file()}
        ModelCatalogue(self.store).publish(cards, default_model(self.settings.worker), sweeps)
        publish_marking(self.store, marking_card(self.settings))
        return [card.name for card in cards]

    def publish_matchers(self) -> list[str]:
        """Write the cards of all matchers that run here into the store; returns their names."""
        cards = matcher_cards(self.settings.worker)
        MatcherCatalogue(self.store).publish(cards)
        return [card.name for card in cards]
