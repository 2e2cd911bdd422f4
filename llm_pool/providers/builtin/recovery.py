"""Say what to do after something failed, by a table of causes, in the input's own words. Pure."""

from __future__ import annotations

import itertools
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from llm_pool.providers.builtin.inputs import parsed
from llm_pool.providers.builtin.recovery_leaks import EXPOSED, LEAKED, LOG_IN_FAILS, NO_EXPOSURE, PLACED, SECRETS
from llm_pool.providers.builtin.recovery_rules import (
    CAUSES,
    CHANGED,
    CRITICAL,
    RAISING,
    SINCE,
    SOFTER,
    UNKNOWN,
)
from llm_pool.providers.builtin.ruled_out import without_what_is_fine
from llm_pool.providers.builtin.tables import listed
from llm_pool.providers.builtin.text import STOP, WORD, cut, language, quoted

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
_KINDS = listed("""
    service server api job worker database site website app cluster pipeline backup dashboard printer serviço servidor
    banco cluster rotina aplicativo aplicação impressora painel
    """)
_FEMININE = listed("api rotina aplicação impressora")
_NO_FIRST = listed("our my your this that new old whole same one broken failing nightly fix restart")
_NO_NAMES = listed(
    "read-only self-signed e-mail e-mails up-to-date follow-up time-out set-up back-up roll-out utf8 http2 non-zero"
)


def recovery_plan(raw: str) -> dict[str, Any]:
    """The answer to `recovery_plan`."""
    given = parsed(raw)
    lang = language(given.text)
    said = without_what_is_fine(given.text)
    cause = LEAKED if _leaked(said) else _cause(said)
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
    text = (both[1] if lang == "pt" else both[0]).replace("{it}", it)
    if lang == "pt" and it.startswith(("o ", "a ")):
        for two, one in (("de", "d"), ("em", "n")):
            text = text.replace(f" {two} {it}", f" {one}{it}")
    return text[:1].upper() + text[1:] if it.startswith(("the ", "o ", "a ")) else text


def told(said: str, phrases: str) -> int:
    """How many of these words and phrases a text (" word word ") has; a longer phrase counts more."""
    return sum(worth for sought, worth in _sought(phrases) if sought in said)


@cache
def _sought(phrases: str) -> tuple[tuple[str, int], ...]:
    """What to look for, and how much it counts. Of the package's own tables only, so the cache is bounded."""
    return tuple(
        (f" {phrase.removesuffix('*')}{'' if phrase.endswith('*') else ' '}", 1 + phrase.count(" "))
        for phrase in phrases.split("|")
    )


def _cause(said: str) -> Cause:
    """The cause with the most words in the text; of equals the earlier, which is the graver.

    A named change with the time since which it fails counts more, and how a failure shows ("502") counts less.
    """
    best, most = UNKNOWN, 0.0
    for cause in CAUSES:
        count = float(told(said, cause.says))
        if cause.general:
            count /= 2
        elif cause is CHANGED and count and told(said, SINCE):
            count += 1
        if count > most:
            best, most = cause, count
    return best


def _leaked(said: str) -> bool:
    """Whether a secret is where others can read it: both are told in one clause."""
    for clause in said.split(" . "):
        spaced = f" {clause.strip()} "
        if not told(spaced, SECRETS):
            continue
        if told(spaced, EXPOSED) and not told(spaced, NO_EXPOSURE):
            return True
        if told(spaced, PLACED) and not told(spaced, LOG_IN_FAILS):
            return True
    return False


def _severity(cause: Cause, said: str) -> Severity:
    degree = _DEGREES.index(cause.severity)
    softer = told(said, SOFTER) > 0 and cause is not LEAKED
    if told(said, CRITICAL) and not softer:
        return "critical"
    if told(said, RAISING):
        degree = max(degree, _DEGREES.index("high"))
    return _DEGREES[max(0, degree - softer)]


def _subject(given: Input, lang: Language) -> str:
    """What failed: the field that names it, a word like a service's name, or the words beside "service"."""
    if named := given.first(*_NAMES):
        return quoted(named, _SUBJECT)
    text = given.text[:4000]
    found = list(WORD.finditer(text))
    for match in found:
        quoted_in_text = text[max(0, match.start() - 1) : match.start()] in {"'", '"', "`"}  # a value, not the system
        if _SERVICE.match(match[0].lower()) and match[0].lower() not in _NO_NAMES and not quoted_in_text:
            return match[0]
    beside = {
        one.end(): (one[0], other[0]) for one, other in itertools.pairwise(found) if other.start() - one.end() == 1
    }
    for end, (one, other) in beside.items():
        if lang == "en" and other.lower() in _KINDS and _is_name(one.lower()):
            return f"the {one} {other}"
        if lang == "pt" and one.lower() in _KINDS and other.lower() in {"de", "do", "da", "dos", "das"}:
            name = beside.get(end + 1 + len(other), ("", ""))[1]
            return f"{_article(one.lower())} {one} {other} {name}".strip()
    kind = next((word for match in found if (word := match[0].lower()) in _KINDS), "")
    if lang == "pt":
        return f"{_article(kind)} {kind}" if kind else "o sistema afetado"
    return f"the {kind}" if kind else "the affected system"


def _is_name(word: str) -> bool:
    return word not in _NO_FIRST and word not in STOP["en"] and not word.endswith(("ed", "ing", "s"))


def _article(word: str) -> str:
    return "a" if word in _FEMININE else "o"
