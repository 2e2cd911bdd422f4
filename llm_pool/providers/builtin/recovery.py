"""Say what to do after something failed, by a table of causes, in the input's own words. Pure."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from llm_pool.providers.builtin.inputs import parsed
from llm_pool.providers.builtin.phrases import key_phrases
from llm_pool.providers.builtin.recovery_rules import CAUSES, CRITICAL, RAISING, SOFTER, UNKNOWN
from llm_pool.providers.builtin.tables import listed
from llm_pool.providers.builtin.text import WORD, cut, language, quoted, words

if TYPE_CHECKING:
    from llm_pool.providers.builtin.inputs import Input
    from llm_pool.providers.builtin.recovery_rules import Both, Cause, Severity
    from llm_pool.providers.builtin.text import Language

_ACTION, _GUARD, _ROLLBACK = 300, 200, 300  # characters, as the schema has them
_MOST_STEPS = 3
_SUBJECT = 60
_DEGREES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
_NAMES = ("service", "component", "system", "app", "application", "host", "server", "job", "task", "tool", "url",
          "site", "serviço", "servico", "sistema", "componente", "servidor", "tarefa")  # fmt: skip
# "payments-api", "db01", "nginx": a name of a service has a hyphen or ends in a digit, or stands beside one.
_SERVICE = re.compile(r"^(?=.{3,40}$)[a-z][a-z0-9]*(?:-[a-z0-9]+)+$|^[a-z]{2,12}[0-9]{1,3}$")
_KINDS = listed("service server api job worker database serviço servidor banco worker cluster app")
_NO_NAMES = listed(
    "read-only self-signed e-mail up-to-date follow-up time-out set-up back-up roll-out utf8 http2 non-zero"
)


def recovery_plan(raw: str) -> dict[str, Any]:
    """The answer to `recovery_plan`."""
    given = parsed(raw)
    lang = language(given.text)
    said = f" {' '.join(words(given.text))} "
    cause = _cause(said)
    it = _subject(given, lang)
    steps = [
        {
            "action": cut(_in(step.action, lang, it), _ACTION),
            "guardrails": [cut(_in(guard, lang, it), _GUARD) for guard in step.guards],
        }
        for step in cause.steps[:_MOST_STEPS]
    ]
    about = quoted(given.text, 220)
    return {
        "severity": _severity(cause, said),
        "steps": steps,
        "rollback": cut(_in(cause.rollback, lang, it), _ROLLBACK),
        "reason": cut(
            f'{_in(cause.reason, lang, it)}. ({"Entrada" if lang == "pt" else "Input"}: "{about}")', 400, mark="…"
        ),
    }


def _in(both: Both, lang: Language, it: str) -> str:
    return (both[1] if lang == "pt" else both[0]).replace("{it}", it)


def told(said: str, phrases: str) -> int:
    """How many of these words and phrases a text (" word word ") has; a longer phrase counts more."""
    count = 0
    for phrase in phrases.split("|"):
        if f" {phrase.removesuffix('*')}{'' if phrase.endswith('*') else ' '}" in said:
            count += 1 + phrase.count(" ")
    return count


def _cause(said: str) -> Cause:
    """The cause with the most words in the text; of equals the earlier, which is the graver."""
    best, most = UNKNOWN, 0
    for cause in CAUSES:
        if (count := told(said, cause.says)) > most:
            best, most = cause, count
    return best


def _severity(cause: Cause, said: str) -> Severity:
    degree = _DEGREES.index(cause.severity)
    softer = told(said, SOFTER) > 0
    if told(said, CRITICAL) and not softer:
        return "critical"
    if told(said, RAISING):
        degree = max(degree, _DEGREES.index("high"))
    return _DEGREES[max(0, degree - softer)]


def _subject(given: Input, lang: Language) -> str:
    """What failed: the field that names it, a word like a service's name, the word beside "service", or key words."""
    if named := given.first(*_NAMES):
        return quoted(named, _SUBJECT)
    spoken: list[str] = WORD.findall(given.text[:4000])
    for word in spoken:
        if _SERVICE.match(word.lower()) and word.lower() not in _NO_NAMES:
            return word
    lower = [word.lower() for word in spoken]
    generic = {
        "the",
        "a",
        "an",
        "our",
        "my",
        "this",
        "o",
        "um",
        "nosso",
        "meu",
        "de",
        "do",
        "da",
        "is",
        "in",
        "no",
        "na",
    }
    for before, word in itertools.pairwise(lower):
        if word in _KINDS and before not in generic and lang == "en":
            return f"{before} {word}"
    phrases = [phrase.text for phrase in key_phrases(given.text[:4000], lang)[:2]]
    return cut(" / ".join(phrases), _SUBJECT) or ("isto" if lang == "pt" else "this")
