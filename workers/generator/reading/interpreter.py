"""The machine that runs a pickle's opcodes and builds inert nodes: the only reader of pickles here.

It keeps pickle's own stack, marks and memo, so that it sees what every unpickler would see; what a name or a call
means is `calls`' table and nothing else.
"""

from collections.abc import Callable
from typing import Any

from workers.generator.reading import calls, legacy
from workers.generator.reading.limits import Budget
from workers.generator.reading.nodes import Global, Items, Mapping, Packed, children, kind_of, set_pair
from workers.generator.reading.opcodes import READERS, Cursor, next_opcode, read_argument
from workers.generator.reading.refusals import FileRefused

Persistent = Callable[[Any, int], Any]
"""What gives the node of a persistent id; its arguments are the id's node and the opcode's offset."""

PROTOCOLS = range(6)


def read_pickle(cursor: Cursor, budget: Budget, persistent: Persistent | None = None) -> Any:
    """Run one pickle from the cursor to its STOP and return its root node; raises FileRefused.

    Without `persistent` the opcodes of persistent ids are refused, as they are in a plain pickle.
    """
    _check_opcodes(cursor, persistent is not None)
    return _Machine(cursor, budget, persistent).run()


def _check_opcodes(cursor: Cursor, has_ids: bool) -> None:
    """Raise FileRefused for the first opcode that is not taken, before anything of a pickle is interpreted."""
    start = cursor.place
    name = ""
    while name != "STOP":
        name, at = next_opcode(cursor)
        if name not in READERS or (name == "BINPERSID" and not has_ids):
            raise FileRefused(f"opcode {name} is not allowed", at)
        read_argument(name, cursor)
    cursor.place = start


class _Machine:
    def __init__(self, cursor: Cursor, budget: Budget, persistent: Persistent | None) -> None:
        self.cursor = cursor
        self.budget = budget
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.at = 0

    def run(self) -> Any:
        first = self.cursor.place
        while True:
            before = self.cursor.place
            name, self.at = next_opcode(self.cursor)
            self.budget.opcode(self.at)
            argument = read_argument(name, self.cursor)
            if name == "STOP":
                return self._stop()
            if name == "PROTO":
                if before != first or argument not in PROTOCOLS:
                    raise self._refuse(f"PROTO {argument} stands where it cannot, or is not known (0 to 5)")
            elif name == "FRAME":
                if int(argument) > self.cursor.left:  # type: ignore[arg-type]
                    raise self._refuse(f"frame is longer than the file ({argument:,} bytes, {self.cursor.left:,} left)")
            elif name in _CONSTANT:
                self.stack.append(_CONSTANT[name])
            elif name in _ACTIONS:
                _ACTIONS[name](self, argument)
            else:
                self.stack.append(argument)

    def _refuse(self, problem: str) -> FileRefused:
        return FileRefused(problem, self.at)

    def _stop(self) -> Any:
        root = self.pop("STOP")
        _check_walk(root, self.budget)
        if self.stack or self.marks:
            raise self._refuse(f"stack is not empty at STOP: {len(self.stack)} values are left")
        return root

    def pop(self, what: str) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self._refuse(f"{what}: stack is empty" + (" down to the last mark" if self.marks else ""))
        return self.stack.pop()

    def drop(self) -> None:
        """POP takes a mark away where that is on top."""
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop("POP")

    def top(self, what: str) -> Any:
        node = self.pop(what)
        self.stack.append(node)
        return node

    def to_mark(self, what: str) -> list[Any]:
        if not self.marks:
            raise self._refuse(f"{what}: there is no mark on the stack")
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def put(self, index: int) -> None:
        if not 0 <= index <= self.budget.limits.memo:
            raise self._refuse(f"memo index {index} is over the limit of {self.budget.limits.memo:,}")
        self.memo[index] = self.top("memo")

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise self._refuse(f"memo entry {index} does not exist")
        self.stack.append(self.memo[index])

    def append(self, what: str, added: list[Any]) -> None:
        target = self.top(f"{what} needs a list")
        if not isinstance(target, Items) or target.kind != "list":
            raise self._refuse(f"{what} needs a list, and meets a {kind_of(target)}")
        target.items.extend(added)

    def set_items(self, what: str, added: list[Any]) -> None:
        if len(added) % 2:
            raise self._refuse(f"{what}: odd number of items ({len(added)})")
        target = self.top(f"{what} needs a dict")
        if not isinstance(target, Mapping):
            raise self._refuse(f"{what} needs a dict, and meets a {kind_of(target)}")
        for key, value in zip(added[::2], added[1::2], strict=True):
            set_pair(target, key, value, self.at)

    def sequence(self, kind: str, items: list[Any]) -> None:
        self.stack.append(Items(kind, items, self.at))

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise self._refuse(f"a global's name is a {kind_of(module)} and a {kind_of(name)}, not two strings")
        self.stack.append(calls.check_global(str(module), str(name), self.at))

    def reduce(self, what: str) -> None:
        arguments, function = self.pop(what), self.pop(what)
        if not isinstance(function, Global):
            raise self._refuse(f"{what} needs an allowed global, not the result of a call (a {kind_of(function)})")
        if not isinstance(arguments, Items) or arguments.kind != "tuple":
            raise self._refuse(f"{what} of `{function}`: arguments are a {kind_of(arguments)}, not a tuple")
        made = calls.call(what, function, arguments.items, self.budget, self.at)
        if isinstance(made, Packed):
            made = legacy.read_storage(made.blob.data, made.blob.at, self.budget, read_pickle)
        self.stack.append(made)

    def build(self) -> None:
        state, target = self.pop("BUILD"), self.top("BUILD")
        if isinstance(target, Global):
            raise self._refuse(f"BUILD on a global that was never called (`{target}`)")
        calls.build(target, state, self.at)

    def persistent_id(self) -> None:
        node = self.pop("BINPERSID")
        if self.persistent is None:
            raise self._refuse("opcode BINPERSID is not allowed")
        self.stack.append(self.persistent(node, self.at))

    def take(self, kind: str, count: int) -> None:
        items = [self.pop(f"TUPLE{count}") for _ in range(count)]
        self.sequence(kind, items[::-1])


