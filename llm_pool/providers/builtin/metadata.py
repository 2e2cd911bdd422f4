"""Title, one line, tags, mood and flags of a text, made of its own words. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llm_pool.providers.builtin.inputs import parsed
from llm_pool.providers.builtin.moods import FLAGS, MOODS
from llm_pool.providers.builtin.phrases import central, frequent, key_phrases
from llm_pool.providers.builtin.tables import listed, phrases
from llm_pool.providers.builtin.text import STOP, Language, clean, cut, language, sentences, stemmer, words
from llm_pool.providers.builtin.words_en import PROFANITY as PROFANITY_EN
from llm_pool.providers.builtin.words_pt import PROFANITY as PROFANITY_PT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_TITLE, _LINE, _TAG = 60, 120, 40  # characters, as the schema has them
_LEAST_TAGS, _MOST_TAGS = 4, 8
_TITLE_WORDS = 2  # that stay, whatever they are
_SHORTEST_TAG = 2  # characters
_LONGEST_TAG = 3  # words
_TEXT = phrases("text|content|body|article|description|transcript|texto|conteúdo|conteudo|descrição")
_HEADING = ("title", "heading", "headline", "título", "titulo")
_CLAUSE = re.compile(r"(?<=[\w)])(?:[,;:]| [\u2013\u2014-]) ")
_STRONG_CLAUSE = re.compile(r"(?<=[\w)])[:;] ")
_JOINING = listed("and but because while which who when after e mas porque enquanto que quando depois")
_SHORT_TITLE = 12  # characters before a colon that may be a title
_JOINED_TITLE = 20  # characters before a conjunction that may be one
_FLAT_TITLE = 25  # characters: a shorter clause says too little to stand for its sentence
_GENERIC = {"en": ("english", "text", "note", "content"), "pt": ("português", "texto", "nota", "conteúdo")}
_NEUTRAL = {"en": "neutral", "pt": "neutro"}
_MOOD_AT_LEAST = 2  # words of a mood: one may stand in any text
_SHORT = 40  # words: in a shorter text one word is enough
_JOINTS = frozenset({"de", "do", "da", "dos", "das", "of"})
_VERBAL = {
    "en": ("ed", "ly"),
    "pt": ("ou", "aram", "eram", "iram", "ando", "endo", "indo", "mente", "isar", "izar", "onar"),
}
_VERBS = {
    "en": listed("""
        came went set put led removes adds allows announces announced becomes brings creates falls gains grows holds
        includes introduces launches leads loses means provides raises reaches releases remains rises sees seeks sends
        serves supports tells tries warns wins old costs cost fear fears adds add fixes fix uses use takes take gives
        give shows show keeps keep makes goes come comes say let leave leaves left help helps finds found wrote write
        began begin begins opens open runs run works work want wants looks look feel feels became become plays won lost
        made grew grow rose fell built build reached rest stir mix bake apenas new first last next two three four five
        six seven eight nine ten
        """),
    "pt": listed("""
        perdeu venceu pediu deu fez disse reabriu apenas aprenda misture deixe asse adicione fazer usar usa usam traz
        mostra mostram diz dizem custa custam fica ficam ganha perde abre cresce sobe cai começa termina inclui permite
        ajuda descansar comprar vender dois duas três quatro cinco seis sete oito nove dez primeiro primeira novo nova
        novos novas chegou anuncia anunciou lança
        """),
}
_NEVER_TAGS = listed("said says told including however today yesterday disse diz segundo ontem hoje afirmou")


def enrich_metadata(raw: str) -> dict[str, Any]:
    """The answer to `enrich_metadata`."""
    given = parsed(raw)
    text = given.first(*_TEXT) or given.text
    lang = language(text)
    ranked = [sentence.text for sentence in central(text, lang, stemmer(lang))]
    title = _title(given.first(*_HEADING), text, ranked, lang)
    return {
        "title": title,
        "one_liner": _one_liner(text, ranked, title),
        "tags": _tags(text, lang, stemmer(lang)),
        "mood": _mood(text, lang),
        "content_flags": _flags(text),
    }


def _title(heading: str, text: str, ranked: Sequence[str], lang: Language) -> str:
    """The heading; else the first or the most central sentence as far as it fits, at a clause; else the best phrase."""
    lines = [text.split("\n", 1)[0].lstrip("#*=- ").rstrip("#*= "), *text.split("\n")[1:2]]
    if not heading and len(lines) > 1 and len(lines[0]) <= _TITLE and lines[0][-1:] not in {".", ",", ";"}:
        heading = lines[0]
    if heading and words(heading):
        return _fitted(heading)
    first = sentences(text)[:1]
    for sentence in [*first, *ranked[:1]]:
        bare = sentence.rstrip(".!… ")
        if len(bare) <= _TITLE and len(words(bare)) > 1:
            return bare
    for sentence in [*first, *ranked[:1]]:
        if (clause := _clause(sentence)) and not all(word in STOP[lang] for word in words(clause)):
            return clause
    phrases = [phrase.text for phrase in key_phrases(text[:8000], lang)[:1]]
    return _fitted((first or phrases or [text])[0])


def _clause(sentence: str) -> str:
    """The longest beginning of a sentence that fits and ends where a clause does, or ""."""
    strong = [match.start() for match in _STRONG_CLAUSE.finditer(sentence[: _TITLE + 2])]
    if strong and _SHORT_TITLE <= strong[0] <= _TITLE:
        return sentence[: strong[0]]
    ends = [
        match.start() for match in _CLAUSE.finditer(sentence[: _TITLE + 2]) if _FLAT_TITLE <= match.start() <= _TITLE
    ]
    return sentence[: ends[-1]] if ends else ""


def _fitted(text: str) -> str:
    """Cut at a word, without the stop words that would dangle at the end."""
    line = " ".join(text.split())
    if len(line) > _TITLE:
        kept = cut(line, _TITLE, mark="").split(" ")
        small = [place for place, word in enumerate(kept) if word.lower().strip(".,;:") in STOP["en"] | STOP["pt"]]
        joints = [place for place in small if kept[place].lower() in _JOINING]
        if joints and len(" ".join(kept[: joints[-1]])) >= _JOINED_TITLE:
            small = [joints[-1]]
        for place in reversed(small):  # what the last small word began has been cut in two
            if len(" ".join(kept[:place])) >= _JOINED_TITLE:
                kept = kept[:place]
                break
        while len(kept) > _TITLE_WORDS and kept[-1].lower().strip(".,;:") in STOP["en"] | STOP["pt"]:
            kept.pop()
        line = " ".join(kept)
    return line.rstrip(" .,;:-\u2013\u2014") or line or "?"


def _one_liner(text: str, ranked: Sequence[str], title: str) -> str:
    """The best sentence, not the title again where there is another; one that fits before one that must be cut."""
    others = [each for each in ranked[:4] if each.rstrip(".!… ") != title]
    fitting = [each for each in others[:2] if len(each) <= _LINE]
    return cut((fitting or others or ranked or [text])[0], _LINE) or "?"


def _tags(text: str, lang: Language, stem: Callable[[str], str]) -> list[str]:
    """Key phrases, then frequent words, then words that fit any text; none a variant of another."""
    phrases = [
        tag
        for phrase in key_phrases(text, lang)[:60]
        if 1 < len((tag := _noun(phrase.text, lang)).split()) <= _LONGEST_TAG and not tag[0].isdigit()
    ]
    single = [word for word in frequent(text, lang) if word not in _VERBS[lang]]
    chosen: list[str] = []
    seen: set[frozenset[str]] = set()
    for tag in [*phrases[:4], *single[:12]]:
        parts = frozenset(stem(word) for word in words(tag))
        shown = tag.strip(" .-'\u2019")
        if _SHORTEST_TAG <= len(shown) <= _TAG and parts not in seen and not _NEVER_TAGS & set(tag.split()):
            seen.add(parts)
            chosen.append(shown)
    spare = [word[:_TAG] for word in dict.fromkeys(words(text[:2000]))]
    return _filled(chosen, [*spare, *_GENERIC[lang]])


def _noun(phrase: str, lang: Language) -> str:
    """A phrase without what looks like a verb, an adverb or a number at its ends: no tagger is at hand."""
    kept = phrase.split()
    while len(kept) > 1 and (kept[-1].endswith(_VERBAL[lang]) or kept[-1] in _VERBS[lang] or kept[-1][0].isdigit()):
        kept.pop()
    while len(kept) > 1 and (kept[0].endswith(_VERBAL[lang]) or kept[0] in _VERBS[lang] or kept[0] in _JOINTS):
        kept = kept[1:]
    while len(kept) > 1 and kept[-1] in _JOINTS:
        kept.pop()
    return " ".join(kept)


def _filled(chosen: Sequence[str], spare: Iterable[str]) -> list[str]:
    tags = list(dict.fromkeys(chosen))[:_MOST_TAGS]
    for word in spare:
        if len(tags) >= _LEAST_TAGS:
            break
        if word not in tags and (len(word) > _SHORTEST_TAG or word.isdigit()) and word not in STOP["en"] | STOP["pt"]:
            tags.append(word)
    return tags


_MOOD_ROWS = tuple((english, portuguese, frozenset(row.split())) for english, portuguese, row in MOODS)
_FLAG_ROWS = tuple((flag, least, frozenset(row.split())) for flag, least, row in FLAGS)


def _mood(text: str, lang: Language) -> str:
    said = words(text)
    best, most = _NEUTRAL[lang], 0
    for english, portuguese, row in _MOOD_ROWS:
        count = sum(word in row for word in said)
        if count > most:
            best, most = portuguese if lang == "pt" else english, count
    return best if most >= (1 if len(said) < _SHORT else _MOOD_AT_LEAST) else _NEUTRAL[lang]


def _flags(text: str) -> list[str]:
    said = set(words(clean(text)))
    found = []
    for flag, least, row in _FLAG_ROWS:
        if len(said & row) >= least:
            found.append(flag)
    if said & (PROFANITY_EN | PROFANITY_PT):
        found.append("profanity")
    return list(dict.fromkeys(found))
