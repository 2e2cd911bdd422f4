"""How often a schema makes a validator look at one value: what a chain of alternatives multiplies at every step. Pure.

A schema of a kilobyte can ask for more looks than there is time for: each of its alternatives leads to the same two
next ones, and so on; or it leads back to itself by two ways, and each level of the value doubles them. So before a
value is held against a schema of a caller, the looks are counted: along the ways through the schema, level by level of
the value, without following any of them.

1. *In place* lead the keywords that hold the same value against another schema (`anyOf`, `$ref`, `if` ...); *deeper*
   those that hold a part of it (`properties`, `items` ...). In place all of them are looked at; deeper one of those
   that share the parts between them.
2. A way that leads back to its beginning in place would never end: such a schema is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST_SCHEMAS = 5_000  # within one schema; beyond it counting itself would take long
MOST_LOOKS = 10**9  # where counting ends: more is more

_ONE = ("not", "if", "then", "else", "$ref")
_SEVERAL = ("allOf", "anyOf", "oneOf")
_NAMED = ("dependentSchemas",)
# Of an object's parts each has a schema by its name, or this one; of a list's by its place, or this one.
_REST_OF_OBJECT = ("additionalProperties", "unevaluatedProperties")
_REST_OF_LIST = ("items", "additionalItems", "unevaluatedItems")
_EVERY_PART = ("contains", "propertyNames")

Object = dict[str, Any]


class Endless(ValueError):
    """It cannot be counted: it leads back to itself, is too large, or refers to somewhere else."""


@dataclass(slots=True)
class _Node:
    in_place: list[int] = field(default_factory=list)
    shared: list[list[int]] = field(default_factory=list)  # of each group a part meets one
    all: list[int] = field(default_factory=list)  # which every part may meet


class Branching:
    """The looks at a value that one schema may ask for. Raises Endless."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = schema
        self._ids: dict[int, int] = {}  # of the schemas, by the identity of their objects
        self._nodes: list[_Node] = []
        self._walk(schema)
        self._order = self._sorted()
        self._levels: list[list[int]] = []  # looks of each schema at a value of so many levels

    def looks(self, value: object) -> int:
        """At most so many, with each part of the value counted. `value` is JSON."""
        parts, levels = _size(value)
        while len(self._levels) <= levels and (not self._levels or self._levels[-1][0] < MOST_LOOKS):
            self._levels.append(self._level(self._levels[-1] if self._levels else None))
        return parts * self._levels[min(levels, len(self._levels) - 1)][0]

    def _level(self, below: Sequence[int] | None) -> list[int]:
        looks = [0] * len(self._nodes)
        for index in self._order:  # what is led to in place comes first
            node = self._nodes[index]
            count = 1 + sum(looks[each] for each in node.in_place)
            if below is not None:
                count += sum(below[each] for each in node.all)
                count += max([max(below[each] for each in group) for group in node.shared], default=0)
            looks[index] = min(count, MOST_LOOKS)
        return looks

    # --- The ways ---------------------------------------------------------------------------------------------------

    def _walk(self, root: Mapping[str, Any]) -> None:
        waiting: list[Any] = [root]
        self._known(root)
        done = 0
        while done < len(waiting):
            schema = waiting[done]
            node = self._nodes[done]
            done += 1
            for place, others in _led_to(schema, self._target):
                found = []
                for other in others:
                    if id(other) not in self._ids:
                        waiting.append(other)
                    found.append(self._known(other))
                if place == "in place":
                    node.in_place += found
                elif place == "all":
                    node.all += found
                elif found:
                    node.shared.append(found)

    def _known(self, schema: object) -> int:
        number = self._ids.get(id(schema))
        if number is None:
            if len(self._nodes) >= MOST_SCHEMAS:
                raise Endless(f"holds more than {MOST_SCHEMAS} schemas")
            number = self._ids[id(schema)] = len(self._nodes)
            self._nodes.append(_Node())
        return number

    def _target(self, reference: object) -> object:
        if reference != "#" and not (isinstance(reference, str) and reference.startswith("#/")):
            raise Endless('refers to somewhere else: "$ref" must begin with "#/"')
        place: Any = self._root
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(place, dict) and name in place:
                place = place[name]
            elif isinstance(place, list) and name.isdecimal() and int(name) < len(place):
                place = place[int(name)]
            else:
                raise Endless('refers to what is not there: "$ref"')
        return place

    def _sorted(self) -> list[int]:
        """Each schema behind those that it leads to in place."""
        order: list[int] = []
        state = [0] * len(self._nodes)  # 1: begun, 2: done
        for start in range(len(self._nodes)):
            stack = [(start, iter(self._nodes[start].in_place))] if not state[start] else []
            state[start] = state[start] or 1
            while stack:
                index, others = stack[-1]
                following = next(others, None)
                if following is None:
                    state[index] = 2
                    order.append(index)
                    stack.pop()
                elif state[following] == 1:
                    raise Endless("leads back to itself, without end")
                elif not state[following]:
                    state[following] = 1
                    stack.append((following, iter(self._nodes[following].in_place)))
        return order


def _led_to(schema: object, target: Any) -> Iterator[tuple[str, list[Any]]]:
    """The schemas that this one leads to, and how."""
    if not isinstance(schema, dict):
        return
    if "$dynamicRef" in schema or "$recursiveRef" in schema:
        raise Endless("refers to what only its use decides")
    for key in _ONE:
        if key in schema:
            yield "in place", [target(schema[key]) if key == "$ref" else schema[key]]
    for key in _SEVERAL:
        if isinstance(schema.get(key), list):
            yield "in place", schema[key]
    for key in _NAMED:
        if isinstance(schema.get(key), dict):
            yield "in place", list(schema[key].values())
    yield "all", [schema[key] for key in _EVERY_PART if key in schema]
    yield "all", list(_values(schema, "patternProperties"))
    yield "shared", [*_values(schema, "properties"), *(schema[key] for key in _REST_OF_OBJECT if key in schema)]
    yield "shared", [*_listed(schema, "prefixItems"), *(each for key in _REST_OF_LIST for each in _listed(schema, key))]


def _values(schema: Object, key: str) -> list[Any]:
    value = schema.get(key)
    return list(value.values()) if isinstance(value, dict) else []


def _listed(schema: Object, key: str) -> list[Any]:
    """A list of schemas, or one."""
    if key not in schema:
        return []
    value = schema[key]
    return value if isinstance(value, list) else [value]


def _size(value: object) -> tuple[int, int]:
    """How many parts a JSON value has, itself included, and how many levels below it."""
    parts, levels = 0, -1
    level: list[Any] = [value]
    while level:
        levels += 1
        parts += len(level)
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += each.values()
            elif isinstance(each, list):
                below += each
        level = below
    return parts, levels
