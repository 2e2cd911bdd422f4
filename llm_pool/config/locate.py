"""Find the line of a key in a TOML text, and refuse a text whose shape alone would keep a parser busy.

`tomllib` keeps no positions, so the text is cut into tokens a second time, much more simply: strings, comments and
punctuation. That is enough, because a text reaches `lines` only after tomllib has found it valid.

`absurd` runs before tomllib, over the same tokens: a dotted key of 20,000 parts costs tomllib ten seconds, and deeply
nested brackets its stack. It is linear, and wrong TOML does not confuse it more than it confuses a reader.
"""

from __future__ import annotations

import contextlib
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KeyPath = tuple[str | int, ...]  # ("providers", 1, "weight"): names, and positions in arrays from 0

MOST_DOTS = 32
MOST_NESTING = 32

# Possessive quantifiers keep it linear; a string that never ends is one token to the end of its line or of the text.
_TOKEN = re.compile(
    r"""
      (?P<string> "{3} (?:[^"\\]|\\.?|"(?!""))*+ (?:"{3,5}|\Z)
                | '{3} (?:[^']|'(?!''))*+ (?:'{3,5}|\Z)
                | " (?:[^"\\\n]|\\[^\n])*+ "?
                | ' [^'\n]*+ '? )
    | (?P<mark> [\[\]{}.,=\n] )
    | (?P<bare> [^\s\[\]{}.,="'\#]++ )
    | \#[^\n]*+
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # string | mark | bare | end
    text: str
    line: int


def absurd(text: str) -> tuple[int, str] | None:
    """The line and the reason why no parser should see this text; None for every sensible one."""
    dots = depth = 0
    for token in _tokens(text):
        if token.kind != "mark":
            continue
        dots = dots + 1 if token.text == "." else 0
        if token.text in "[{":
            depth += 1
        elif token.text in "]}":
            depth -= 1
        if dots > MOST_DOTS:
            return token.line, f"a key of more than {MOST_DOTS + 1} parts"
        if depth > MOST_NESTING:
            return token.line, f"brackets nested more than {MOST_NESTING} deep"
    return None


@dataclass(frozen=True, slots=True)
class Lines:
    """Where each key of one text stands. `stated` are keys and tables written out, `implied` the tables they imply."""

    stated: dict[KeyPath, int] = field(default_factory=dict)
    implied: dict[KeyPath, int] = field(default_factory=dict)

    def of(self, path: KeyPath) -> int:
        """The line (from 1) of this key, or of the nearest table around it; 1 where there is none."""
        for end in range(len(path), 0, -1):
            for known in (self.stated, self.implied):
                if line := known.get(path[:end]):
                    return line
        return 1

    def __contains__(self, path: KeyPath) -> bool:
        return path in self.stated or path in self.implied


def lines(text: str) -> Lines:
    """The index of a valid TOML text."""
    return _Reader(text).read()


def _tokens(text: str) -> Iterator[Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup:  # else a comment
            yield Token(match.lastgroup, match[0], line)
        line += match[0].count("\n")


class _Reader:
    """Walks over the statements of a text, noting where each begins."""

    def __init__(self, text: str) -> None:
        self._rest = _tokens(text)
        self._now = Token("mark", "\n", 1)
        self._found = Lines()
        self._arrays: dict[KeyPath, int] = {}  # of [[tables]]: the position of the last one
        self._next()

    def read(self) -> Lines:
        table: KeyPath = ()
        while self._now.kind != "end":
            if self._at("\n"):
                self._next()
            elif self._at("["):
                table = self._header()
                self._to_end_of_line()
            else:
                self._pair(table)
                self._to_end_of_line()
        return self._found

    def _header(self) -> KeyPath:
        line = self._now.line
        self._next()
        many = self._at("[")
        if many:
            self._next()
        *above, last = self._key()
        path: KeyPath = ()
        for part in above:
            path = self._element((*path, part))
            self._found.implied.setdefault(path, line)
        path = (*path, last)
        if many:
            self._found.stated.setdefault(path, line)
            self._arrays[path] = self._arrays.get(path, -1) + 1
            path = self._element(path)
        self._found.stated.setdefault(path, line)
        return path

    def _element(self, path: KeyPath) -> KeyPath:
        """`[providers.sim]` speaks of the last `[[providers]]`."""
        return (*path, self._arrays[path]) if path in self._arrays else path

    def _pair(self, table: KeyPath) -> None:
        line = self._now.line
        parts = self._key()
        for end in range(1, len(parts)):
            self._found.implied.setdefault((*table, *parts[:end]), line)
        path = (*table, *parts)
        self._found.stated.setdefault(path, line)
        if self._at("="):
            self._next()
            self._value(path)

    def _key(self) -> list[str]:
        parts = []
        while self._now.kind in {"string", "bare"} or self._at("."):
            if not self._at("."):
                parts.append(_unquoted(self._now))
            self._next()
        return parts or [""]

    def _value(self, path: KeyPath) -> None:
        if self._at("{"):
            self._inline_table(path)
        elif self._at("["):
            self._array(path)
        else:
            while not (self._now.kind == "mark" and self._now.text in ",]}\n") and self._now.kind != "end":
                self._next()

    def _inline_table(self, path: KeyPath) -> None:
        self._next()
        while not self._at("}") and self._now.kind != "end":
            before = self._now
            if not (self._at(",") or self._at("\n")):
                self._pair(path)
            if self._now is before:
                self._next()
        self._next()

    def _array(self, path: KeyPath) -> None:
        self._next()
        position = 0
        while not self._at("]") and self._now.kind != "end":
            before = self._now
            if self._at(","):
                position += 1
            elif not self._at("\n"):
                self._found.stated.setdefault((*path, position), self._now.line)
                self._value((*path, position))
            if self._now is before:
                self._next()
        self._next()

    def _to_end_of_line(self) -> None:
        while not self._at("\n") and self._now.kind != "end":
            self._next()

    def _at(self, mark: str) -> bool:
        return self._now.kind == "mark" and self._now.text == mark

    def _next(self) -> None:
        self._now = next(self._rest, Token("end", "", 0))


def _unquoted(token: Token) -> str:
    if token.kind == "bare":
        return token.text
    if "\\" in token.text and token.text.startswith('"'):
        with contextlib.suppress(tomllib.TOMLDecodeError):
            return str(tomllib.loads(f"key = {token.text}")["key"])
    return token.text[1:-1]
