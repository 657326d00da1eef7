"""The file in which an evaluation keeps what a later one may take for its baseline; no pickle."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from app.errors import Corrupt


@contextmanager
def opened(data: bytes, field: str, version: int, *, form: str, what: str) -> Iterator[Any]:
    """The arrays of a kept npz whose `field` says its version; raises Corrupt, also for what is read of them within.

    `form` and `what` are what it holds, in the words of the errors.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            if int(found[field]) != version:
                raise Corrupt(f"these kept {form} have form {found[field]}, and {version} is read here")
            yield found
    except (ValueError, KeyError, OSError, EOFError, IndexError, zipfile.BadZipFile) as exc:
        raise Corrupt(f"the {what} kept of an evaluation cannot be read") from exc
