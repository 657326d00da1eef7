"""InsightFace's verification file: a pickle of (encoded images, two a comparison; whether each comparison is mated).

It is written here, opcode by opcode, and never loaded: whoever loads a pickle runs what is in it. This one holds
nothing but lists, bytes and truth values, so a reader may forbid everything else. Every face is put into the pickle's
memo as it comes and taken from there by each comparison, so a face stands once in the file however often it is
compared. Opcodes: the standard library's `pickletools`, protocol 3.
"""

import pickle
from array import array
from collections.abc import Iterable, Iterator
from struct import pack

from workers.images import encode
from workers.layouts.archive import Entry, Spool
from workers.layouts.contents import Contents, Sides, place_of
from workers.layouts.faces import Unaligned, chips
from workers.layouts.notes import counted, readme
from workers.layouts.tables import line

BATCH = 1_000
"""Items that a list is extended by at once."""

ABSENT = 2**32 - 1


def insightface_bin(contents: Contents) -> Iterator[Entry]:
    """Yield facsimile.bin, then which comparisons it holds, and which it cannot hold for want of a face."""
    about = contents.about
    sides = Sides(contents)
    unaligned = Unaligned()
    body, listed, left_out = Spool(), Spool(), Spool()
    body.write(pickle.PROTO + b"\x03")
    memo = array("I", [ABSENT]) * about.planned
    remembered = 0
    for row, pixels in chips(contents, unaligned):
        if sides.is_reference(row.id) or sides.is_probe(row.id):
            data = encode(pixels, about.mark(row), quality=None)
            body.write(pickle.BINBYTES + pack("<I", len(data)) + data)
            body.write(pickle.LONG_BINPUT + pack("<I", remembered) + pickle.POP)
            memo[about.index(place_of(row.id))] = remembered
            remembered += 1
    labels = Spool()
    counts = [0, 0, 0]

    def images() -> Iterator[bytes]:
        for reference, probe, mated in contents.comparisons():
            row = line(reference, probe, int(mated)).encode()
            pair = [memo[about.index(place_of(sample))] for sample in (reference, probe)]
            if ABSENT in pair:
                counts[2] += 1
                left_out.write(row)
                continue
            counts[mated] += 1
            listed.write(row)
            labels.write(b"\x01" if mated else b"\x00")
            yield from (pickle.LONG_BINGET + pack("<I", place) for place in pair)

    for spool in (listed, left_out):
        spool.write(line("reference", "probe", "mated").encode())
    _write_list(body, images())
    truths = (pickle.NEWTRUE if value else pickle.NEWFALSE for chunk in labels.chunks() for value in chunk)
    _write_list(body, truths)
    body.write(pickle.TUPLE2 + pickle.STOP)
    yield body.entry("facsimile.bin")
    yield listed.entry("comparisons.csv")
    yield left_out.entry("left-out.csv")
    yield unaligned.entry()
    yield readme(
        about,
        "InsightFace's verification file, facsimile.bin: a pickle of a list of images (PNG, 112×112, aligned to the "
        "five points), two a comparison, and a list of whether each comparison is mated. It holds lists, bytes and "
        "truth values only; load it with an unpickler that forbids all else, as no pickle should be trusted.",
        f"It has {counted(counts[1], 'mated comparison')} and {counts[0]:,} non-mated, in comparisons.csv's order.",
        unaligned.note(),
        f"{counted(counts[2], 'comparison')} with a sample without a face cannot be in it and "
        f"{'is' if counts[2] == 1 else 'are'} listed in left-out.csv: failures to enrol or extract, not to be left out "
        "of the rates.",
    )


def _write_list(body: Spool, items: Iterable[bytes]) -> None:
    """Append a list of items, each given as the opcodes that push it."""
    body.write(pickle.EMPTY_LIST)
    batch: list[bytes] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            body.write(pickle.MARK + b"".join(batch) + pickle.APPENDS)
            batch.clear()
    if batch:
        body.write(pickle.MARK + b"".join(batch) + pickle.APPENDS)
