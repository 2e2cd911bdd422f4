"""The small grammar that a JSON schema is translated to, and what can be said about it without drawing. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

LETTERS = "abcdefghijklmnopqrstuvwxyz"  # what strings are made of
UNIQUE_LETTERS = 8  # of a string that must be unique, this many are drawn, and the rest is the first letter
MOST = 10_000  # values that a schema may force upon us


@dataclass(frozen=True, slots=True)
class Fixed:
    """One of these values."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Integer:
    """`first`, or that plus a multiple of `step`: `count` values in all."""

    first: int
    step: int
    count: int


@dataclass(frozen=True, slots=True)
class Number:
    """From `low` to `high`, without the ends that are open."""

    low: float
    high: float
    low_open: bool
    high_open: bool


@dataclass(frozen=True, slots=True)
class String:
    """`low` to `high` characters; `high` is the schema's or, where that says nothing, the usual."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Array:
    """`low` to `high` items, as in `String`."""

    items: Node
    low: int
    high: int
    unique: bool


@dataclass(frozen=True, slots=True)
class Object:
    """`closed`: it takes no property beside these."""

    properties: Mapping[str, Node]
    required: frozenset[str]
    closed: bool


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Ref:
    name: str


@dataclass(frozen=True, slots=True)
class Loose:
    """Drawn like `node`, but says no `type`: it also accepts every value that its keywords are not about."""

    node: Node


_KINDS = ((type(None), "null"), ((int, float), "number"), (str, "string"), (list, "array"), (dict, "object"))

Node: TypeAlias = Fixed | Integer | Number | String | Array | Object | Choice | Ref | Loose


@dataclass(frozen=True, slots=True)
class Grammar:
    """Where to begin, what each `$ref` stands for, and the cost of every node by its `id`."""

    root: Node
    refs: Mapping[str, Node]
    costs: Mapping[int, float]

    @classmethod
    def of(cls, root: Node, refs: Mapping[str, Node]) -> Grammar:
        known = dict.fromkeys(refs, math.inf)
        for _ in refs:  # each round settles at least one more, as in Bellman and Ford's shortest paths
            known = {name: 1 + _cost(node, known, {}) for name, node in refs.items()}
        costs: dict[int, float] = {}
        for node in (root, *refs.values()):
            _cost(node, known, costs)
        return cls(root, refs, costs)

    def cost(self, node: Node) -> float:
        """How many values and references the smallest value is made of; infinite where that is over `MOST`."""
        return self.costs[id(node)]


def _cost(node: Node, refs: Mapping[str, float], costs: dict[int, float]) -> float:
    """The cost of a node, also noted in `costs` together with those of all nodes within it."""
    cost = 1.0
    match node:
        case Ref():
            cost = refs[node.name]
        case Loose():
            cost = _cost(node.node, refs, costs)
        case Choice():
            cost = min(_cost(option, refs, costs) for option in node.options)
        case Array():
            item = _cost(node.items, refs, costs)
            cost += node.low * item if node.low else 0
        case Object():
            parts = {name: _cost(part, refs, costs) for name, part in node.properties.items()}
            cost += sum(parts[name] for name in node.required)
        case _:
            pass
    costs[id(node)] = cost if cost <= MOST else math.inf
    return costs[id(node)]


def resolved(node: Node, refs: Mapping[str, Node]) -> Node:
    """What a reference, or a reference to one, stands for. One in a circle stays a reference."""
    for _ in refs:
        if isinstance(node, Ref):
            node = refs[node.name]
    return node


def circles(refs: Mapping[str, Node]) -> list[str]:
    """References that lead back to themselves without a step into a list or an object."""
    direct = {name: _at_once(node) for name, node in refs.items()}
    reached = direct
    for _ in refs:
        reached = {name: names.union(*(direct[other] for other in names)) for name, names in reached.items()}
    return [name for name, names in reached.items() if name in names]


def _at_once(node: Node) -> set[str]:
    match node:
        case Ref():
            return {node.name}
        case Choice():
            return set[str]().union(*map(_at_once, node.options))
        case _:
            return set()


def different(node: Node) -> int | None:
    """How many different values can be drawn; None where that is not known."""
    match node:
        case Loose():
            return different(node.node)
        case Fixed():
            return len(node.values)
        case Integer():
            return node.count
        case String():
            return int(len(LETTERS) ** min(node.high, UNIQUE_LETTERS))
        case _:
            return None


def apart(one: Node, other: Node, refs: Mapping[str, Node], seen: frozenset[tuple[int, int]] = frozenset()) -> bool:
    """Whether no value drawn from either fits the other. False also where that cannot be seen."""
    one, other = resolved(one, refs), resolved(other, refs)
    if (id(one), id(other)) in seen:
        return False
    seen |= {(id(one), id(other))}
    if isinstance(one, Choice):
        return all(apart(option, other, refs, seen) for option in one.options)
    if isinstance(other, Choice):
        return apart(other, one, refs, seen)
    loose = isinstance(one, Loose) or isinstance(other, Loose)
    one = one.node if isinstance(one, Loose) else one
    other = other.node if isinstance(other, Loose) else other
    if isinstance(one, Object) and isinstance(other, Object):
        return _rejects(one, other, refs, seen) and _rejects(other, one, refs, seen)
    if isinstance(one, Fixed) and isinstance(other, Fixed):
        return not any(value == another for value in one.values for another in other.values)
    return not loose and _kinds(one).isdisjoint(_kinds(other))


def _rejects(one: Object, other: Object, refs: Mapping[str, Node], seen: frozenset[tuple[int, int]]) -> bool:
    """Whether `one` is sure to reject what is drawn from `other`."""
    if one.required - other.properties.keys() or (one.closed and other.required - one.properties.keys()):
        return True
    shared = other.required & one.properties.keys()
    return any(apart(one.properties[name], other.properties[name], refs, seen) for name in shared)


def kind(value: object) -> str:
    """The JSON type of a value, "number" for integers too; "" where it has none."""
    if isinstance(value, bool):
        return "boolean"  # before "number", for a bool is an int
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    return next((name for types, name in _KINDS if isinstance(value, types)), "")


def _kinds(node: Node) -> set[str]:
    match node:
        case Fixed():
            return {kind(value) for value in node.values}
        case Integer() | Number():
            return {"number"}
        case _:
            return {type(node).__name__.lower()}
