"""Plan how to reach a goal on a web site, by a table of tactics, in the input's own words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_pool.providers.builtin.inputs import parsed
from llm_pool.providers.builtin.numbers import bounds
from llm_pool.providers.builtin.phrases import key_phrases
from llm_pool.providers.builtin.recovery import told
from llm_pool.providers.builtin.sites import named_sites
from llm_pool.providers.builtin.tables import listed
from llm_pool.providers.builtin.tactics_rules import ALWAYS_CAUTION, BLOCKED, EXTRACT, OPEN, SEARCH, TACTICS
from llm_pool.providers.builtin.text import QUALIFIERS, STOP, clean, cut, language, quoted, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.providers.builtin.tactics_rules import Both
    from llm_pool.providers.builtin.text import Language

_MOST_STEPS, _MOST_CAUTIONS = 8, 6  # as the schema has them
_TARGET, _WHY, _CAUTION = 200, 300, 300  # characters
_GOAL = (
    "goal",
    "task",
    "objective",
    "query",
    "wish",
    "want",
    "objetivo",
    "tarefa",
    "meta",
    "pedido",
    "text",
    "texto",
    "question",
)
_SITE = ("site", "url", "website", "domain", "page", "page_url", "página", "endereço", "start_url")
_SEARCH_BEFORE = 20  # the place of the search among the tactics: after logging in, before filtering
_DEEP = 4000  # characters of the goal that are read
_NO_TERMS = listed("""
    site website page pages page's download extract collect list open search login log sign filter sort scroll click
    compare price prices baixar extrair coletar listar abrir entrar filtrar ordenar página páginas preço preços goal
    url objetivo download all names bypass captcha paywall around past skip get read contornar burlar latest newest
    cheapest reais euros dollars
    """)


def site_tactics(raw: str) -> dict[str, Any]:
    """The answer to `site_tactics`."""
    given = parsed(raw)
    goal = (given.first(*_GOAL) or given.text)[:_DEEP]
    lang = language(f"{goal}\n{given.text[:_DEEP]}")
    said = f" {' '.join(words(given.text[: 2 * _DEEP]))} "
    site = given.first(*_SITE) or ", ".join(named_sites(given.text)[:1])
    names = {
        "goal": quoted(goal, 150) or "?",
        "site": quoted(site, 100) or ("o site" if lang == "pt" else "the site"),
        "terms": _terms(goal, lang, site),
        "limits": _limits(goal) or quoted(goal, 100),
    }
    tactics = sorted((tactic for tactic in TACTICS if told(said, tactic.says)), key=lambda tactic: tactic.place)
    blocked = told(said, BLOCKED.says) > 0
    early = [step for tactic in tactics if tactic.place < _SEARCH_BEFORE for step in tactic.steps]
    late = [step for tactic in tactics if tactic.place >= _SEARCH_BEFORE for step in tactic.steps]
    search = [SEARCH] if names["terms"] else []
    if blocked:
        plan = [OPEN, *BLOCKED.steps]
    elif late and late[-1][0] == "stop":
        plan = [OPEN, *early, *search, *late[-1 - (_MOST_STEPS - 2 - len(early) - len(search)) :]]
    else:
        plan = [OPEN, *early, *search, *late[: _MOST_STEPS - 3 - len(early)], EXTRACT]
    cautions = [tactic.caution for tactic in [*([BLOCKED] if blocked else []), *tactics] if tactic.caution[0]]
    return {
        "steps": [
            {
                "action": action,
                "target": cut(_in(target, lang, names), _TARGET),
                "why": cut(_in(why, lang, names), _WHY),
            }
            for action, target, why in plan[:_MOST_STEPS]
        ],
        "cautions": [
            cut(_in(caution, lang, names), _CAUTION) for caution in [*cautions[: _MOST_CAUTIONS - 1], ALWAYS_CAUTION]
        ],
    }


def _in(both: Both, lang: Language, names: Mapping[str, str]) -> str:
    text = both[1] if lang == "pt" else both[0]
    for name, value in names.items():
        if f"{{{name}}}" in text:
            head, _, tail = text.partition(f"{{{name}}}")
            return head + (value or names["goal"]) + tail
    return text


def _terms(goal: str, lang: Language, site: str) -> str:
    """What to search for: the goal's key words in their order, without the words of the doing."""
    best = {word for phrase in key_phrases(goal, lang)[:6] for word in phrase.words}
    skipped = STOP[lang] | QUALIFIERS[lang] | _NO_TERMS | set(words(site))
    kept = [word for word in dict.fromkeys(words(goal)) if word in best and word not in skipped and "." not in word]
    return cut(clean(" ".join(kept[:7])), 80, mark="")


def _limits(goal: str) -> str:
    return cut(", ".join(goal[bound.start : bound.end] for bound in bounds(goal)[:4]), 100)
