"""Parse TOML that a person wrote: what would keep a parser busy is refused before, and every mistake has its line."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from llm_pool.config.locate import absurd
from llm_pool.config.problems import ConfigError


def decoded(content: bytes, name: str) -> str:
    """The text of a file. Raises ConfigError."""
    try:
        return content.decode("utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{name}:{line}: is not UTF-8") from None


def parsed(text: str, name: str) -> dict[str, Any]:
    """The tables of a text. Raises ConfigError."""
    if refused := absurd(text):
        line, why = refused
        raise ConfigError(f"{name}:{line}: {why}")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax(str(error), text, name)) from None
    except (ValueError, RecursionError):  # such as an integer of more than 4,300 digits
        raise ConfigError(f"{name}:1: holds a value that cannot be read") from None


def _syntax(said: str, text: str, name: str) -> str:
    """tomllib's message with its place in front: `Invalid value (at line 3, column 8)`."""
    match = re.fullmatch(r"(?P<what>.*) \(at (line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", said)
    if not match:
        return f"{name}:1: not TOML: {said}"
    line = match["line"] or len(text.rstrip("\n").split("\n"))
    column = f" (column {match['column']})" if match["column"] else " (end of file)"
    return f"{name}:{line}: not TOML: {match['what'][:1].lower()}{match['what'][1:]}{column}"
