"""Turn a search wish into search terms: key phrases, their combinations, synonyms, exclusions, sites. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_pool.providers.builtin.exclusions import divided
from llm_pool.providers.builtin.inputs import Input, parsed, strings
from llm_pool.providers.builtin.numbers import bounds
from llm_pool.providers.builtin.phrases import chunks, runs
from llm_pool.providers.builtin.sites import KIND_WORDS, kinds_of_sites, named_sites
from llm_pool.providers.builtin.tables import listed
from llm_pool.providers.builtin.text import (
    QUALIFIERS,
    STOP,
    SYNONYMS,
    Language,
    clean,
    cut,
    distinct,
    language,
    quoted,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MUST, _OPTIONAL, _NEGATIVES, _SITES = 6, 12, 8, 6  # places of each list, as the schema has them
_LONGEST_TERM = 80  # characters
_LONGEST_WISH = 4_000  # characters that are read: what is wished for is said by then
_JOINTS = frozenset({"de", "do", "da", "dos", "das", "of"})
_WISH = ("query", "wish", "q", "search", "question", "text", "goal", "topic", "prompt", "input", "request", "consulta",
         "busca", "pesquisa", "pergunta", "desejo", "texto", "objetivo")  # fmt: skip
_EXCLUDING = ("exclude", "excluded", "negatives", "negative", "avoid", "without", "excluir", "evitar", "sem")
_SHORTEST_PLURAL = 4  # letters: "gas", "pés" follow no plain rule
_NO_PLURAL = frozenset({"ss", "us", "is"})  # endings of singulars that look like plurals
_TO_SINGULAR = {
    "en": (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("ss", ""), ("us", ""), ("is", ""), ("s", "")),
    "pt": (("ões", "ão"), ("ais", "al"), ("eis", "el"), ("ens", "em"), ("res", "r"), ("s", "")),
}
_TO_PLURAL = {
    "en": (("ch", "ches"), ("sh", "shes"), ("", "s")),
    "pt": (("ão", "ões"), ("al", "ais"), ("el", "eis"), ("em", "ens"), ("r", "res"), ("", "s")),
}
_SITE_WORDS = listed("site sites website websites web www http https com page pages página páginas")


@dataclass(frozen=True, slots=True)
class _Wish:
    text: str  # without its exclusions and limits
    lang: Language
    phrases: tuple[str, ...]  # of the topic, in order
    praise: tuple[str, ...]  # "best", "cheap"
    limits: tuple[str, ...]  # "under 30 minutes", as written
    excluded: tuple[str, ...]
    sites: tuple[str, ...]


def expand_queries(raw: str) -> dict[str, Any]:
    """The answer to `expand_queries`."""
    given = parsed(raw)
    whole = clean((given.first(*_WISH) or given.text)[:_LONGEST_WISH])
    wish = _read(given, whole)
    taken: set[str] = set()
    alone = wish.phrases[0].split() if len(wish.phrases) == 1 else ()
    must = _kept([*wish.phrases, *alone] or [*wish.praise, *words(wish.text)], _MUST, taken, wish.lang)
    if not must:
        must = [cut(whole, _LONGEST_TERM) or "?"]
        taken.add(must[0].casefold())
    negatives = _kept(wish.excluded, _NEGATIVES, taken, wish.lang)
    optional = _kept(_further(wish, must), _OPTIONAL, taken, wish.lang)
    hints = _kept([*wish.sites, *kinds_of_sites(wish.text, wish.lang)], _SITES, taken, wish.lang)
    return {
        "must_include": must,
        "optional": optional,
        "negatives": negatives,
        "site_hints": hints,
        "notes": _notes(whole, wish),
    }


def _read(given: Input, whole: str) -> _Wish:
    lang = language(whole)
    named = [clean(text) for name in ("site", "sites", "domain", "domains") for text in strings(given.fields.get(name))]
    sites = named_sites("\n".join([whole, *named]))
    wish = divided(whole, lang)
    excluded = [*wish.excluded]
    for name in _EXCLUDING:
        excluded += [clean(text.lower()) for text in strings(given.fields.get(name))]
    text, limits = wish.kept, []
    for bound in reversed(bounds(text)):
        if bound.kind != "date" or not bound.soft:  # a bare year is a word of the topic
            limits.append(text[bound.start : bound.end].strip().lower())
            text = f"{text[: bound.start]}\n{text[bound.end :]}"
    known = frozenset(label for site in sites for label in (site, site.partition(".")[0]))
    phrases, praise = _phrases(text, lang, known)
    return _Wish(text, lang, phrases, praise, tuple(reversed(limits)), tuple(excluded), tuple(sites))


def _phrases(text: str, lang: Language, sites: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The topic's phrases in order, topic before kind of thing; and the words that praise."""
    topic: list[str] = []
    kinds: list[str] = []
    praise: list[str] = []
    for run in runs(text, lang, also_stop=_SITE_WORDS):
        praise += [word for word in run if word in QUALIFIERS[lang]]
        kinds += [word for word in run if word in KIND_WORDS]
        left = [word if word not in QUALIFIERS[lang] and word not in KIND_WORDS else "" for word in run]
        for key, part in itertools.groupby(left, key=bool):
            if key:
                topic += [" ".join(chunk) for chunk in chunks(_bare([*part]), lang) if chunk]
    topic = [phrase for phrase in topic if phrase.replace(" ", "") not in sites]
    return tuple(distinct([*topic, *kinds])), tuple(distinct(praise))


