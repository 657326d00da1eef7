"""How much a file may hold, and how much may come of it."""

from dataclasses import dataclass

from workers.generator.reading.refusals import FileRefused

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Caps of one reading. The published networks need a tenth of each."""

    file_bytes: int = 4096 * MIB
    """Of the file."""
    opcodes: int = 2_000_000
    """Of all pickles in a file together."""
    memo: int = 1_000_000
    """Largest index of a memo entry."""
    text_bytes: int = 4 * MIB
    """Of one string."""
    name_bytes: int = 256
    """Of a global's module or name, and of a number's digits."""
    long_bytes: int = 16
    """Of a whole number: torch's magic number has 10."""
    depth: int = 48
    """Of containers within containers."""
    walked: int = 4_000_000
    """Nodes, each counted as often as it is reached: what a walk without memory would visit."""
    tensor_bytes: int = 4096 * MIB
    """Of all tensors that the file describes, each counted as often as it is described."""
    members: int = 100_000
    """Of an archive."""
    facts_bytes: int = 4 * MIB
    """Of all that is said beside the tensors, as JSON."""


class Budget:
    """What is left of the limits that add up over a file."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._opcodes = 0
        self._tensor_bytes = 0

    def opcode(self, at: int) -> None:
        """Count an opcode; raises FileRefused."""
        self._opcodes += 1
        if self._opcodes > self.limits.opcodes:
            raise FileRefused(f"more than {self.limits.opcodes:,} opcodes", at)

    def tensor(self, count: int, at: int) -> None:
        """Count a tensor's bytes; raises FileRefused."""
        self._tensor_bytes += count
        if self._tensor_bytes > self.limits.tensor_bytes:
            raise FileRefused(f"total tensor bytes over the limit of {self.limits.tensor_bytes:,}", at)
