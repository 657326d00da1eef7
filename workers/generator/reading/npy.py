"""numpy's .npy files: header and size checked before a value is read; nothing in them is evaluated or unpickled."""

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.reading.arrays import check_sizes
from workers.generator.reading.refusals import FileRefused, shown

MAGIC = b"\x93NUMPY"
MAX_HEADER = 4096
TYPES = ("f2", "f4", "f8")

_HEADER = re.compile(
    r"\{'descr': (?:'(?P<order>[<>|=])(?P<code>[A-Za-z]\d{0,4})'|(?P<other>.*?)), "
    r"'fortran_order': (?P<fortran>True|False), 'shape': \((?P<shape>[^()]*)\),? ?\} *\n?",
    re.DOTALL,
)


def read_npy(data: memoryview) -> NDArray[Any]:
    """The floating-point array of a .npy file, in C order; raises FileRefused."""
    if bytes(data[:6]) != MAGIC:
        raise FileRefused("not a .npy file", 0)
    version = bytes(data[6:8])
    wide = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}.get(version)
    if wide is None:
        raise FileRefused(f".npy format {shown('.'.join(map(str, version)))} is not known (1.0, 2.0, 3.0)", 6)
    length = int.from_bytes(data[8 : 8 + wide], "little")
    start = 8 + wide + length
    if len(data) < 8 + wide or start > len(data):
        raise FileRefused("header is longer than the file: the file ends in the middle", 8)
    if length > MAX_HEADER:
        raise FileRefused(f"header has {length:,} bytes; at most {MAX_HEADER:,} are read", 8)
    header = bytes(data[8 + wide : start]).decode("latin-1")
    match = _HEADER.fullmatch(header)
    if match is None or match["other"] is not None:
        raise FileRefused(f"header is not a plain array's: `{shown(header.strip())}`", 8)
    if match["code"].startswith("O"):
        raise FileRefused("object array: a pickle lies inside, which is not read (allow_pickle=False)", 8)
    if match["code"] not in TYPES or match["order"] == "|":
        raise FileRefused(f"dtype `{shown(match['order'] + match['code'])}` is not floating point", 8)
    if not re.fullmatch(r"((\d{1,12}, )*\d{1,12},?)?", match["shape"], re.ASCII):
        raise FileRefused(f"header has a shape that cannot be: ({shown(match['shape'])})", 8)
    shape = check_sizes(tuple(map(int, match["shape"].replace(",", " ").split())), 8)
    dtype = np.dtype(match["order"] + match["code"])
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise FileRefused(f"array of shape {shape} and {dtype} has {len(data) - start:,} bytes of data", start)
    flat = np.frombuffer(data, dtype, offset=start)
    shaped = flat.reshape(shape, order="F" if match["fortran"] == "True" else "C")
    return shaped.astype(dtype.newbyteorder("="), order="C", copy=True)
