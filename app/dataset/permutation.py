"""A keyed permutation of any length, by formula."""


def _mix(value: int) -> int:
    """Scramble 64 bits (the finalizer of SplitMix64)."""
    value = (value + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return value ^ (value >> 31)


def permuted(index: int, size: int, key: int) -> int:
    """Where a keyed permutation of 0 … size-1 sends `index`; no list is made, however large `size` is.

    A four-round Feistel network over the next even number of bits, walked until it lands inside.
    """
    if not 0 <= index < size:
        raise ValueError(f"index {index} is not in 0 … {size - 1}")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    value = index
    while True:
        left, right = value >> half, value & mask
        for turn in range(4):
            left, right = right, left ^ (_mix(right ^ _mix(key * 4 + turn)) & mask)
        value = (left << half) | right
        if value < size:
            return value
