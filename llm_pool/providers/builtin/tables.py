"""How tables of words are written in this package: one text, read when the module is."""

from __future__ import annotations


def listed(text: str) -> frozenset[str]:
    """The words of a text that spaces and line ends separate."""
    return frozenset(text.split())


def phrases(text: str) -> tuple[str, ...]:
    """The phrases of a text that `|` separates, line ends among them allowed."""
    return tuple(" ".join(phrase.split()) for phrase in text.split("|"))
