"""What a request asks: its last message, read as JSON where it is some, else as lines. Pure and bounded."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.candidates import MOST_CHARACTERS, Candidate, Question, read
from llm_pool.core.errors import InvalidRequest
from llm_pool.core.types import Text
from llm_pool.providers.builtin.text import MOST, clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llm_pool.core.types import Message, Request

_DEEPEST = 12  # levels of JSON that are read: nobody's question lies deeper
_MOST_STRINGS = 2_000
_MOST_LEAVES = 10_000  # of a JSON value, those that say nothing included
_LARGEST = 1e15  # of a number: beyond it nothing is compared any more
_MOST_LINES = 1_000  # as candidates of a JSON list

# "a) ...", "(1) ...", "2. ...", "Option B: ...", "id-7: ...": only after such a word a label may follow a space.
_LABELLED = re.compile(
    r"^(?:(?:option|candidate|answer|opção|opcao|candidato|resposta|item)\s+)?"
    r"[(\[]?(?P<label>[A-Za-z]|[0-9]{1,4}|[A-Za-z][A-Za-z0-9]{0,15}[_\-]?[0-9]{1,6})[)\].:]\s+(?P<text>\S.*)$",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^[-*•\u2013]\s+(?P<text>\S.*)$")
_NAMED = re.compile(r"^(?P<label>[^\W_][\w\-]{0,23}):\s+(?P<text>\S.*)$")
_HEADING = re.compile(
    r"^(?:candidates|options|answers|results|candidatos|opções|opcoes|respostas|resultados) ?:$", re.IGNORECASE
)
_ASKED = re.compile(
    r"^(?:query|question|criteria|criterion|goal|task|context|candidates|options|answers|note|consulta|pergunta|critérios?|"
    r"criterios?|objetivo|tarefa|contexto|candidatos|opções|opcoes|respostas|busca|pesquisa|prefer\w*|constraints?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Input:
    """The last user message. `fields` is empty unless it is a JSON object; `text` is always something to read."""

    raw: str
    text: str  # clean; of JSON: its strings, one per line
    fields: Mapping[str, Any] = field(default_factory=dict)

    def first(self, *names: str) -> str:
        """The text of the first of these fields that has some, clean, or ""."""
        for name in names:
            if (value := self.fields.get(name)) not in (None, "", [], {}):
                return clean(", ".join(strings(value)))
        return ""


def last_message(request: Request) -> str:
    """The text of the last message of the user; of any, where the user said nothing."""
    spoken = [message for message in request.messages if message.role == "user"] or list(request.messages)
    return said(spoken[-1]) if spoken else ""


def said(message: Message) -> str:
    return "\n".join(part.text for part in message.parts if isinstance(part, Text))


def parsed(raw: str) -> Input:
    value = _json(raw)
    if isinstance(value, dict):
        return Input(raw, clean("\n".join(strings(value))), {str(key).lower(): each for key, each in value.items()})
    if isinstance(value, list):
        return Input(raw, clean("\n".join(strings(value))))
    return Input(raw, clean(raw))


def _json(raw: str) -> object:
    if raw.lstrip()[:1] not in {"{", "["} or len(raw) > MOST_CHARACTERS:
        return None
    try:
        return orjson.loads(raw)
    except (ValueError, RecursionError):  # broken JSON is text
        return None


def strings(value: object, deepest: int = _DEEPEST) -> list[str]:
    """The texts and numbers in a JSON value, in order, as many as are looked at."""
    found: list[str] = []
    held = 0
    for each in itertools.islice(_leaves(value, deepest), _MOST_LEAVES):
        if each:
            found.append(each[:MOST])
            held += len(each)
        if len(found) >= _MOST_STRINGS or held >= MOST:
            break
    return found


def finite(value: float) -> float:
    """A number of any size as one that can be reckoned with. (NaN is no JSON.)"""
    return float(max(-_LARGEST, min(_LARGEST, value)))


def _leaves(value: object, deepest: int) -> Iterator[str]:
    match value:
        case str():
            yield value
        case bool() | None:
            yield ""
        case int() | float():
            yield str(value)
        case dict() if deepest:
            for key, each in value.items():
                if each is True:
                    yield str(key).replace("_", " ")
                yield from _leaves(each, deepest - 1)
        case list() if deepest:
            for each in value:
                yield from _leaves(each, deepest - 1)
        case _:
            pass


def question(raw: str) -> tuple[Question, bool]:
    """The candidates of this text and what it asks beside them, and whether there were any at all.

    Plain text is read line by line: labelled lines are candidates, all others what is asked (`query`). Without any the
    whole text is candidate "1".
    """
    try:
        found = read(raw)
    except InvalidRequest:  # candidates that cannot be told apart are no candidates
        found = None
    if found is not None:
        return found, True
    text = clean(raw)
    asked, candidates = _lines(text)
    if candidates:
        return Question(tuple(candidates), {"query": asked}), True
    given = parsed(raw)
    return Question((Candidate("1", {"text": given.text}),), {**given.fields} or {"query": given.text}), False


def _lines(text: str) -> tuple[str, list[Candidate]]:
    """The labelled lines as candidates; lines below one that carry no label belong to it."""
    lines = text.split("\n")[: 4 * _MOST_LINES]
    headed = next((place for place, line in enumerate(lines) if _HEADING.match(line)), None)
    pattern = next((each for each in (_LABELLED, _BULLET) if sum(bool(each.match(line)) for line in lines) > 1), None)
    if pattern is None:
        pattern = _NAMED if sum(bool(_is_named(line)) for line in lines) > 1 else None
    if pattern is None and headed is not None and lines[headed + 1 :]:
        bodies = lines[headed + 1 : headed + 1 + _MOST_LINES]
        return "\n".join(lines[:headed]), [Candidate(str(n), {"text": body}) for n, body in enumerate(bodies, 1)]
    if pattern is None:
        return text, []
    asked: list[str] = []
    found: dict[str, list[str]] = {}
    times: Counter[str] = Counter()
    for line in lines:
        match = pattern.match(line)
        if match and (pattern is not _NAMED or _is_named(line)) and len(found) < _MOST_LINES:
            label = match.groupdict().get("label") or str(len(found) + 1)
            found[label + "'" * times[label]] = [match["text"]]  # two lines with one label are still two
            times[label] += 1
        elif found and not _ASKED.match(line) and not line.endswith("?"):
            found[next(reversed(found))].append(line)
        else:
            asked.append(line)
    return "\n".join(asked), [Candidate(label, {"text": "\n".join(body)}) for label, body in found.items()]


def _is_named(line: str) -> bool:
    return bool(_NAMED.match(line)) and not _ASKED.match(line)
