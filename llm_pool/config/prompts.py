"""The prompt of a task: a Markdown file, with TOML front matter between two lines of `+++`.

    +++
    description = "Choose the best of several candidates, or none"
    max_tokens = 256
    temperature = 0.0
    [schema]                    # the JSON Schema of the answer; without it the answer is free text
    type = "object"
    +++
    You choose the candidate that ...

What follows the front matter is the system message, word for word: nothing is put into it. A file without front matter
is all system message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from llm_pool.config.base import Filled, Positive, Section
from llm_pool.config.locate import lines
from llm_pool.config.problems import ConfigError
from llm_pool.config.schemas import NoSchema, spec_of
from llm_pool.config.toml import decoded
from llm_pool.config.toml import parsed as toml
from llm_pool.core.errors import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from llm_pool.config.locate import KeyPath
    from llm_pool.core.types import Spec

FOLDER = "prompts"
MOST_BYTES = 64 * 1024
FENCE = "+++"
_FILE = r"[\w. -]{1,80}"

# The tasks that are always there. Their prompts come with the package; a file of the same name in a `prompts` folder
# beside the configuration takes the place of one.
BUILT_IN: Mapping[str, str] = {
    "chat": "chat.md",
    "expand_queries": "expand_queries.md",
    "site_tactics": "site_tactics.md",
    "rerank_candidates": "rerank.md",
    "judge": "judge.md",
    "recovery_plan": "recovery_plan.md",
    "enrich_metadata": "enrich_metadata.md",
}


class Ids(Section):
    """How an answer must use the ids of the question's candidates."""

    each: Filled | None = Field(None, description="key of the list that holds every id exactly once")
    one: Filled | None = Field(None, description="key whose value is one of the ids")


class Head(Section):
    """The front matter."""

    description: str = ""
    max_tokens: Positive | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    ids: Ids = Ids()
    answer: dict[str, Any] | None = Field(None, alias="schema")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a file says. `spec` is its schema, compiled; `file` is how messages call it."""

    file: str = ""
    head: Head = Head()
    system: str = ""
    spec: Spec | None = None


def file_of(task: str, folders: Iterable[Path]) -> Path | None:
    """The prompt of a task in the first of these folders that has one."""
    name = BUILT_IN.get(task, f"{task}.md")
    if not re.fullmatch(_FILE, name):  # a task that only a provider names may be called anything
        return None
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def parsed(content: bytes, name: str) -> Prompt:
    """Read a prompt file; `name` is how messages call it. Raises ConfigError."""
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{name}: larger than {MOST_BYTES // 1024} KB")
    text = decoded(content, name).replace("\r\n", "\n")
    front, system = _split(text, name)
    head = _head(front, name)
    return Prompt(name, head, system.strip(), _spec(head, front, name))


def _split(text: str, name: str) -> tuple[str, str]:
    """Front matter, its line numbers kept, and the rest."""
    first = text.partition("\n")[0].rstrip()
    if first == "---":
        raise ConfigError(f"{name}:1: front matter is TOML here, between two lines of {FENCE}")
    if first != FENCE:
        if late := re.search(rf"^{re.escape(FENCE)}[ \t]*$", text, re.MULTILINE):
            line = text.count("\n", 0, late.start()) + 1
            raise ConfigError(f"{name}:{line}: front matter begins with a {FENCE} in the first line, not here")
        return "", text
    end = re.search(rf"^{re.escape(FENCE)}[ \t]*$", text[len(FENCE) :], re.MULTILINE)
    if end is None:
        raise ConfigError(f"{name}:1: the front matter has no second line of {FENCE}")
    return text[len(FENCE) : len(FENCE) + end.start()], text[len(FENCE) + end.end() :]


def _head(front: str, name: str) -> Head:
    try:
        return Head.model_validate(toml(front, name))
    except ValidationError as error:
        raise ConfigError(*(_problem(each, front, name) for each in error.errors(include_url=False))) from None


def _problem(error: ErrorDetails, front: str, name: str) -> str:
    path: KeyPath = tuple(error["loc"])
    where = f"{name}:{lines(front).of(path)}"
    if error["type"] == "extra_forbidden":
        table = Ids if path[0] == "ids" and len(path) > 1 else Head
        near = nearest(str(path[-1]), [field.alias or key for key, field in table.model_fields.items()])
        return f'{where}: unknown key "{shown(str(path[-1]))}"' + (f'; did you mean "{near}"?' if near else "")
    return f"{where}: {'.'.join(map(str, path))}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _spec(head: Head, front: str, name: str) -> Spec | None:
    if head.answer is None:
        if head.ids != Ids():
            raise ConfigError(f"{name}:{lines(front).of(('ids',))}: ids: there is no schema whose keys these could be")
        return None
    try:
        spec = spec_of(head.answer)
    except NoSchema as error:
        at = ("schema", *error.at)
        raise ConfigError(f"{name}:{lines(front).of(at)}: {'.'.join(map(str, at))}: {error}") from None
    for key, value in (("each", head.ids.each), ("one", head.ids.one)):
        if value is not None and value not in head.answer.get("properties", {}):
            where = f"{name}:{lines(front).of(('ids', key))}"
            raise ConfigError(f'{where}: ids.{key}: the schema has no property "{shown(value)}"')
    return spec
