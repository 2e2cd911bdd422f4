"""What a text excludes: "without nuts", "no ads", "sem glúten", "exceto terror", "-react". Pure, one pass.

Rules:

1. A negator opens an exclusion; fillers after it are skipped ("que não tenha muito sal": "sal").
2. It reaches to the next punctuation, the next word that begins something else ("for", "para"), or three words.
3. "or", "nor", "ou", "nem" carry it on to the next word; "and" and "e" only where a short chunk follows, commas only in
   a list that ends with "or".
4. A negator that belongs to a limit ("no more than", "no máximo") or tells of a failure ("não liga", "not working")
   excludes nothing.
5. "with" ends an exclusion, for what comes with it is wanted; after "except" and its like it belongs to the exclusion:
   "except rooms with a shared bath" excludes no bath.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_pool.providers.builtin.tables import listed, phrases
from llm_pool.providers.builtin.text import QUALIFIERS, STOP, Language, distinct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST = 3  # content words of one exclusion
_MOST = 64  # exclusions that are kept
_MOST_FILLERS = 12  # in a row
_AHEAD = 6  # chunks of a list "a, b, c or d" that are looked ahead
_SENTENCE_ENDS = frozenset(".,;!?)\n")
_ITEM = re.compile(r"(?<!\S)-(?=[^\W\d_])|[^\W_]+(?:[.'\u2019\-][^\W_]+)*(?:\+\+|#)?|[^\w\s]|\n")

_NEGATORS: Mapping[Language, tuple[tuple[str, ...], ...]] = {
    "en": tuple(
        tuple(each.split())
        for each in phrases("""
            nothing with|other than|rather than|instead of|but not|but no|free of|free from|do not include|
            don't include|do not want|don't want|do not like|don't like|that isn't|that aren't|which isn't|must not|
            should not|cannot be|excluding|exclude|excludes|except|without|avoid|avoiding|minus|not|no|non|never|skip|
            ignoring|isn't|aren't|doesn't|don't|shouldn't|mustn't|w/o
            """)
    ),
    "pt": tuple(
        tuple(each.split())
        for each in phrases("""
            nada de|nada com|em vez de|ao invés de|livre de|livres de|a não ser|com exceção de|com excecao de|mas não|
            mas sem|que não|não quero|excluindo|excluir|exclua|excluam|exceto|excepto|exclude|excluding|except|avoid|
            evitar|evite|evitando|tirando|menos|fora|salvo|sem|não|nao|nem|nunca|nenhum|nenhuma|without
            """)
    ),
}
_BY_FIRST: Mapping[Language, Mapping[str, tuple[tuple[str, ...], ...]]] = {
    lang: {first[0]: tuple(each for each in negators if each[0] == first[0]) for first in negators}
    for lang, negators in _NEGATORS.items()
}
_EXCEPTING = listed("""
    except excluding exclude excludes avoid avoiding skip than exceto excepto excluindo excluir exclua evitar evite
    evitando tirando ser salvo
    """)
_WITH = listed("with com")
# "gluten-free", "sugar free": what lacks what stands before it.
_FREE = re.compile(
    r"\b(gluten|lactose|dairy|sugar|nut|nuts|peanut|egg|soy|wheat|grain|meat|fat|caffeine|alcohol|ad|ads|smoke|pet|cruelty|"
    r"fragrance|plastic|bpa|stress|drm)[- ]free\b",
    re.IGNORECASE,
)
# Words after a negator that make it no exclusion (rule 4).
_NO_EXCLUSION: Mapping[Language, frozenset[str]] = {
    "en": listed("""
        more less fewer longer later earlier older newer younger bigger larger heavier higher lower greater cheaper
        smaller shorter above over exceeding exceed before after under below only just sure able enough yet matter
        problem worries working work works found starting start responding loading load opening open connecting connect
        turning turn charging recognized showing running run believe know understand necessarily least limited better
        worse one
        """),
    "pt": listed("""
        anterior anteriores posterior posteriores superior inferior maior menor acima abaixo antes depois exceder
        ultrapassar passar mais menos máximo maximo mínimo minimo só somente apenas que de do da funciona funcionam
        funcionando liga ligam carrega abre abrem conecta inicia responde aparece aparecem reconhece instala consigo
        consegue sei sabe sabem pode posso dá entendo encontra encontrado encontrada obstante é são está estão
        ultrapasse passe exceda existe
        """),
}
_FILLERS: Mapping[Language, frozenset[str]] = {
    "en": listed("""
        a an any the too very so overly really from in on is are be being been with have has having contain contains
        containing include includes including require requires requiring need needs needing use uses using want like
        offer offers offering accept accepts accepting allow allows allowing provide provides provided support supports
        of about all to some much many its just lots lot kind kinds
        """),
    "pt": listed("""
        a o as os um uma uns umas muito muita muitos muitas tão demais seja sejam ser sendo tenha tenham ter tem
        contenha contenham contém inclua incluam incluir há haver haja possui possuem possua oferece oferecem ofereça
        dispõe dispõem aceita aceitam aceite permite permitem permita use usem usar quero com do da dos das de em no na
        nos nas precise precisa precisem precisar exija exige exijam exigir peça peçam necessite qualquer nenhum nenhuma
        algum alguma nada que sobre necessidade
        """),
}
_ENDERS: Mapping[Language, frozenset[str]] = {
    "en": listed("""
        for under over above below on at to that which who please but with from by within near in up if when because so
        than less more max since after before between only preferably ideally is are must should i without no not
        """),
    "pt": listed("""
        para pra com por que até ate acima abaixo mas porém em no na nos nas pelo pela se quando porque desde entre
        perto somente apenas preferencialmente de-preferência é são deve devem eu sem não nem máximo mínimo
        """),
}
_BEING = listed("be is are been seja sejam ser")  # between a negator and what it belongs to
_ALSO = {"en": frozenset({"or", "nor"}), "pt": frozenset({"ou", "nem"})}
_AND = {"en": frozenset({"and", "&"}), "pt": frozenset({"e", "&"})}
_INSIDE = {"en": frozenset({"of"}), "pt": frozenset({"de", "do", "da"})}


@dataclass(frozen=True, slots=True)
class Wish:
    """`kept` is the text with a line end in place of each exclusion; `excluded` are short phrases in lower case."""

    kept: str
    excluded: tuple[str, ...]


def divided(text: str, lang: Language) -> Wish:
    """Divide what a text wants from what it excludes."""
    spans = [match.span() for match in _ITEM.finditer(text)]
    items = [text[start:end].lower().replace("\u2019", "'") for start, end in spans]
    kept: list[str] = []
    excluded: list[str] = []
    place = since = 0
    while place < len(items) and len(excluded) < _MOST:
        if after := _negator(items, place, lang):
            terms, end = _scope(items, after, lang)
            if terms:
                excluded += terms
                kept.append(text[since : spans[place][0]])
                since, place = spans[end - 1][1], end
                continue
        place += 1
    kept.append(text[since:])
    return Wish("\n".join(kept).strip(), tuple(distinct(excluded[:_MOST])))


def freed(text: str) -> Wish:
    """Divide a text from what it says it is free of: "gluten-free bread" is bread, without gluten."""
    found = [match[1].lower() for match in _FREE.finditer(text)]
    return Wish(_FREE.sub(" ", text), tuple(distinct(found))) if found else Wish(text, ())


def hyphenated(text: str) -> str:
    """The same text with "gluten free" as one word."""
    return _FREE.sub(r"\1-free", text)


def _negator(items: Sequence[str], place: int, lang: Language) -> int:
    """The place after the negator that begins here, 0 where none does."""
    if items[place] == "-" and place + 1 < len(items):
        return place + 1
    if items[place] in {"-", "\n"}:
        return 0
    for negator in _BY_FIRST[lang].get(items[place], ()):
        after = place + len(negator)
        if tuple(items[place:after]) == negator:
            following = next((item for item in items[after : after + 3] if item not in _BEING), "")
            if following in _NO_EXCLUSION[lang] and (negator[0] != "em"):
                return 0
            return after
    return 0


def _scope(items: Sequence[str], place: int, lang: Language) -> tuple[list[str], int]:
    """The phrases excluded from here on, and the place after them."""
    if items[place - 1] == "-":  # the operator of search engines takes one word
        return [items[place]], place + 1
    terms: list[str] = []
    excepting = items[place - 1] in _EXCEPTING
    while True:
        term, end = _chunk(items, place, lang)
        if term and excepting and items[end : end + 1] and items[end] in _WITH:  # rule 5
            other, further = _chunk(items, end + 1, lang)
            if other:
                term, end = f"{term} {items[end]} {other}", further
        if not term:
            return terms, place
        terms.append(term)
        place = end
        joint = items[end] if end < len(items) else ""
        if joint in _ALSO[lang] or ((joint in _AND[lang] or joint == ",") and _goes_on(items, end + 1, lang)):
            place = end + 1
            if place < len(items) and items[place] in _AND[lang] | _ALSO[lang]:
                place += 1
        else:
            return terms, end


def _chunk(items: Sequence[str], place: int, lang: Language) -> tuple[str, int]:
    last = min(len(items), place + _MOST_FILLERS)
    while place < last and (items[place] in _FILLERS[lang] or _is_doing(items, place, lang)):
        place += 1
    found: list[str] = []
    said = 0
    while place < len(items) and said < _LONGEST:
        item = items[place]
        inside = item in _INSIDE[lang] and found
        if not inside and (not item[0].isalnum() or item in _ENDERS[lang] or item in STOP[lang]):
            break
        found.append(item)
        said += not inside
        place += 1
    while found and found[-1] in _INSIDE[lang]:
        found.pop()
    return " ".join(found), place


def _is_doing(items: Sequence[str], place: int, lang: Language) -> bool:
    """Whether it is the "calling" of "without calling a plumber": what is unwanted comes after it."""
    return lang == "en" and items[place].endswith("ing") and items[place + 1 : place + 2] in (["a"], ["an"], ["the"])


def _goes_on(items: Sequence[str], place: int, lang: Language) -> bool:
    """Whether a chunk of one or two words follows that ends where a list goes on or the text ends (rule 3)."""
    if place < len(items) and items[place] in _AND[lang] | _ALSO[lang]:
        return True
    if place >= len(items) or items[place] in _FILLERS[lang] | _ENDERS[lang]:
        return False
    chunk, end = _chunk(items, place, lang)
    if items[place - 1] != ",":
        return 0 < len(chunk.split()) < _LONGEST and (end >= len(items) or items[end] in _SENTENCE_ENDS)
    for _ in range(_AHEAD):
        if not 0 < len(chunk.split()) < _LONGEST or QUALIFIERS[lang].issuperset(chunk.split()) or end >= len(items):
            return False
        if items[end] in _ALSO[lang]:
            return True
        if items[end] != ",":
            return False
        if items[end + 1 : end + 2] and items[end + 1] in _ALSO[lang]:
            return True
        chunk, end = _chunk(items, end + 1, lang)
    return False
