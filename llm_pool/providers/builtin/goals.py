"""What a goal on a web site names: values to filter by, a period, the fields to read. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llm_pool.providers.builtin.numbers import bounds
from llm_pool.providers.builtin.tables import listed
from llm_pool.providers.builtin.text import WORD, cut, distinct, words

if TYPE_CHECKING:
    from llm_pool.providers.builtin.text import Language

_LONGEST = 80  # characters of a target
_MOST_VALUES = 4
# Words that sites have a filter for, in themselves.
_VALUES = listed("""
    free gratis grátis gratuito gratuita gratuitos gratuitas remote remoto remota remotos used usado usada usados
    refurbished unread verified nearby waterproof vegan vegano vegana vegetarian vegetariano furnished mobiliado red
    blue green black white yellow pink brown grey gray purple orange vermelho vermelha azul verde preto preta branco
    branca amarelo amarela rosa marrom cinza roxo roxa full-time part-time
    """)
_NAMED = re.compile(
    r"(?<![\w\-])(?:only|just|apenas|somente|brand|marca|size|tamanho|genre|gênero|language|idioma|category|categoria|color|cor|"
    r"condition|estado) (?:(?:the|in|em|o|a|de|por) )?([^\W_][\w\-]{0,30}(?: [^\W\d_][\w\-]{0,30})?)",
    re.IGNORECASE,
)
_LABELS = listed("brand marca size tamanho genre gênero language idioma category categoria color cor condition estado")
_MONTH = (
    "january|february|march|april|may|june|july|august|september|october|november|december|janeiro|fevereiro|março|"
    "abril|maio|junho|julho|agosto|setembro|outubro|novembro|dezembro"
)
_PERIOD = re.compile(
    rf"(?<![\w\-])(?:(?:the |early |late |mid-)?(?:19|20)[0-9]0'?s|anos (?:19|20)?[0-9]0|década de (?:19|20)?[0-9]0|"
    rf"(?:1[5-9]|20|21)(?:st|nd|rd|th) century|século [IVX]{{1,5}}|"
    rf"(?:since|after|before|until|from|desde|após|depois de|antes de|até|a partir de) (?:(?:{_MONTH})(?: de| of)? ?)?"
    rf"(?:19|20)[0-9]{{2}}(?:(?: to | a | até |-)(?:19|20)[0-9]{{2}})?|"
    rf"(?:in |em |de |of )?(?:{_MONTH})(?: de| of|,)? (?:19|20)[0-9]{{2}}|"
    rf"(?:last|past|this|next) (?:[0-9]{{1,3}} )?(?:week|month|year|days?|weeks|months|years|weekend|night)|"
    rf"(?:últim[oa]s|próxim[oa]s) (?:[0-9]{{1,3}} )?(?:dias|semanas|meses|anos)|(?:est[ae]|último|última|próxim[oa]) "
    rf"(?:semana|mês|ano|fim de semana)|(?:semana|mês|ano) passad[oa]|today|tomorrow|yesterday|"
    rf"tonight|hoje|amanhã|ontem|"
    rf"(?:19|20)[0-9]{{2}})(?![\w])",
    re.IGNORECASE,
)
_OPENING = re.compile(r"^(?:in|em|de|of) ", re.IGNORECASE)
# What a page can be read for, in both numbers.
_FIELDS = listed("""
    title titles price prices name names date dates author authors rating ratings link links url urls address addresses
    phone phones description descriptions salary salaries company companies abstract abstracts location locations stock
    email emails e-mail e-mails image images text texts headline headlines score scores ingredients steps duration
    título títulos preço preços nome nomes data datas autor autores avaliação avaliações nota notas links endereço
    endereços telefone telefones descrição descrições salário salários empresa empresas resumo resumos local locais
    estoque imagem imagens texto textos manchete manchetes ingredientes duração
    """)


def period(goal: str) -> str:
    """The time that the goal is about ("the 1960s", "last week"), or ""."""
    found = [_OPENING.sub("", match[0]) for match in _PERIOD.finditer(goal)]
    return cut(", ".join(distinct(found)[:2]), _LONGEST)


def values(goal: str) -> str:
    """What else the goal names that a site can filter by: limits, "free", "brand Sony"; or ""."""
    found = [
        goal[bound.start : bound.end].strip()
        for bound in bounds(goal)
        if bound.kind != "date" and not _PERIOD.search(goal[bound.start : bound.end])
    ]
    for match in _NAMED.finditer(goal):
        label = match[0].split()[0].lower()
        kept = [word for word in match[1].split() if word.lower() not in _STOPPING]
        if kept:
            found.append(f"{label} {' '.join(kept)}" if label in _LABELS else " ".join(kept))
    found += [word for word in words(goal) if word in _VALUES and not any(word in one.lower().split() for one in found)]
    return cut(", ".join(distinct(found)[:_MOST_VALUES]), _LONGEST)


_AFTER_FIELDS = listed("and of from for in on at e de do da dos das em no na")
_STOPPING = listed("""
    and or with on in at from for of the to under over by sorted e ou com em no na de do da dos das para até por que if
    se
    """)


def without_filters(goal: str) -> str:
    """The goal without its limits, its period and the fields to read ("titles of"): what is left is sought."""
    for bound in reversed(bounds(goal)):
        if not bound.soft:
            goal = f"{goal[: bound.start]} , {goal[bound.end :]}"
    found = list(WORD.finditer(goal := _PERIOD.sub(" , ", goal)))
    for match, following in reversed(list(zip(found, [*found[1:], None], strict=False))):
        after = following[0].lower() if following else ""
        apart = following is None or not goal[match.end() : following.start()].isspace()
        if match[0].lower() in _FIELDS and (apart or after in _AFTER_FIELDS):
            goal = f"{goal[: match.start()]} , {goal[match.end() :]}"
    return goal


def fields(goal: str, terms: str, lang: Language) -> str:
    """What to read from the page in the end: the fields that the goal names, of what is sought."""
    named = [word for word in dict.fromkeys(words(goal)) if word in _FIELDS and word not in terms.split()]
    joint = "de" if lang == "pt" else "of"
    if named and terms:
        return cut(f"{', '.join(named[:5])} {joint} {terms}", _LONGEST)
    return cut(", ".join(named[:5]) or terms or goal, _LONGEST)
