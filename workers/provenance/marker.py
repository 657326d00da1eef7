"""Marking the samples of one plan: a watermark before a file is written, C2PA after."""

from typing import NamedTuple

from app.config import Settings
from app.dataset.marking import MarkingCard
from app.dataset.plan import PlannedMarking
from app.errors import Misconfigured
from workers.images import Mark, Pixels
from workers.provenance import watermark
from workers.provenance.certificate import load_credentials
from workers.provenance.signing import Signer


class Sealed(NamedTuple):
    """A sample's file, and the C2PA manifest that lies beside it where there is one."""

    data: bytes
    manifest: bytes | None


class Marker:
    """Marks as a plan says; to be made in the process that uses it. Threads may share it."""

    def __init__(
        self,
        planned: PlannedMarking = PlannedMarking(),  # noqa: B008  (frozen)
        *,
        key: str | None = None,
        signer: Signer | None = None,
    ) -> None:
        if planned.watermark is not None and (key is None or watermark.key_id(key) != planned.watermark):
            raise Misconfigured(
                f"the dataset was planned with the watermark key {planned.watermark} and this worker has "
                f"{watermark.key_id(key) if key else 'none'}; give all workers the same FACSIMILE_WORKER__WATERMARK_KEY"
            )
        self._key = key if planned.watermark is not None else None
        self._form = planned.c2pa
        self._signer = signer

    def pixels(self, pixels: Pixels) -> Pixels:
        """A sample's pixels [H, W, 3] with the watermark, or as they are."""
        return pixels if self._key is None else watermark.embed(pixels, self._key)

    def seal(self, data: bytes, media_type: str, mark: Mark) -> Sealed:
        """A sample's file with C2PA in it or beside it, or as it is."""
        if self._form is None:
            return Sealed(data, None)
        if self._signer is None:
            raise Misconfigured("the dataset was planned with C2PA and this worker cannot sign")
        if self._form == "embedded":
            return Sealed(self._signer.embed(data, media_type, mark), None)
        return Sealed(data, self._signer.detach(data, media_type, mark))


NO_MARKS = Marker()
"""Leaves everything as it is."""


def make_marker(planned: PlannedMarking, settings: Settings) -> Marker:
    """The marker for a plan; raises Misconfigured where this worker lacks what the plan asks for."""
    signer = Signer(load_credentials(settings.worker.c2pa)) if planned.c2pa else None
    return Marker(planned, key=settings.watermark_key, signer=signer)


def marking_card(settings: Settings) -> MarkingCard:
    """What this worker can mark samples with, tried out: the certificate signs something."""
    key = settings.watermark_key
    found = watermark.key_id(key) if key else None
    try:
        credentials = load_credentials(settings.worker.c2pa)
        Signer(credentials)
    except Misconfigured as exc:
        return MarkingCard(c2pa_missing=str(exc), watermark=found)
    return MarkingCard(c2pa=credentials.card, watermark=found)
