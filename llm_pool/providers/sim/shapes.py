"""Random JSON that fits a schema. Pure.

Supported: `type` (one or a list), `properties`, `required`, `additionalProperties`, `items`, `enum`, `const`,
`minItems`, `maxItems`, `uniqueItems` (of strings, integers and enumerations), `minLength`, `maxLength`, `minimum`,
`maximum`, `exclusiveMinimum`, `exclusiveMaximum`, whole `multipleOf`, `anyOf`, `oneOf`, `allOf` (of objects) and
`$ref` to `#/$defs/...` or `#/definitions/...`. Anything else is refused by name when the schema is read (`schema.py`).

All properties are drawn, required or not. Only a schema that refers to itself is cut: inside the second visit of a
`$ref`, and once `_BUDGET` values are drawn, options of least `cost` are taken, lists are as short as they may be and
optional properties are left out. Each reference followed then costs less than the one before, so the value is finite.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias, assert_never

from llm_pool.providers.sim.grammar import (
    LETTERS,
    UNIQUE_LETTERS,
    Array,
    Choice,
    Fixed,
    Grammar,
    Integer,
    Loose,
    Node,
    Number,
    Object,
    Ref,
    String,
    resolved,
)
from llm_pool.providers.sim.schema import read

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping
    from typing import Any

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_BUDGET = 1000  # values, counting those within others
_VISITS = 2  # of one reference within itself before it is cut
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "iris", "juniper", "kestrel", "lark")


class Shape:
    """A schema, checked once and drawn from as often as asked."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises ValueError naming the place and the keyword that is not supported or contradicts another."""
        self._grammar = read(schema)

    def draw(self, rng: random.Random) -> Json:
        """A value that fits. Equal states of `rng` give equal values."""
        return _Draw(self._grammar, rng).value(self._grammar.root)


def shaped(schema: Mapping[str, Any], rng: random.Random) -> Json:
    """A value that fits `schema`. Raises ValueError as `Shape` does; use that to draw more than once."""
    return Shape(schema).draw(rng)


class _Draw:
    """One value in the making."""

    def __init__(self, grammar: Grammar, rng: random.Random) -> None:
        self._grammar = grammar
        self._rng = rng
        self._left = _BUDGET
        self._visits = dict.fromkeys(grammar.refs, 0)
        self._cut = 0  # how many references are being visited too often

    def value(self, node: Node) -> Json:
        self._left -= 1
        value: Json
        match node:
            case Fixed():
                value = self._rng.choice(node.values)
            case Integer():
                value = node.first + node.step * self._rng.randrange(node.count)
            case Number():
                value = self._number(node)
            case String():
                value = self._text(node)
            case Array():
                value = self._list(node)
            case Object():
                value = {name: self.value(part) for name, part in node.properties.items() if self._draws(node, name)}
            case Choice():
                value = self.value(self._option(node))
            case Ref():
                value = self._visit(node)
            case Loose():
                value = self.value(node.node)
            case _:
                assert_never(node)
        return value

    @property
    def _small(self) -> bool:
        return self._cut > 0 or self._left < 0

    def _draws(self, owner: Object, name: str) -> bool:
        return name in owner.required or not (self._small or self._is_endless(owner.properties[name]))

    def _is_endless(self, node: Node) -> bool:
        return math.isinf(self._grammar.cost(node))

    def _option(self, node: Choice) -> Node:
        if self._small:
            return min(node.options, key=self._grammar.cost)
        return self._rng.choice([option for option in node.options if not self._is_endless(option)])

    def _visit(self, node: Ref) -> Json:
        self._visits[node.name] += 1
        too_often = self._visits[node.name] >= _VISITS
        self._cut += too_often
        try:
            return self.value(self._grammar.refs[node.name])
        finally:
            self._cut -= too_often
            self._visits[node.name] -= 1

    def _list(self, node: Array) -> Json:
        count = self._length(node)
        if self._small or self._is_endless(node.items):
            count = node.low
        if not node.unique:
            return [self.value(node.items) for _ in range(count)]
        items = resolved(node.items, self._grammar.refs)
        match items.node if isinstance(items, Loose) else items:
            case Fixed() as items:
                return self._rng.sample(items.values, count)
            case Integer() as items:
                return [items.first + items.step * drawn for drawn in self._rng.sample(range(items.count), count)]
            case String() as items:
                drawn_from = min(items.high, UNIQUE_LETTERS)
                drawn = self._rng.sample(range(len(LETTERS) ** drawn_from), count)
                return [_lettered(number, drawn_from).ljust(items.low, LETTERS[0]) for number in drawn]
            case _:
                raise AssertionError("the schema was read without seeing what must be unique")

    def _number(self, node: Number) -> float:
        value = min(node.low + (node.high - node.low) * self._rng.random(), node.high)
        short = round(value, 2)
        if node.low < short < node.high:
            return short
        if (node.low_open and value <= node.low) or (node.high_open and value >= node.high):
            return (node.low + node.high) / 2
        return value

    def _text(self, node: String) -> str:
        length = self._length(node)
        text = self._rng.choice(_WORDS)
        while len(text) < length:
            text += " " + self._rng.choice(_WORDS)
        return text[:length]

    def _length(self, node: String | Array) -> int:
        """Not empty where that is allowed: it shows nothing."""
        return self._rng.randint(max(node.low, min(1, node.high)), node.high)


def _lettered(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, letter = divmod(number, len(LETTERS))
        letters.append(LETTERS[letter])
    return "".join(letters)
