"""Turn a search wish into search terms: key phrases, their combinations, synonyms, exclusions, sites. Pure."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_pool.providers.builtin.exclusions import divided, hyphenated
from llm_pool.providers.builtin.inflections import other_number
from llm_pool.providers.builtin.inputs import Input, parsed, strings
from llm_pool.providers.builtin.keys import excludes, named
from llm_pool.providers.builtin.numbers import bounds
from llm_pool.providers.builtin.phrases import chunks, runs
from llm_pool.providers.builtin.sites import KIND_WORDS, kinds_of_sites, named_sites
from llm_pool.providers.builtin.tables import listed
from llm_pool.providers.builtin.text import (
    QUALIFIERS,
    STOP,
    SYNONYMS,
    WORD,
    Language,
    clean,
    cut,
    distinct,
    language,
    quoted,
    stemmer,
    stems,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_MUST, _OPTIONAL, _NEGATIVES, _SITES = 6, 12, 8, 6  # places of each list, as the schema has them
_LONGEST_TERM = 80  # characters
_LONGEST_WISH = 4_000  # characters that are read: what is wished for is said by then
_JOINTS = frozenset({"de", "do", "da", "dos", "das", "of"})
_WISH = ("query", "wish", "q", "search", "question", "text", "goal", "topic", "prompt", "input", "request", "consulta",
         "busca", "pesquisa", "pergunta", "desejo", "texto", "objetivo")  # fmt: skip
_OTHER_FIELDS = 40  # of a JSON wish that are looked at
# What a wish puts in quotes is one term: a title, a name.
_QUOTED = re.compile(r"(?<!\w)[\"'\u201c\u2018]([^\W_][^\"'\u201c\u201d\u2018\u2019\n]{2,60})[\"'\u201d\u2019](?!\w)")
_BEGINNING = ("how to", "como", "onde")  # synonyms that begin a query
_NEGATING = listed("no not without exclude avoid sem não nao excluir evitar")
_SITE_WORDS = listed("site sites website websites web www http https com page pages página páginas")


@dataclass(frozen=True, slots=True)
class _Wish:
    text: str  # without its exclusions and limits
    lang: Language
    phrases: tuple[str, ...]  # of the topic, in order
    praise: tuple[str, ...]  # "best", "cheap"
    beside: tuple[str, ...]  # phrases of its other fields
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
    hosts = [clean(text) for name in ("site", "sites", "domain", "domains") for text in strings(given.fields.get(name))]
    wish = divided(whole, lang)
    beside, unwanted = _beside_the_wish(given.fields, lang)
    avoided = named_sites("\n".join([*wish.excluded, *unwanted]))
    sites = [site for site in named_sites("\n".join([whole, *hosts])) if site not in avoided]
    text, limits = _without_limits(hyphenated(wish.kept))
    more: list[str] = []
    for said in beside:
        left, others = _without_limits(said)
        limits += others
        more += [" ".join(chunk) for run in runs(left, lang) for chunk in chunks(run, lang)]
    known = frozenset(label for site in sites for label in (site, site.partition(".")[0]))
    phrases, praise = _phrases(text, lang, known)
    return _Wish(
        text, lang, phrases, praise, tuple(distinct(more)), tuple(limits), (*wish.excluded, *unwanted), tuple(sites)
    )


def _without_limits(text: str) -> tuple[str, list[str]]:
    """A text without the limits it states, and those in order. A bare year stays: it is a word of the topic."""
    limits = []
    for bound in reversed(bounds(text)):
        if bound.kind != "date" or not bound.soft:
            counted = (
                WORD.match(text, bound.end + 1)
                if bound.kind is None and text[bound.end : bound.end + 1] == " "
                else None
            )
            end = counted.end() if counted else bound.end  # "less than 3 seasons"
            limits.append(text[bound.start : end].strip().lower())
            text = f"{text[: bound.start]}\n{text[end:]}"
    return text, limits[::-1]


def _beside_the_wish(fields: Mapping[str, Any], lang: Language) -> tuple[list[str], list[str]]:
    """What the other fields of a JSON wish say, without its exclusions; and what those or their names exclude."""
    kept: list[str] = []
    excluded: list[str] = []
    waiting = [(key, value) for key, value in fields.items() if key not in _WISH][:_OTHER_FIELDS]
    while waiting:
        key, value = waiting.pop(0)
        if excludes(key):
            given = value.split(",") if isinstance(value, str) else strings(value)
            excluded += [_unnegated(clean(text.lower())) for text in given]
        elif isinstance(value, dict):
            waiting += [(str(inner).lower(), each) for inner, each in value.items()][:_OTHER_FIELDS]
        elif value is False:
            excluded.append(" ".join(named(key)))
        else:
            for text in strings(value)[:_OTHER_FIELDS]:
                said = clean(text)[:_LONGEST_WISH]
                found = divided(said, lang)
                found = found if found.excluded else divided(said, language(said))
                kept.append(found.kept)
                excluded += found.excluded
        if len(kept) + len(excluded) > _OTHER_FIELDS * 2:
            break
    return kept, [term for term in excluded if term]


def _unnegated(term: str) -> str:
    """A term of a list of exclusions that says once more that it is one: "no ads", "sem anúncios"."""
    first, _, rest = term.partition(" ")
    return rest if rest and first in _NEGATING else term


def _phrases(text: str, lang: Language, sites: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The topic's phrases in order, topic before kind of thing; and the words that praise."""
    topic = [" ".join(words(match[1])) for match in _QUOTED.finditer(text)]
    text = _QUOTED.sub("\n", text)
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
    stem = stemmer(wish.lang)
    own = frozenset(stems(" . ".join((wish.text, *must)), wish.lang, stem))
    phrases = [phrase for phrase in wish.phrases if phrase in must] or list(must[:1])
    phrases.sort(key=lambda phrase: (phrase[0].isdigit(), len(_content(phrase)) == 1))
    head = phrases[0]
    spoken = [word for word in words(wish.text) if word not in STOP[wish.lang] or word in _JOINTS]
    praise = [word for word in wish.praise if word not in head.split()]
    titles = STOP[wish.lang] - _JOINTS  # what is quoted in a wish may have such words, and is kept whole
    several = [each for phrase in phrases if len(each := _content(phrase)) > 1 and titles.isdisjoint(each)]
    makers: tuple[Iterable[str], ...] = (
        [" ".join(_bare(spoken)[:8])],
        (f"{first} {second}" for first, second in itertools.combinations(phrases[:4], 2)),
        _with_synonyms(phrases, wish.lang),
        (_beside(head, word, wish.lang) for word in praise[:3]),
        (f"{head} {limit}" for limit in wish.limits[:2]),
        (f"{head} {phrase}" for phrase in wish.beside[:3]),
        (word for phrase in several for word in phrase if not word.isdigit()),
        (_beside(head, other, wish.lang) for word in praise for other in SYNONYMS[wish.lang].get(word, ())[:2]),
        (other_number(word, wish.lang) for phrase in phrases for word in _content(phrase)[-1:]),
        praise,
    )
    for row in itertools.zip_longest(*makers):
        for term in row:
            if term and (own.isdisjoint(stems(term, wish.lang, stem)) and own):
                yield f"{term} {_beside_which(phrases, term, wish.lang)}"  # a synonym alone is no word of the wish
            elif term:
                yield term


