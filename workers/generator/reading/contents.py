"""From a checkpoint's bytes to the network in it: tensors by the file's own names, and what it says of itself.

Three forms hold networks: a dict of persistent modules (StyleGAN2-ADA-PyTorch, StyleGAN3), a tuple of three networks
(TensorFlow, Theano), and state dicts (everybody else). Here nothing is known of any family: what the names mean is
its importer's business.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.reading import archive, kinds, legacy, npy, tensor_file
from workers.generator.reading.arrays import array_values
from workers.generator.reading.interpreter import read_pickle
from workers.generator.reading.limits import Budget, Limits
from workers.generator.reading.nodes import Array, Instance, Items, Mapping, Module, Tensor, kind_of
from workers.generator.reading.opcodes import Cursor
from workers.generator.reading.refusals import FileRefused, shown
from workers.generator.reading.storages import tensor_values

PERSISTENT, NETWORKS, STATE_DICT, ARRAY = "persistent modules", "networks", "state dict", "array"

AVERAGED = ("G_ema", "g_ema", "generator_smooth", "avgG", "ema")
"""What the families call the generator whose weights were averaged over training; it makes the better images."""

PLAIN = ("generator", "netG", "g", "G", "state_dict", "model", "")
"""What they call the other one, taken where no averaged one is there."""

MAX_TENSORS = 4_096
MAX_LIST = 64
"""Numbers of a list that are kept among the facts; a longer one is kept as its length."""

Facts = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """One network of a file."""

    form: str
    """PERSISTENT, NETWORKS, STATE_DICT or ARRAY."""
    label: str
    """Which of the file's networks it is, by the file's own word."""
    labels: tuple[str, ...]
    """Of all networks that the file holds."""
    settings: Facts
    """What the file says of the network's making; plain values only."""
    tensors: dict[str, NDArray[Any]]
    beside: Facts = field(default_factory=dict)
    """What it says besides: a training's arguments, or by module its class and attributes."""


def read_contents(data: memoryview, wanted: str | None = None, limits: Limits | None = None) -> Contents:
    """The network of a file, the averaged one unless `wanted` names another; raises FileRefused and nothing else."""
    limits = limits or Limits()
    if len(data) > limits.file_bytes:
        raise FileRefused(f"file has {len(data):,} bytes; at most {limits.file_bytes:,} are read")
    budget = Budget(limits)
    kind = kinds.kind_of_file(data)
    if kind == kinds.NPY:
        values = npy.read_npy(data)
        return Contents(form=ARRAY, label="", labels=("",), settings={}, tensors={"": values})
    if kind == kinds.SAFETENSORS:
        flat = tensor_file.read_safetensors(data, budget)
        return Contents(form=STATE_DICT, label="", labels=("",), settings={}, tensors=flat)
    root = _root(data, kind, budget)
    if isinstance(root, Mapping) and any(isinstance(node, Module) for node in root.pairs.values()):
        return _persistent(root, wanted, budget)
    if isinstance(root, Mapping) and "G_ema" in root.pairs and root.pairs["G_ema"] is None:
        raise FileRefused("G_ema is empty: the file holds no generator")
    if isinstance(root, Items) and root.kind == "tuple":
        return _networks(root, wanted, budget)
    if isinstance(root, Mapping):
        return _state_dict(root, wanted)
    raise FileRefused(f"neither G_ema, nor (G, D, Gs), nor a state dict: the file holds a {kind_of(root)}")


def _root(data: memoryview, kind: str, budget: Budget) -> Any:
    if kind == kinds.ARCHIVE:
        return archive.read_archive(data, budget)
    if kind == kinds.LEGACY:
        return legacy.read_legacy(data, 0, budget, read_pickle)
    cursor = Cursor(data, budget.limits)
    root = read_pickle(cursor, budget)
    if cursor.left:
        raise FileRefused(f"bytes after STOP ({cursor.left:,} bytes)", cursor.at)
    return root


