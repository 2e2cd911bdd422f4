"""Which words count, and when two of them are the same word, in English and in Portuguese. Pure.

Small on purpose: scoring must not share its word lists with an engine that it judges.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

import Stemmer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Snowball (Porter 2001, "Snowball: a language for stemming algorithms").
_STEMMERS = tuple(Stemmer.Stemmer(language) for language in ("english", "portuguese"))

_WORD = re.compile(r"[^\W_]+")
_NASAL_ENDING = re.compile(r"(ões|ães|ãos|ão)$")  # leilão, leilões: one word, which Snowball keeps apart

_ENGLISH = """
a about after all an and any are as at be because been but by can could did do does for from had has have he her
his how i if in into is it its me more most my no nor not of off on or our out over she should so some such than
that the their them then there these they this those to too under until up very was we were what when where which
while who why will with without would you your don t s re ll ve except exclude excluding
"""
_PORTUGUESE = """
à às ao aos aquela aquele as até com como da das de dela dele depois do dos e é ela ele eles em entre era essa esse
esta está este eu foi há isso isto já lhe mais mas me mesmo meu minha muito na não nas nada nem no nos num numa o
os ou para pela pelas pelo pelos per por porque quando que quem são se sem ser seu seus só sua suas também te tem
teu tu um uma umas uns você exceto menos sobre

"""
_BEFORE = 4  # words in front of a phrase among which a negation turns it round


def words(text: str) -> list[str]:
    """Every word in lower case, accents kept; "10:00" is two."""
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


STOP = frozenset(words(_ENGLISH + _PORTUGUESE))
NEGATORS = frozenset(words("no not never without don avoid nor cannot não nunca sem nem jamais evite evitar nada"))


def content_words(text: str) -> list[str]:
    """The words that mean something by themselves."""
    return [word for word in words(text) if word not in STOP]


@lru_cache(maxsize=20_000)
def forms(word: str) -> frozenset[str]:
    """What a word may be recognised by: itself and its stems, all without accents."""
    plural = _NASAL_ENDING.sub("ao", word)
    return frozenset(_bare(each) for each in (word, plural, *(stemmer.stemWord(word) for stemmer in _STEMMERS)))


def same(one: str, other: str) -> bool:
    """Whether both are forms of one word: "studies" and "study", "leilão" and "leilões"."""
    return bool(forms(one) & forms(other))


def known(text: str) -> frozenset[str]:
    """The forms of all words of a text, to look others up in."""
    return frozenset(form for word in words(text) for form in forms(word))


def share_known(asked: Iterable[str], among: frozenset[str]) -> float:
    """Share of these words that occur there in some form; 1.0 of none."""
    found = [bool(forms(word) & among) for word in asked]
    return sum(found) / len(found) if found else 1.0


def says(text: str, phrase: str) -> bool:
    """Whether the words of the phrase stand in the text one after the other, in whatever form."""
    return any(True for _ in _places(words(text), words(phrase)))


def proposes(text: str, phrase: str) -> bool:
    """Like `says`, but "never delete it" does not propose to delete it."""
    said = words(text)
    return any(not NEGATORS & set(said[max(0, at - _BEFORE) : at]) for at in _places(said, words(phrase)))


def _places(said: Sequence[str], phrase: Sequence[str]) -> Iterable[int]:
    for at in range(len(said) - len(phrase) + 1):
        if phrase and all(same(one, other) for one, other in zip(said[at:], phrase, strict=False)):
            yield at


def _bare(word: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFKD", word) if not unicodedata.combining(each))
