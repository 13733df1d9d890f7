"""SipHash with any numbers of rounds, plainly, on Python's integers."""

from __future__ import annotations

MASK = 2**64 - 1


def siphash(message: bytes, key: tuple[int, int], rounds: int = 1, last_rounds: int = 3) -> int:
    """SipHash-`rounds`-`last_rounds` of a message."""
    k0, k1 = key
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D]
    v += [k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    whole = len(message) // 8 * 8
    words = [int.from_bytes(message[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(message[whole:], "little") | (len(message) & 0xFF) << 56)
    for word in words:
        v[3] ^= word
        for _ in range(rounds):
            _round(v)
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(last_rounds):
        _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _round(v: list[int]) -> None:
    v[0] = (v[0] + v[1]) & MASK
    v[1] = _rotated(v[1], 13) ^ v[0]
    v[0] = _rotated(v[0], 32)
    v[2] = (v[2] + v[3]) & MASK
    v[3] = _rotated(v[3], 16) ^ v[2]
    v[0] = (v[0] + v[3]) & MASK
    v[3] = _rotated(v[3], 21) ^ v[0]
    v[2] = (v[2] + v[1]) & MASK
    v[1] = _rotated(v[1], 17) ^ v[2]
    v[2] = _rotated(v[2], 32)


def _rotated(value: int, by: int) -> int:
    return ((value << by) | (value >> (64 - by))) & MASK