def choose_label(there: Sequence[str], wanted: str | None) -> str:
    """Which of a file's networks to take; raises FileRefused where the one that is wanted is not there."""
    if wanted is not None:
        if wanted not in there:
            raise FileRefused(f"there is no network `{shown(wanted)}`; the file has {_listed(there)}")
        return wanted
    for name in (*AVERAGED, *PLAIN):
        for label in there:
            if label == name or label.rpartition("/")[2] == name:
                return label
    if len(there) == 1:
        return there[0]
    raise FileRefused(f"which network is the generator? the file has {_listed(there)}; choose with --network")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{shown(name)}`" for name in sorted(names)) or "none"


def _persistent(root: Mapping, wanted: str | None, budget: Budget) -> Contents:
    if "G_ema" in root.pairs and root.pairs["G_ema"] is None and wanted in (None, "G_ema"):
        raise FileRefused("G_ema is empty: the file holds no averaged generator")
    there = [name for name, node in _texts(root).items() if isinstance(node, Module)]
    label = choose_label(there, wanted)
    module = root.pairs[label]
    tensors: dict[str, NDArray[Any]] = {}
    modules: Facts = {}
    for path, one in _modules(module, ""):
        attributes = {key: node for key, node in _texts(one.state).items() if not key.startswith("_")}
        modules[path] = {"class": one.class_name, **_plain(attributes, budget)}
        for where in ("_parameters", "_buffers"):
            for name, node in _entries(one, where):
                if node is None:
                    continue
                whole = f"{path}.{name}" if path else name
                if not isinstance(node, Tensor):
                    raise FileRefused(f"`{shown(whole)}` is a {kind_of(node)}, not a tensor", one.at)
                _add(tensors, whole, tensor_values(node))
    kwargs, args = module.state.pairs.get("_init_kwargs"), module.state.pairs.get("_init_args")
    if kwargs is None and not tensors:
        raise FileRefused("weights are missing (no `mapping`, no `synthesis`), and so is what the module was made of")
    if not isinstance(kwargs, Mapping):
        raise FileRefused("the generator's `_init_kwargs` are missing", module.at)
    if args is not None and (not isinstance(args, Items) or args.items):
        raise FileRefused("the generator was made with arguments without names", module.at)
    settings = {"class": module.class_name, **_plain(_texts(kwargs), budget)}
    return Contents(
        form=PERSISTENT, label=label, labels=tuple(there), settings=settings, tensors=tensors, beside=modules
    )


def _modules(module: Module, path: str) -> Iterator[tuple[str, Module]]:
    """A module and all below it, by their paths; the tree has been checked for cycles and depth."""
    yield path, module
    for name, node in _entries(module, "_modules"):
        whole = f"{path}.{name}" if path else name
        if node is None:
            continue
        if not isinstance(node, Module):
            raise FileRefused(f"`_modules` entry `{shown(whole)}` is a {kind_of(node)}, not a module", module.at)
        yield from _modules(node, whole)


def _entries(module: Module, where: str) -> Iterator[tuple[str, Any]]:
    found = module.state.pairs.get(where)
    if found is None:
        return
    if not isinstance(found, Mapping):
        raise FileRefused(f"`{where}` is a {kind_of(found)}, not a dict", module.at)
    for name, node in found.pairs.items():
        if not isinstance(name, str) or not (name.isascii() and name.replace("-", "_").isidentifier()):
            raise FileRefused(f"module name `{shown(name)}` cannot be", module.at)
        yield name, node


def _networks(root: Items, wanted: str | None, budget: Budget) -> Contents:
    if len(root.items) != 3:
        raise FileRefused(f"legacy pickle holds a tuple of three networks, this has {len(root.items)}")
    for node in root.items:
        if not isinstance(node, Instance) or node.kind != "Network" or node.state is None:
            raise FileRefused(f"legacy pickle holds a tuple of three networks, and this a {kind_of(node)} among them")
    labels = ("G", "D", "Gs")
    label = "Gs" if wanted is None else choose_label(labels, wanted)
    state = root.items[labels.index(label)].state.pairs
    if "param_values" in state:
        return _theano(label, labels, state, budget)
    tensors: dict[str, NDArray[Any]] = {}
    settings: Facts = {}
    for path, one in _components("", state):
        version = one.get("version")
        if type(version) is not int or not 2 <= version <= 5:
            raise FileRefused(f"network version {shown(version)} is not known (2 to 5)")
        function = one.get("build_func_name")
        kwargs = one.get("static_kwargs")
        if not isinstance(function, str) or not isinstance(kwargs, Mapping):
            raise FileRefused("a network has no `build_func_name` or no `static_kwargs`")
        plain = _plain(_texts(kwargs), budget)
        settings[path] = {"version": version, "function": str(function), "kwargs": plain}
        variables = one.get("variables")
        if not isinstance(variables, Items):
            raise FileRefused("a network has no list of `variables`")
        for pair in variables.items:
            if not isinstance(pair, Items) or len(pair.items) != 2 or not isinstance(pair.items[0], str):
                raise FileRefused("a network's variable is not a pair of name and array", getattr(pair, "at", None))
            name, node = str(pair.items[0]), pair.items[1]
            whole = f"{path}/{name}" if path else name
            _add(tensors, whole, _number(whole, node, budget))
    return Contents(form=NETWORKS, label=label, labels=labels, settings=settings, tensors=tensors)


def _components(path: str, state: dict[Any, Any]) -> Iterator[tuple[str, dict[Any, Any]]]:
    yield path, state
    below = state.get("components")
    if below is None:
        return
    if not isinstance(below, Mapping):
        raise FileRefused(f"`components` is a {kind_of(below)}, not a dict")
    for name, node in below.pairs.items():
        if not isinstance(name, str) or not (name.isascii() and name.isidentifier()):
            raise FileRefused(f"component name `{shown(name)}` cannot be", below.at)
        if not isinstance(node, Instance) or node.kind != "Network" or node.state is None:
            raise FileRefused(f"component `{shown(name)}` is a {kind_of(node)}, not a network")
        yield from _components(f"{path}/{name}" if path else name, node.state.pairs)


def _theano(label: str, labels: tuple[str, ...], state: dict[Any, Any], budget: Budget) -> Contents:
    spec, values, top = (state.get(name) for name in ("build_func_spec", "param_values", "toplevel_params"))
    if not isinstance(spec, Mapping) or not isinstance(values, Items) or not isinstance(top, Mapping):
        raise FileRefused("a network of Theano's time lacks `build_func_spec`, `param_values` or `toplevel_params`")
    kwargs = _plain(_texts(spec), budget)
    settings = {"": {"version": 1, "function": kwargs.pop("func", None), "kwargs": kwargs}}
    tensors: dict[str, NDArray[Any]] = {}
    for number, node in enumerate(values.items):
        _add(tensors, f"param_values/{number}", _number(f"param_values/{number}", node, budget))
    _add(tensors, "lod", _number("cur_lod", top.pairs.get("cur_lod"), budget))
    return Contents(form=NETWORKS, label=label, labels=labels, settings=settings, tensors=tensors)


def _number(name: str, node: Any, budget: Budget) -> NDArray[Any]:
    if isinstance(node, Array):
        return array_values(node, budget)
    if isinstance(node, float):
        return np.asarray(node, np.float64)
    raise FileRefused(f"`{shown(name)}` is a {kind_of(node)}, not an array")


def _state_dict(root: Mapping, wanted: str | None) -> Contents:
    parts: dict[str, dict[str, Tensor]] = {}
    for label, mapping in _sections(root):
        found = {key: node for key, node in _texts(mapping).items() if isinstance(node, Tensor)}
        if found:
            parts[label] = found
    labels = [name for name, part in parts.items() if name or not (len(parts) > 1 and len(part) < 4)]
    if not labels:
        raise FileRefused("weights are missing: neither G_ema, nor (G, D, Gs), nor a state dict with tensors is in it")
    label = choose_label(labels, wanted)
    tensors: dict[str, NDArray[Any]] = {}
    for name, tensor in parts[label].items():
        _add(tensors, name, tensor_values(tensor))
    beside: Facts = {}
    if label and "latent_avg" in parts.get("", {}):
        _add(tensors, "latent_avg", tensor_values(parts[""]["latent_avg"]))
    settings: Facts = {}
    for key, node in root.pairs.items():
        if isinstance(node, Instance) and node.state is not None:
            found_settings = _plain(_texts(node.state), None)
            if key in ("args", "config"):
                settings = found_settings
    return Contents(
        form=STATE_DICT, label=label, labels=tuple(labels), settings=settings, tensors=tensors, beside=beside
    )


def _sections(root: Mapping) -> Iterator[tuple[str, Mapping]]:
    """The root and the dicts one and two levels below it, by their paths."""
    yield "", root
    for key, node in root.pairs.items():
        if isinstance(node, Mapping) and isinstance(key, str):
            yield key, node
            for name, below in node.pairs.items():
                if isinstance(below, Mapping) and isinstance(name, str):
                    yield f"{key}/{name}", below


def _texts(mapping: Mapping) -> dict[str, Any]:
    """The pairs of a mapping whose keys are texts; numbers are keys of optimisers and the like."""
    return {key: node for key, node in mapping.pairs.items() if isinstance(key, str)}


def _add(tensors: dict[str, NDArray[Any]], name: str, values: NDArray[Any]) -> None:
    if name in tensors:
        raise FileRefused(f"`{shown(name)}` occurs twice")
    if len(name) > 256:
        raise FileRefused(f"a tensor's name is too long: `{shown(name)}`")
    if len(tensors) >= MAX_TENSORS:
        raise FileRefused(f"more than {MAX_TENSORS:,} tensors in one network")
    tensors[name] = values


def _plain(values: dict[str, Any], budget: Budget | None) -> Facts:
    """What of a dict can be said as JSON; nodes of other kinds are left out, for nobody may need them."""
    found: Facts = {}
    for key, node in values.items():
        value = _value(node, budget)
        if value is not _NOTHING:
            found[key] = value
    return found


_NOTHING = object()


def _value(node: Any, budget: Budget | None) -> Any:
    if node is None or isinstance(node, (bool, int, float)):
        return node
    if isinstance(node, str):
        return str(node)[:1_000]
    if isinstance(node, Items):
        if len(node.items) > MAX_LIST:
            return {"length": len(node.items)}
        items = [_value(item, budget) for item in node.items]
        return _NOTHING if any(item is _NOTHING for item in items) else items
    if isinstance(node, Mapping):
        return _plain(_texts(node), budget)
    if isinstance(node, Array) and budget is not None and np.prod(node.shape, dtype=object) <= MAX_LIST:
        return array_values(node, budget).tolist()
    return _NOTHING