def _bare(run: list[str]) -> list[str]:
    while run and run[0] in _JOINTS:
        run = run[1:]
    while run and run[-1] in _JOINTS:
        run = run[:-1]
    return run


def _further(wish: _Wish, must: Sequence[str]) -> Iterator[str]:
    """Further queries, from each way of making them in turn, so that none crowds the others out."""
    phrases = [phrase for phrase in wish.phrases if phrase in must] or list(must[:1])
    phrases.sort(key=lambda phrase: len(_content(phrase)) == 1)
    head = phrases[0]
    spoken = [word for word in words(wish.text) if word not in STOP[wish.lang] or word in _JOINTS]
    praise = [word for word in wish.praise if word not in head.split()]
    several = [_content(phrase) for phrase in phrases if len(_content(phrase)) > 1]
    makers: tuple[Iterable[str], ...] = (
        [" ".join(_bare(spoken)[:8])],
        (f"{first} {second}" for first, second in itertools.combinations(phrases[:4], 2)),
        _with_synonyms(phrases, wish.lang),
        (_beside(head, word, wish.lang) for word in praise[:3]),
        (f"{head} {limit}" for limit in wish.limits[:2]),
        (word for phrase in several for word in phrase),
        (_beside(head, other, wish.lang) for word in praise for other in SYNONYMS[wish.lang].get(word, ())[:2]),
        (_other_number(word, wish.lang) for phrase in phrases for word in _content(phrase)[-1:]),
        praise,
    )
    for row in itertools.zip_longest(*makers):
        yield from (term for term in row if term)


def _beside(head: str, praise: str, lang: Language) -> str:
    return f"{praise} {head}" if lang == "en" else f"{head} {praise}"


def _content(phrase: str) -> list[str]:
    return [word for word in phrase.split() if word not in _JOINTS]


def _with_synonyms(phrases: Sequence[str], lang: Language) -> Iterator[str]:
    """The phrases with one word replaced by what searchers say for it, the first synonym of every word first.

    What replaces a phrase of one word stands beside the first phrase, for alone it would mean too much.
    """
    table = SYNONYMS[lang]
    swaps = [
        (phrase, word) for phrase in phrases for word in dict.fromkeys((phrase, *_content(phrase))) if word in table
    ]
    for place in range(3):
        for phrase, word in swaps:
            if place < len(table[word]):
                swapped = " ".join(table[word][place] if each == word else each for each in phrase.split())
                swapped = table[word][place] if phrase == word else swapped
                yield swapped if phrase == phrases[0] or phrase != word else f"{phrases[0]} {swapped}"


def _other_number(word: str, lang: Language) -> str:
    """The plural of a common singular and the other way round, where the rule is plain; else "".

    Only words that a table knows get a plural: the others may be names.
    """
    if len(word) < _SHORTEST_PLURAL or not word.isalpha():
        return ""
    for ending, other in _TO_SINGULAR[lang]:
        if word.endswith(ending):
            return word.removesuffix(ending) + other if ending not in _NO_PLURAL else ""
    if word.endswith("ing") or (word not in SYNONYMS[lang] and word not in KIND_WORDS):
        return ""
    ending, other = next(rule for rule in _TO_PLURAL[lang] if word.endswith(rule[0]))
    return word.removesuffix(ending) + other


def _kept(terms: Iterable[str], places: int, taken: set[str], lang: Language) -> list[str]:
    """The first terms that are new and say something, at most `places`; `taken` learns them."""
    found: list[str] = []
    for term in terms:
        bare = cut(term, _LONGEST_TERM, mark="").strip(" -.,'\u2019")
        folded = bare.casefold()
        if len(found) >= places:
            break
        if folded and folded not in taken and not all(word in STOP[lang] for word in words(bare)):
            taken.add(folded)
            found.append(bare)
    return found


def _notes(whole: str, wish: _Wish) -> str:
    about = quoted(whole, 170)
    if wish.lang == "pt":
        without = f", sem {cut(', '.join(wish.excluded[:3]), 50)}" if wish.excluded else ""
        return f'Extraído das palavras do pedido, sem modelo de linguagem: "{about}"{without}.'
    without = f", without {cut(', '.join(wish.excluded[:3]), 50)}" if wish.excluded else ""
    return f'Extracted from the words of the wish, no language model: "{about}"{without}.'
