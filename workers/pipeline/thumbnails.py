"""Making a shard's sheet of thumbnails while its samples are made."""

import numpy as np
from PIL import Image

from app.dataset.plan import Plan
from app.dataset.thumbnails import sheet_of
from workers.images import Mark, Pixels, encode_thumbnails

GREY = 128
"""Where a sample is missing."""


class ThumbnailSheet:
    """The sheet of one shard; tiles may come in any order, from several threads, each once."""

    def __init__(self, plan: Plan, shard: int) -> None:
        self._plan, self._shard = plan, shard
        self._sheet = sheet_of(plan, shard)
        width, height = self._sheet.size
        self.pixels: Pixels = np.full((height, width, 3), GREY, np.uint8)

    def add(self, index: int, pixels: Pixels) -> None:
        """Put in the sample of this number, uint8 [H, W, 3]."""
        sheet = self._sheet
        left, top = sheet.at(index - self._plan.shard(self._shard).start)
        small = Image.fromarray(pixels).resize((sheet.width, sheet.height), Image.Resampling.LANCZOS)
        self.pixels[top : top + sheet.height, left : left + sheet.width] = np.asarray(small)

    def encode(self) -> bytes:
        """The sheet as JPEG, marked as synthetic."""
        model = self._plan.model
        mark = Mark(
            dataset=self._plan.dataset,
            sample=f"thumbnails of shard {self._shard}",
            model=f"{model.name} {model.version}",
            model_digest=model.digest,
            source_type=model.source_type,
        )
        return encode_thumbnails(self.pixels, mark)
