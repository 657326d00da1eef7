"""Thumbnails: one sheet of small tiles a shard, so that whoever looks at a set asks once for a hundred samples.

A sample's tile follows from its number: of shard n, its sheet is n, and its tiles go row by row in the set's order. A
sample that could not be made leaves its tile grey.
"""

from typing import NamedTuple

from app.dataset.plan import Plan

LONGEST = 96
"""Pixels of a tile's longer side."""

COLUMNS = 16


class Sheet(NamedTuple):
    """How the tiles of one sheet lie, in pixels."""

    tiles: int
    width: int
    """Of a tile."""
    height: int

    @property
    def rows(self) -> int:
        """Of tiles."""
        return -(-self.tiles // COLUMNS)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole sheet."""
        return min(self.tiles, COLUMNS) * self.width, self.rows * self.height

    def at(self, tile: int) -> tuple[int, int]:
        """Left and upper edge of a tile."""
        row, column = divmod(tile, COLUMNS)
        return column * self.width, row * self.height


def sheet_of(plan: Plan, shard: int) -> Sheet:
    """The sheet of one shard; tiles have the images' own proportions, and are never larger than they."""
    width, height = plan.image.width, plan.image.height
    scale = min(1.0, LONGEST / max(width, height))
    return Sheet(len(plan.shard(shard)), *(max(1, round(scale * side)) for side in (width, height)))