def _check_walk(root: Any, budget: Budget) -> None:
    """Raise FileRefused for nodes that a walk without memory would not come through: cycles, depth, sheer number.

    Every node is visited once; `reach` holds (depth, nodes reached) of those that are done, by their address.
    """
    limits = budget.limits
    reach: dict[int, tuple[int, int]] = {}
    under_way: set[int] = set()
    stack = [root]
    while stack:
        node = stack[-1]
        if id(node) in reach:
            stack.pop()
            continue
        below = children(node)
        if id(node) not in under_way:
            under_way.add(id(node))
            for child in below:
                if id(child) in under_way:
                    raise FileRefused(f"cycle: a {kind_of(child)} holds itself", getattr(child, "at", None))
                if id(child) not in reach:
                    stack.append(child)
            continue
        depth = 1 + max((reach[id(child)][0] for child in below), default=0)
        count = 1 + sum(reach[id(child)][1] for child in below)
        at = getattr(node, "at", None)
        if depth > limits.depth:
            raise FileRefused(f"nested deeper than the limit of {limits.depth}", at)
        if count > limits.walked:
            raise FileRefused(f"node limit: walking meets more than {limits.walked:,} nodes", at)
        reach[id(node)] = (depth, count)
        under_way.discard(id(node))
        stack.pop()


_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}

_Action = Callable[[_Machine, Any], None]

_ACTIONS: dict[str, _Action] = {
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": lambda m, _: m.drop(),
    "EMPTY_LIST": lambda m, _: m.sequence("list", []),
    "EMPTY_TUPLE": lambda m, _: m.sequence("tuple", []),
    "EMPTY_SET": lambda m, _: m.sequence("set", []),
    "EMPTY_DICT": lambda m, _: m.stack.append(Mapping("dict", {}, m.at)),
    "LIST": lambda m, _: m.sequence("list", m.to_mark("LIST")),
    "TUPLE": lambda m, _: m.sequence("tuple", m.to_mark("TUPLE")),
    "TUPLE1": lambda m, _: m.take("tuple", 1),
    "TUPLE2": lambda m, _: m.take("tuple", 2),
    "TUPLE3": lambda m, _: m.take("tuple", 3),
    "DICT": lambda m, _: _dict(m),
    "APPEND": lambda m, _: _append(m),
    "APPENDS": lambda m, _: m.append("APPENDS", m.to_mark("APPENDS")),
    "SETITEM": lambda m, _: _set_item(m),
    "SETITEMS": lambda m, _: m.set_items("SETITEMS", m.to_mark("SETITEMS")),
    "PUT": lambda m, index: m.put(index),
    "BINPUT": lambda m, index: m.put(index),
    "LONG_BINPUT": lambda m, index: m.put(index),
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    "GET": lambda m, index: m.get(index),
    "BINGET": lambda m, index: m.get(index),
    "LONG_BINGET": lambda m, index: m.get(index),
    "GLOBAL": lambda m, names: m.name(*names),
    "STACK_GLOBAL": lambda m, _: _stack_global(m),
    "REDUCE": lambda m, _: m.reduce("REDUCE"),
    "NEWOBJ": lambda m, _: m.reduce("NEWOBJ"),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": lambda m, _: m.persistent_id(),
}


def _dict(m: _Machine) -> None:
    pairs = m.to_mark("DICT")
    m.stack.append(Mapping("dict", {}, m.at))
    m.set_items("DICT", pairs)


def _append(m: _Machine) -> None:
    value = m.pop("APPEND")
    m.append("APPEND", [value])


def _set_item(m: _Machine) -> None:
    value, key = m.pop("SETITEM"), m.pop("SETITEM")
    m.set_items("SETITEM", [key, value])


def _stack_global(m: _Machine) -> None:
    name, module = m.pop("STACK_GLOBAL"), m.pop("STACK_GLOBAL")
    m.name(module, name)
