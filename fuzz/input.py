"""Choices made by the octets of an input, from its front: a small change of it is a small change of what happens."""

from __future__ import annotations


class Input:
    """What is left of an input."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def number(self, below: int) -> int:
        """A number from 0, by the next octet; 0 where there is none. `below` is at most 256."""
        octet, self.rest = self.rest[:1], self.rest[1:]
        return octet[0] % below if octet else 0

    def pieces(self, octets: bytes, cuts: int) -> list[bytes]:
        """`octets` cut in at most `cuts` places, by as many octets of the input."""
        found = []
        for _ in range(cuts):
            size = self.number(256)
            found.append(octets[:size])
            octets = octets[size:]
        return [*found, octets]
