"""Plan how to reach a goal on a web site, by a table of tactics, in the input's own words. Pure."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_pool.providers.builtin.goals import fields, period, values, without_filters
from llm_pool.providers.builtin.inputs import parsed
from llm_pool.providers.builtin.phrases import key_phrases
from llm_pool.providers.builtin.recovery import told
from llm_pool.providers.builtin.sites import named_sites
from llm_pool.providers.builtin.tables import listed, phrases
from llm_pool.providers.builtin.tactics_rules import (
    ABSENT,
    ALWAYS_CAUTION,
    AROUND,
    BLOCKED,
    CONDITIONS,
    EXTRACT,
    LOGIN,
    MAY_BLOCK,
    OBSTACLES,
    OPEN,
    OPEN_ONLY,
    SEARCH,
    TACTICS,
)
from llm_pool.providers.builtin.text import QUALIFIERS, STOP, clean, cut, language, quoted, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.providers.builtin.tactics_rules import Both, Tactic
    from llm_pool.providers.builtin.text import Language

_MOST_STEPS, _MOST_CAUTIONS = 8, 6  # as the schema has them
_TARGET, _WHY, _CAUTION = 200, 300, 300  # characters
_GOAL = phrases("goal|task|objective|query|wish|want|objetivo|tarefa|meta|pedido|text|texto|question")
_SITE = ("site", "url", "website", "domain", "page", "page_url", "página", "endereço", "start_url")
_SEARCH_BEFORE = 20  # the place of the search among the tactics: after logging in, before filtering
_DEEP = 4000  # characters of the goal that are read
_MOST_CLAUSES = 400
_CLAUSES = re.compile(r"[,;:!?\n()]|[.](?!\w)|\s(?:and|but|e|mas)\s", re.IGNORECASE)
_SORTING = re.compile(
    r"(?<!\w)(?:(?:sort|sorted|order|ordered|ordenad[oa]s?|ordenar|ordene) )?(?:by|por|pel[oa]) "
    r"(?:date|data|price|preço|rating|avaliação|nota|popularity|popularidade|votes|votos|year|ano|name|nome|relevance|"
    r"relevância|newest|most recent)(?!\w)",
    re.IGNORECASE,
)
_OPEN_ONLY = re.compile(rf"(?<!\w)(?:{OPEN_ONLY})(?!\w)", re.IGNORECASE)
_NAMES = re.compile(r"(?<![.!?] )(?<!^)\b[A-ZÀ-Ý][^\W\d_]+ [A-ZÀ-Ý][^\W\d_]+")  # "New York" is no new one
_PRIVATE = "subscribers|members|private|account|paid articles|assinantes|membros|privado|conta|orders|pedidos"
_NO_TERMS = listed("""
    site website page pages page's download extract collect list open search login log sign filter sort scroll click
    compare price prices baixar extrair coletar listar abrir entrar filtrar ordenar página páginas preço preços goal url
    objetivo download all names bypass captcha paywall around past skip get read contornar burlar latest newest cheapest
    reais euros dollars sorted sort show only find appears appear stop first appearing aparecer aparece pare send form
    contact message fill submit enviar formulário contato mensagem preencher requires require never logging collecting
    access visit go ordenar ordene
    """)


def site_tactics(raw: str) -> dict[str, Any]:
    """The answer to `site_tactics`."""
    given = parsed(raw)
    goal = (given.first(*_GOAL) or given.text)[:_DEEP]
    lang = language(f"{goal}\n{given.text[:_DEEP]}")
    site = given.first(*_SITE) or ", ".join(named_sites(given.text)[:1])
    unsorted = _SORTING.sub(" , ", goal)
    terms = _terms(unsorted, lang, site)
    names = {
        "goal": quoted(goal, 150) or "?",
        "site": quoted(site, 100) or ("o site" if lang == "pt" else "the site"),
        "terms": terms,
        "fields": fields(unsorted, terms, lang),
        "values": values(goal),
        "period": period(goal),
    }
    obstacle = _obstacle(given.text[: 2 * _DEEP])
    tactics = [tactic for tactic in TACTICS if _called_for(tactic, obstacle.said, names)]
    tactics.sort(key=lambda tactic: tactic.place)
    early = [step for tactic in tactics if tactic.place < _SEARCH_BEFORE for step in tactic.steps]
    late = [step for tactic in tactics if tactic.place >= _SEARCH_BEFORE for step in tactic.steps]
    search = [SEARCH] if terms else []
    last = [*MAY_BLOCK.steps] if obstacle.may_come else []
    if obstacle.is_there:
        plan = [OPEN, *BLOCKED.steps]
    elif late and late[-1][0] == "stop":
        plan = [OPEN, *early, *search, *late[-1 - (_MOST_STEPS - 2 - len(early) - len(search)) :]]
    else:
        plan = [OPEN, *early, *search, *late[: _MOST_STEPS - 3 - len(early) - len(last)], EXTRACT, *last]
    ahead = [BLOCKED] if obstacle.is_there else [MAY_BLOCK] if obstacle.may_come else []
    cautions = [tactic.caution for tactic in [*ahead, *tactics] if tactic.caution[0]]
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


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """What the input says of captchas, paywalls and log-ins."""

    is_there: bool  # it is the obstacle itself, or is to be got around: nothing can be planned
    may_come: bool
    said: str  # the rest of the input, " word word "


def _obstacle(text: str) -> _Obstacle:
    """Read clause by clause: "if a captcha appears, stop" is no reason not to begin."""
    there = may = open_only = False
    kept: list[str] = []
    for clause in _clauses(text):
        meant = told(clause, OBSTACLES) > 0
        login = told(clause, LOGIN) > 0
        around, absent = told(clause, AROUND) > 0, told(clause, ABSENT) > 0
        soft = told(clause, CONDITIONS) > 0 or clause.startswith(" se ")
        left = " ".join(words(_OPEN_ONLY.sub(" ", clause)))
        if told(clause, OPEN_ONLY):
            open_only = True
        elif (meant or login or around) and (absent or (soft and not around)):
            may = True
            continue
        there = there or meant or around
        kept.append(left)
    said = f" {' . '.join(kept)} "
    if open_only and told(said, f"{LOGIN}|{_PRIVATE}"):  # what is behind a log-in is not reached without one
        there = True
    return _Obstacle(there, may or open_only, said)


def _clauses(text: str) -> list[str]:
    """Clauses that say something, " word word ", as many as are looked at."""
    spoken = (words(piece) for piece in _CLAUSES.split(text))
    return [f" {' '.join(clause)} " for clause in itertools.islice(filter(None, spoken), _MOST_CLAUSES)]


def _called_for(tactic: Tactic, said: str, names: Mapping[str, str]) -> bool:
    """Whether the goal has its words, or the value that its step names."""
    needed = [name for name in ("values", "period") if any(f"{{{name}}}" in step[1][0] for step in tactic.steps)]
    return all(names[name] for name in needed) if needed else told(said, tactic.says) > 0


def _in(both: Both, lang: Language, names: Mapping[str, str]) -> str:
    text = both[1] if lang == "pt" else both[0]
    if not names["terms"]:
        text = text.replace(" for {terms}", "").replace(" de {terms}", "")
    for name, value in names.items():
        if f"{{{name}}}" in text:
            head, _, tail = text.partition(f"{{{name}}}")
            return head + (value or names["goal"]) + tail
    return text


def _terms(goal: str, lang: Language, site: str) -> str:
    """What to search for: the goal's key words in their order, without the words of the doing and of the filters."""
    kept = [
        clause
        for clause in _CLAUSES.split(_OPEN_ONLY.sub(" ", goal))
        if not told(f" {' '.join(words(clause))} ", f"{OBSTACLES}|{AROUND}")
    ]
    bare = without_filters(" , ".join(kept))
    names = {word.lower() for pair in _NAMES.findall(bare) for word in pair.split()}
    best = {word for phrase in key_phrases(bare, lang)[:6] for word in phrase.words}
    skipped = STOP[lang] | _NO_TERMS | set(words(site)) | (QUALIFIERS[lang] - names)
    if site not in goal:  # it is a name that the goal says: "youtube"
        skipped |= {*site.split(".")}
    found = [word for word in dict.fromkeys(words(bare)) if word in best | names and word not in skipped]
    return cut(clean(" ".join([word for word in found if "." not in word][:7])), 80, mark="")