def _beside_which(phrases: Sequence[str], term: str, lang: Language) -> str:
    """The phrase of the wish that a mere synonym stands beside: one it does not replace, where there is another."""
    return next((phrase for phrase in phrases[1:] if term not in SYNONYMS[lang].get(phrase, ())), phrases[0])


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
        (phrase, word) for phrase in phrases for word in dict.fromkeys((phrase, *_replaceable(phrase))) if word in table
    ]
    for place in range(3):
        for phrase, word in swaps:
            if place < len(table[word]):
                other = table[word][place]
                if phrase != word:
                    if not _agrees_no_more(word, other):
                        yield " ".join(other if each == word else each for each in phrase.split())
                elif other.startswith(_BEGINNING):
                    yield f"{other} {phrases[0]}"
                else:
                    yield other if phrase == phrases[0] else f"{phrases[0]} {other}"


def _replaceable(phrase: str) -> list[str]:
    """The words of a phrase that another may stand for: of "séries de ficção científica" only the first."""
    return phrase.split()[: 1 if not _JOINTS.isdisjoint(phrase.split()) else None]


def _agrees_no_more(word: str, other: str) -> bool:
    """Whether it is the same word in another number, or no noun at all, which the words beside it would not fit."""
    return other.startswith((word, *_BEGINNING)) or word.startswith(other) or word.endswith("s") != other.endswith("s")


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
    about = quoted(whole, 155)
    left = cut(", ".join(wish.excluded[:4]), 60)
    if wish.lang == "pt":
        without = f"; fica de fora: {left}" if left else ""
        return f'Termos tirados das palavras do pedido "{about}", sem modelo de linguagem{without}.'
    without = f"; left out: {left}" if left else ""
    return f'Terms taken from the words of the wish "{about}", without a language model{without}.'
