"""Answer a conversation with its own sentences, and say that no language model did. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_pool.providers.builtin.inputs import parsed, strings
from llm_pool.providers.builtin.phrases import central, key_phrases
from llm_pool.providers.builtin.tables import listed
from llm_pool.providers.builtin.text import MOST, clean, cut, language, quoted, sentences, stemmer, stems, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_pool.providers.builtin.text import Language

_SENTENCES = 3  # of the answer
_LONGEST = 400  # characters of one of them
_MOST_MESSAGES = 400  # of a conversation
_QUESTION = 300  # characters of the question that are repeated
_LONGEST_ORDER = 10  # words of "Summarise the following text in two sentences"
_ORDERS = listed("""
    summarize summarise summary tl;dr shorten explain list extract resuma resume resumo resumir explique liste extraia
    """)
_QUESTIONS = ("question", "query", "q", "prompt", "ask", "pergunta", "consulta", "questão", "message", "mensagem")
_MARK = {
    "en": "[builtin/extractive: no language model answered]",
    "pt": "[builtin/extractive: nenhum modelo de linguagem respondeu]",
}


def chat(said: Sequence[str]) -> list[str]:
    """The answer to the last of these texts in pieces, one sentence each; joined they are the whole answer."""
    asked, source = _asked(said[-1] if said else "")
    lang = language(asked, otherwise=source)
    stem = stemmer(lang)
    earlier = _earlier(said[:-1])
    towards = frozenset(stems(asked, lang, stem))
    own = [each for each in central(f"{earlier}\n{source}".strip(), lang, stem, towards=towards) if each.text != asked]
    if len(towards) > 1 or earlier:
        most = max((len(each.stems & towards) for each in own), default=0)
        near = [each for each in own if len(each.stems & towards) > most / 2]
        own = near if most else own if source else []
    chosen = sorted(own[:_SENTENCES], key=lambda each: each.place)
    about = quoted(asked, _QUESTION)
    if not chosen:
        return [f"{_MARK[lang]} ", *_nothing(about, asked, lang)]
    lead = f'Sobre "{about}", a conversa diz: ' if lang == "pt" else f'On "{about}", the conversation says: '
    return [
        f"{_MARK[lang]} ",
        lead,
        *(f"{cut(each.text, _LONGEST)} " for each in chosen[:-1]),
        cut(chosen[-1].text, _LONGEST),
    ]


def _earlier(said: Sequence[str]) -> str:
    """The end of the conversation before its last message, as much as is read."""
    found: list[str] = []
    left = MOST
    for text in reversed(said[-_MOST_MESSAGES:]):
        found.append(parsed(text).text[-left:])
        left -= len(found[-1]) + 1
        if left <= 0:
            break
    return "\n".join(reversed(found))


def _asked(raw: str) -> tuple[str, str]:
    """The question of a message, and what it gives to answer from; of JSON by the names of its fields."""
    given = parsed(raw)
    names = [name for name in _QUESTIONS if given.first(name)]
    if not names:
        return _divided(given.text)
    question = given.first(names[0])
    rest = clean("\n".join(strings({key: value for key, value in given.fields.items() if key != names[0]})))
    return (question, rest) if rest else _divided(question)


def _divided(text: str) -> tuple[str, str]:
    """The question in a text, and the rest of it: the last sentence that asks, else the first."""
    lead, colon, rest = text.partition(":")
    if colon and 0 < len(words(lead)) <= _LONGEST_ORDER and len(lead) < len(rest) and words(lead)[0] in _ORDERS:
        return lead.strip(), rest.strip()
    bodies = sentences(text)
    if len(bodies) <= 1:
        return text, ""
    asking = [body for body in bodies if body.endswith("?")]
    question = asking[-1] if asking else bodies[0]
    return question, "\n".join(body for body in bodies if body != question)


def _nothing(about: str, asked: str, lang: Language) -> list[str]:
    keys = [phrase.text for phrase in key_phrases(asked, lang)[:6]] or list(dict.fromkeys(words(asked)))[:6]
    listed = cut(", ".join(keys), _QUESTION) or "-"
    if lang == "pt":
        return [f'A conversa não contém texto do qual responder a "{about}". ', f"Palavras-chave: {listed}."]
    return [f'The conversation holds no text to answer "{about}" from. ', f"Key words: {listed}."]
