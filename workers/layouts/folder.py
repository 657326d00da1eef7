"""A dataset that was downloaded, as a folder: manifest.json, comparisons.csv, samples/."""

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from app.client.cache import digest_of
from app.client.manifest import Manifest
from app.client.paths import inside
from app.client.records import product_digests
from app.client.released import comparisons_file
from app.dataset.comparisons import ListedPair
from app.dataset.layout import Shape
from app.dataset.manifest import Summary
from app.dataset.products import there
from app.dataset.shard import SampleRow
from app.dataset.source_type import read_source_type
from app.errors import Corrupt
from workers.images import decode
from workers.layouts.archive import Entry, pieces
from workers.layouts.contents import About, Located, place_of
from workers.matchers.detector import Detector


class FolderContents:
    """Contents of a folder; every file is held against its digest in the manifest as it is read."""

    def __init__(self, folder: Path, detector: Callable[[], Detector]) -> None:
        """Read the manifest's head; raises VerificationFailed if there is none or it lacks something.

        `detector` makes what finds faces, for layouts that ask where they are.
        """
        self._folder = folder
        self._detector = detector
        self._manifest = Manifest(folder / "manifest.json")
        self.about = _about(self._manifest.summary)

    @cached_property
    def shape(self) -> Shape:
        """What decides which layouts it can be had in; by the first sample's size."""
        about = self.about
        first = next(self.rows(), None)
        return Shape(
            about.subjects,
            about.samples_per_subject,
            about.distractors,
            about.selection,
            first.width if first else 0,
            first.height if first else 0,
            self._manifest.summary.asked.sample_counts,
            templates=self._manifest.summary.kind == "templates",
            named=self._manifest.summary.naming is not None,
        )

    def rows(self) -> Iterator[SampleRow]:
        """See Contents."""
        return self._manifest.samples()

    def files(self) -> Iterator[tuple[SampleRow, bytes]]:
        """See Contents; raises Corrupt for a file that is missing or not what the manifest says."""
        more = "'facsimile verify' lists all that is wrong"
        for row in self.rows():
            try:
                data = inside(self._folder, row.file).read_bytes()
            except OSError as exc:
                raise Corrupt(f"{row.file} cannot be read ({exc.strerror}); {more}") from exc
            if hashlib.sha256(data).hexdigest() != row.file_sha256:
                raise Corrupt(f"{row.file} is not the file that the manifest lists; {more}")
            yield row, data

    def beside(self, row: SampleRow) -> bytes:
        """See Contents."""
        if row.c2pa is None:
            raise ValueError(f"no C2PA manifest lies beside {row.id}")
        try:
            return inside(self._folder, row.c2pa.file).read_bytes()
        except OSError as exc:
            raise Corrupt(f"{row.c2pa.file} cannot be read: {exc.strerror}") from exc

    def located(self) -> Iterator[Located]:
        """See Contents."""
        detector = self._detector()
        for row, data in self.files():
            yield Located(row, data, detector.detect(decode(data, row.file)))

    def comparisons(self) -> Iterator[ListedPair]:
        """See Contents."""
        return comparisons_file(self._folder, self._manifest.summary).pairs()

    def products(self) -> Iterator[Entry]:
        """See Contents."""
        for product in there(lambda file: (self._folder / file).exists()):
            path = self._folder / product.file
            try:
                size = path.stat().st_size
                expected = product_digests(self._manifest).get(path.name)
                if expected is not None and digest_of(path) != expected:
                    raise Corrupt(f"{path.name} has another digest than the manifest says; fetch the dataset anew")
            except OSError as exc:
                raise Corrupt(f"{path.name} cannot be read: {exc.strerror}") from exc
            yield Entry(path.name, size, _read(path))


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from pieces(file)


def _about(summary: Summary) -> About:
    asked, model, listed = summary.asked, summary.model, summary.comparisons
    if listed is None:
        raise Corrupt("the manifest says nothing of comparisons; fetch the dataset anew")
    return About(
        dataset=summary.dataset,
        name=summary.name,
        model=f"{model.name} {model.version}",
        model_digest=model.digest,
        source_type=read_source_type(summary.synthetic.digital_source_type),
        subjects=asked.subjects,
        samples_per_subject=asked.samples_per_subject,
        distractors=asked.distractors,
        selection=listed.selection,
        left_out=listed.left_out,
        missing=frozenset(place_of(item.id) for item in summary.shortfall),
        naming=summary.naming,
    )
