"""From a checkpoint's contents to a network in our own form: which family it is, and its importer."""

from collections.abc import Callable
from types import ModuleType

from workers.generator.editing.boundaries import check_boundary
from workers.generator.imported.taking import Converted
from workers.generator.progan import importer as progan
from workers.generator.reading.contents import ARRAY, NETWORKS, PERSISTENT, Contents
from workers.generator.reading.refusals import FileRefused, shown
from workers.generator.stylegan1 import importer as stylegan1
from workers.generator.stylegan2 import importer as stylegan2
from workers.generator.stylegan3 import importer as stylegan3

IMPORTERS: tuple[ModuleType, ...] = (stylegan3, stylegan2, stylegan1, progan)
"""Each has `recognise` and `convert`; the first that recognises a file takes it."""


def convert(contents: Contents) -> Converted:
    """The network of a file in our own form; raises FileRefused, for a file of no family that is known here too."""
    if contents.form == PERSISTENT and contents.settings.get("class") != "Generator":
        raise FileRefused(f"class `{shown(contents.settings.get('class'))}` is not a known generator")
    for importer in IMPORTERS:
        if importer.recognise(contents):
            take: Callable[[Contents], Converted] = importer.convert
            return take(contents)
    if contents.form == ARRAY:
        check_boundary(contents.tensors[""])
        raise FileRefused("a single array: no generator (a boundary is given with --boundary)")
    if contents.form == NETWORKS:
        function = contents.settings.get("", {}).get("function")
        raise FileRefused(
            f"`{contents.label}` is built by `{shown(function)}`, which is no generator that is read here"
        )
    names = ", ".join(f"`{shown(name)}`" for name in list(contents.tensors)[:3])
    raise FileRefused(f"weights are missing: the tensors ({names} …) are of no family that is read here")
