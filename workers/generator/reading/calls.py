"""The dozen names that a checkpoint may speak of, and what a call of each means: a record, never a call.

A name is compared as a whole, module and name apart; arguments must be those that honest files have.
"""

from collections.abc import Callable
from typing import Any

from workers.generator.reading import arrays, storages
from workers.generator.reading.limits import Budget
from workers.generator.reading.nodes import (
    Array,
    Blob,
    Dtype,
    Global,
    Instance,
    Items,
    Mapping,
    Module,
    Packed,
    kind_of,
    set_pair,
)
from workers.generator.reading.refusals import FileRefused, shown

PERSISTENCE = range(1, 7)
"""Versions of persistent objects."""

Call = Callable[[list[Any], Budget, int], Any]


def check_global(module: str, name: str, at: int) -> Global:
    """The node of a name; raises FileRefused for every name that is not in the table."""
    if (module, name) not in NAMES:
        whole = f"global `{shown(f'{module}.{name}')}` is not allowed"
        if module == "torch" and name.endswith("Storage"):
            whole += f": storage type `{shown(name)}` is not known"
        raise FileRefused(whole, at)
    return Global(module, name, at)


def call(opcode: str, function: Global, arguments: list[Any], budget: Budget, at: int) -> Any:
    """The node of REDUCE or NEWOBJ; raises FileRefused where this name is never called so."""
    how, meaning = NAMES[function.module, function.name]
    if how != opcode or meaning is None:
        raise FileRefused(f"{opcode} of `{function}`: no checkpoint does that", at)
    return meaning(arguments, budget, at)


def build(target: Any, state: Any, at: int) -> None:
    """Give a node the state that BUILD hands it; raises FileRefused for a state that no checkpoint has."""
    if isinstance(target, Dtype):
        arrays.build_dtype(target, state, at)
    elif isinstance(target, Array):
        arrays.build_array(target, state, at)
    elif isinstance(target, Instance):
        if target.state is not None or not isinstance(state, Mapping):
            raise FileRefused(f"BUILD of a {target.kind} with a {kind_of(state)}, or a second time", at)
        target.state = state
    elif isinstance(target, Mapping) and target.kind == "OrderedDict":
        # What nn.Module notes beside a state dict: the versions of its modules. Nothing reads it.
        if not isinstance(state, Mapping) or set(state.pairs) != {"_metadata"}:
            raise FileRefused("BUILD gives an OrderedDict attributes", at)
    else:
        raise FileRefused(f"BUILD on a {kind_of(target)}", at)


def _ordered_dict(arguments: list[Any], budget: Budget, at: int) -> Mapping:
    made = Mapping("OrderedDict", {}, at)
    if not arguments:
        return made
    pairs = arguments[0].items if len(arguments) == 1 and isinstance(arguments[0], Items) else None
    if pairs is None or not all(isinstance(pair, Items) and len(pair.items) == 2 for pair in pairs):
        raise FileRefused(
            "OrderedDict is called with arguments (honest files pass none, or one list of pairs)",
            at,
        )
    for pair in pairs:
        set_pair(made, pair.items[0], pair.items[1], at)
    return made


def _set(arguments: list[Any], budget: Budget, at: int) -> Items:
    if len(arguments) != 1 or not isinstance(arguments[0], Items) or arguments[0].kind != "list":
        raise FileRefused("set is called with something else than a list", at)
    if not all(isinstance(item, str) for item in arguments[0].items):
        raise FileRefused("a set of something else than strings", at)
    return Items("set", arguments[0].items, at)


def _module(arguments: list[Any], budget: Budget, at: int) -> Module:
    meta = arguments[0] if len(arguments) == 1 else None
    if not isinstance(meta, Mapping):
        raise FileRefused("a persistent object is made from something else than one dict", at)
    wanted = {"type", "version", "module_src", "class_name", "state"}
    if set(meta.pairs) != wanted:
        odd = sorted(map(str, wanted ^ set(meta.pairs)))
        raise FileRefused(f"a persistent object has other fields than it should: `{shown(odd[0])}`", at)
    version, name, state = meta.pairs["version"], meta.pairs["class_name"], meta.pairs["state"]
    if meta.pairs["type"] != "class":
        raise FileRefused("a persistent object is not of type `class`", at)
    if type(version) is not int or version not in PERSISTENCE:
        raise FileRefused(f"persistence version {shown(version)} is not known (1 to {PERSISTENCE[-1]})", at)
    if not isinstance(meta.pairs["module_src"], str) or not isinstance(name, str):
        raise FileRefused("a persistent object's source or class name is no text", at)
    if not (name.isascii() and name.isidentifier()):
        raise FileRefused(f"class `{shown(name)}` is not a known generator", at)
    if not isinstance(state, Mapping):
        raise FileRefused(f"a persistent object's state is a {kind_of(state)}", at)
    return Module(str(name), state, at)


def _packed(arguments: list[Any], budget: Budget, at: int) -> Packed:
    if len(arguments) != 1 or not isinstance(arguments[0], Blob):
        raise FileRefused("_load_from_bytes is called with something else than bytes", at)
    return Packed(arguments[0])


def _empty(kind: str) -> Call:
    def make(arguments: list[Any], budget: Budget, at: int) -> Instance:
        if arguments:
            raise FileRefused(f"a {kind} is made with arguments", at)
        return Instance(kind, at)

    return make


def _easy_dict(arguments: list[Any], budget: Budget, at: int) -> Mapping:
    if arguments:
        raise FileRefused("an EasyDict is made with arguments", at)
    return Mapping("EasyDict", {}, at)


_NETWORK = _empty("Network")

NAMES: dict[tuple[str, str], tuple[str, Call | None]] = {
    ("collections", "OrderedDict"): ("REDUCE", _ordered_dict),
    ("builtins", "set"): ("REDUCE", _set),
    ("__builtin__", "set"): ("REDUCE", _set),
    ("argparse", "Namespace"): ("NEWOBJ", _empty("Namespace")),
    ("models.utils.config", "BaseConfig"): ("NEWOBJ", _empty("BaseConfig")),
    ("dnnlib.util", "EasyDict"): ("NEWOBJ", _easy_dict),
    ("dnnlib.tflib.network", "Network"): ("NEWOBJ", _NETWORK),
    ("tfutil", "Network"): ("NEWOBJ", _NETWORK),
    ("network", "Network"): ("NEWOBJ", _NETWORK),
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): ("REDUCE", _module),
    ("torch._utils", "_rebuild_tensor_v2"): ("REDUCE", storages.make_tensor),
    ("torch._utils", "_rebuild_parameter"): ("REDUCE", lambda arguments, _, at: storages.make_parameter(arguments, at)),
    ("torch.storage", "_load_from_bytes"): ("REDUCE", _packed),
    ("numpy", "dtype"): ("REDUCE", lambda arguments, _, at: arrays.make_dtype(arguments, at)),
    ("numpy", "ndarray"): ("REDUCE", None),
    **{
        (module, name): ("REDUCE", meaning)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name, meaning in {
            "_reconstruct": lambda arguments, _, at: arrays.make_array(arguments, at),
            "scalar": lambda arguments, _, at: arrays.make_scalar(arguments, at),
        }.items()
    },
    **{("torch", name): ("REDUCE", None) for name in storages.TYPES},
}
"""(module, name) → the opcode that calls it, and what comes of that; None for a name that is only mentioned."""
