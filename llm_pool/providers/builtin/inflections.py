"""The plural of a singular and the other way round, where both are certain; for all other words nothing. Pure.

A rule for endings alone makes "new" of "news" and "gerê" of "gerês". Therefore a table of common nouns is
inflected, and beside them only words with a suffix that no name and no invariable word has ("-ções", "-ments").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_pool.providers.builtin.tables import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.providers.builtin.text import Language

_SINGULARS = {
    "en": listed("""
        laptop notebook computer phone smartphone camera bike bicycle car jacket coat backpack sofa chair table desk
        lamp apartment house hotel hostel restaurant recipe meal dinner dessert cake cookie pie soup salad sandwich
        workout exercise doctor medicine treatment symptom dog puppy cat kitten movie film song track album guitar
        concert book novel article paper study review guide tutorial course lesson beginner example video podcast photo
        picture image download program application app library package framework module bug error issue container
        developer price discount deal coupon shop store job salary company startup loan investment stock law election
        battery planet museum gallery beach mountain trail garden plant game toy gift wedding school university student
        teacher language translation chart graph map documentary idea tip checklist template meeting conference screen
        monitor keyboard printer router flight trip vacation holiday itinerary route ticket tent shoe boot headphone
        earphone printer bridge river lake island city town country region village tool machine engine sensor robot
        device charger cable speaker television watch ring shirt sweater bag wallet knife pan pot oven blender fridge
        """),
    "pt": listed("""
        notebook computador celular câmera bicicleta carro casaco mochila sofá cadeira mesa apartamento casa hotel
        restaurante receita prato jantar almoço sobremesa bolo biscoito torta sopa salada treino exercício médico
        remédio doença sintoma tratamento bebê criança cachorro gato filme série música disco violão livro romance
        artigo notícia pesquisa estudo avaliação guia tutorial curso aula iniciante exemplo vídeo foto imagem programa
        aplicativo biblioteca código erro teste programador preço desconto promoção loja emprego vaga salário empresa
        imposto empréstimo investimento lei eleição bateria planeta museu praia montanha trilha jardim planta jogo
        brinquedo presente casamento aniversário escola faculdade universidade estudante professor idioma gráfico mapa
        documentário ideia dica modelo reunião tela teclado impressora roteador voo viagem passagem roteiro pousada
        barraca sapato bota ponte rio lago ilha cidade país região ferramenta máquina motor sensor robô carregador cabo
        televisão relógio anel vestido camisa bolsa carteira faca panela forno liquidificador geladeira podcast
        """),
}
# Endings of words and what they become; the first that fits is taken.
_RULES: Mapping[Language, tuple[tuple[str, str], ...]] = {
    "en": (("ch", "ches"), ("sh", "shes"), ("fe", "ves"), ("ay", "ays"), ("ey", "eys"), ("oy", "oys"), ("y", "ies"),
           ("", "s")),
    "pt": (("ão", "ões"), ("al", "ais"), ("el", "éis"), ("em", "ens"), ("im", "ins"), ("ís", "íses"), ("r", "res"),
           ("", "s")),
}  # fmt: skip
# Suffixes that are certain on any word: singular, plural.
_CERTAIN: Mapping[Language, tuple[tuple[str, str], ...]] = {
    "en": (("ition", "itions"), ("ation", "ations"), ("ment", "ments"), ("bility", "bilities")),
    "pt": (("ação", "ações"), ("ição", "ições"), ("mento", "mentos"), ("idade", "idades")),
}
_LEAST_BEFORE = 3  # letters before such a suffix


def _plural(word: str, lang: Language) -> str:
    ending, other = next(rule for rule in _RULES[lang] if word.endswith(rule[0]))
    return word.removesuffix(ending) + other


_PLURALS: Mapping[Language, Mapping[str, str]] = {
    "en": {word: _plural(word, "en") for word in _SINGULARS["en"]},
    "pt": {word: _plural(word, "pt") for word in _SINGULARS["pt"]},
}
_BACK: Mapping[Language, Mapping[str, str]] = {
    "en": {plural: word for word, plural in _PLURALS["en"].items()},
    "pt": {plural: word for word, plural in _PLURALS["pt"].items()},
}


def other_number(word: str, lang: Language) -> str:
    """The plural of a singular, the singular of a plural, "" where neither is certain."""
    if found := _PLURALS[lang].get(word) or _BACK[lang].get(word):
        return found
    for singular, plural in _CERTAIN[lang]:
        for ending, other in ((singular, plural), (plural, singular)):
            if word.endswith(ending) and len(word) >= len(ending) + _LEAST_BEFORE:
                return word.removesuffix(ending) + other
    return ""
