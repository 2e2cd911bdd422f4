"""The candidates that a question gives, with their ids: what `rerank_candidates` and `judge` choose from. Pure.

A question may be plain text; then nothing is known of its candidates. As JSON it is an array of candidates, or an
object whose `candidates` is one. A candidate is an object with an `id`, a text or a whole number, or it is just a text:
then all of them are, and their ids are "1", "2", "3" ...
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from llm_pool.core.errors import InvalidRequest, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

Id: TypeAlias = str | int

MOST_CHARACTERS = 256_000  # a longer question is no list that anybody could choose from, and would hold up the rest
MOST = 1_000
LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Candidate:
    id: Id
    fields: Mapping[str, Any]  # as given; of one that is just a text: {"text": ...}


@dataclass(frozen=True, slots=True)
class Question:
    """`asked` holds what the question says beside its candidates (`query`, `criteria` ...), as given."""

    candidates: tuple[Candidate, ...]
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[Id, ...]:
        return tuple(candidate.id for candidate in self.candidates)


def read(text: str) -> Question | None:
    """The question that this text puts as JSON; None where it is plain text, or JSON that names no candidates.

    Raises InvalidRequest (field `prompt`) where candidates are given but cannot be told apart.
    """
    start = text.lstrip()[:1]
    if start not in {"{", "["}:
        return None
    if len(text) > MOST_CHARACTERS:
        raise _wrong(f"is longer than {MOST_CHARACTERS} characters")
    try:
        value = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):  # plain text may well begin with a bracket
        return None
    if isinstance(value, list):
        given, asked = value, {}
    elif isinstance(value, dict) and "candidates" in value:
        given = value["candidates"]
        asked = {key: each for key, each in value.items() if key != "candidates"}
    else:
        return None
    return Question(_candidates(given), asked)


def _candidates(given: object) -> tuple[Candidate, ...]:
    if not isinstance(given, list) or not given:
        raise _wrong("candidates must be a list with at least one of them")
    if len(given) > MOST:
        raise _wrong(f"has more than {MOST} candidates")
    if all(isinstance(each, str) for each in given):
        return tuple(Candidate(str(number), {"text": each}) for number, each in enumerate(given, 1))
    found: dict[str, Candidate] = {}
    for number, each in enumerate(given, 1):
        candidate = _candidate(each, number)
        if str(candidate.id) in found:  # 1 and "1" are told apart by no model
            raise _wrong(f'two candidates have the id "{shown(str(candidate.id))}"')
        found[str(candidate.id)] = candidate
    return tuple(found.values())


def _candidate(given: object, number: int) -> Candidate:
    if not isinstance(given, dict):
        raise _wrong(f"candidate {number} is no object with an id")
    match given.get("id"):
        case None:
            raise _wrong(f"candidate {number} has no id")
        case bool():
            pass
        case str(text) if text.strip() and len(text) <= LONGEST_ID and _is_unicode(text):
            return Candidate(text, {key: each for key, each in given.items() if key != "id"})
        case int(whole) if abs(whole) < 2**53:  # what every JSON reader takes exactly (RFC 8259, section 6)
            return Candidate(whole, {key: each for key, each in given.items() if key != "id"})
    raise _wrong(f"the id of candidate {number} must be a text of 1 to {LONGEST_ID} characters or a whole number")


def _is_unicode(text: str) -> bool:
    """Whether it has no half of a surrogate pair: JSON can escape one, and nothing can carry it further."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(f"prompt: {what}", field="prompt")


def _refused(constant: str) -> None:
    raise ValueError(constant)
