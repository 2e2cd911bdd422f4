"""What a wish excludes and limits is heard wherever it is said, and no term is made up."""

from __future__ import annotations

import pytest

from llm_pool.providers.builtin.exclusions import divided
from llm_pool.providers.builtin.inflections import other_number
from llm_pool.providers.builtin.numbers import bounds
from llm_pool.providers.builtin.text import Language, language, stemmer, stems
from tests.providers.builtin.asking import asked


@pytest.mark.parametrize(
    ("wish", "negatives"),
    [
        ({"query": "vegan lasagna", "criteria": "exclude nuts, under 30 minutes"}, ["nuts"]),
        ({"query": "bolo", "restrições": ["sem lactose", "sem glúten"]}, ["lactose", "glúten"]),
        ({"wish": "trails in Norway", "constraints": {"avoid": ["glaciers", "no dogs"]}}, ["glaciers", "dogs"]),
        ({"query": "laptop", "not": "gaming, refurbished"}, ["gaming", "refurbished"]),
        ({"consulta": "hotéis em Faro", "evitar": ["hostels"]}, ["hostels"]),
        ({"consulta": "hotéis em Faro", "criteria": "exclude hostels"}, ["hostels"]),
        ({"query": "notes app", "filters": {"ads": False}}, ["ads"]),
        ("hotel em Faro exceto quartos com banheiro compartilhado", ["quartos com banheiro compartilhado"]),
        ("cottages in Wales except cottages with stairs", ["cottages with stairs"]),
        ("mend a bicycle without calling a mechanic", ["mechanic"]),
        ("bolo sem açúcar com cobertura de coco", ["açúcar"]),
        ("piano covers, not on Spotify", ["spotify"]),
    ],
)
def test_what_is_excluded_becomes_a_negative_wherever_it_is_said(wish: object, negatives: list[str]) -> None:
    answer = asked("expand_queries", wish)
    assert answer["negatives"] == negatives
    assert not {"banheiro compartilhado", "stairs", "mechanic"} & set(answer["must_include"])
    assert "spotify.com" not in answer["site_hints"]


def test_other_fields_of_a_wish_give_further_queries() -> None:
    answer = asked("expand_queries", {"query": "trilhas no Gerês", "preferences": ["fáceis", "até 10 km"]})
    assert "trilhas fáceis" in answer["optional"]
    assert "trilhas até 10 km" in answer["optional"]


@pytest.mark.parametrize(
    "wish",
    [
        "flights to Oslo",
        "flights",
        "cheap laptop",
        "filmes de terror",
        "emprego remoto de programador",
        "jazz news from Paris",
        "python asyncio tutorial",
        "fix a leaking tap",
        "café da manhã",
        "video",
    ],
)
def test_every_expansion_has_a_word_of_the_wish(wish: str) -> None:
    lang = language(wish)
    stem = stemmer(lang)
    own = set(stems(wish, lang, stem))
    for term in asked("expand_queries", wish)["optional"]:
        assert own & set(stems(term, lang, stem)), term


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", "news paris atlas jazz physics asyncio series glasses cheap gerês tennis lens status"),
        ("pt", "gerês lápis ténis paris atlas ônibus lisboa barato simples férias óculos mais"),
    ],
)
def test_a_word_whose_other_number_is_not_certain_keeps_its_own(lang: Language, words: str) -> None:
    assert [other_number(word, lang) for word in words.split()] == [""] * len(words.split())


@pytest.mark.parametrize(
    ("lang", "singular", "plural"),
    [
        ("en", "recipe", "recipes"),
        ("en", "battery", "batteries"),
        ("en", "watch", "watches"),
        ("en", "stipulation", "stipulations"),
        ("pt", "avaliação", "avaliações"),
        ("pt", "hotel", "hotéis"),
        ("pt", "viagem", "viagens"),
        ("pt", "motor", "motores"),
        ("pt", "acampamento", "acampamentos"),
    ],
)
def test_common_words_have_both_numbers(lang: Language, singular: str, plural: str) -> None:
    assert (other_number(singular, lang), other_number(plural, lang)) == (plural, singular)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("no older than 2015", 2015, None),
        ("not older than 2015", 2015, None),
        ("não anterior a 2015", 2015, None),
        ("não seja anterior a 2015", 2015, None),
        ("not before 2019", 2019, None),
        ("no earlier than 2018", 2018, None),
        ("a partir de 2020", 2020, None),
        ("2022 or later", 2022, None),
        ("older than 2015", None, 2014.999),
        ("no later than 2020", None, 2020.999),
        ("não posterior a 2019", None, 2019.999),
        ("2015 ou anterior", None, 2015.999),
        ("até 2020", None, 2020.999),
        ("at most 50", None, 50),
        ("no more than 3 stops", None, 3),
        ("no máximo 30 minutos", None, 30),
        ("não mais de 30 minutos", None, 30),
        ("no longer than 20 minutes", None, 20),
        ("must not exceed 40 euros", None, 40),
        ("older than 18", 18, None),
    ],
)
def test_a_negation_turns_a_limit_round(text: str, low: float | None, high: float | None) -> None:
    (bound,) = bounds(text)
    assert (bound.low if low is not None else None, bound.high if high is not None else None) == (low, high)
    assert divided(text, language(text)).excluded == ()


def test_days_ago_are_no_duration() -> None:
    assert bounds("news not older than 30 days") == []


def test_notes_are_a_sentence() -> None:
    wish = "red tent without poles"
    notes = asked("expand_queries", wish)["notes"]
    assert notes == f'Terms taken from the words of the wish "{wish}", without a language model; left out: poles.'


def test_what_is_in_quotes_is_one_term() -> None:
    answer = asked("expand_queries", "'the dark side of the moon' vinyl")
    assert answer["must_include"] == ["the dark side of the moon", "vinyl"]
    assert not {"the", "dark", "side"} & set(answer["optional"])


def test_what_a_limit_counts_belongs_to_it() -> None:
    answer = asked("expand_queries", "séries de ficção científica com menos de 3 temporadas")
    assert "temporadas" not in answer["must_include"]
    assert "séries de ficção científica menos de 3 temporadas" in answer["optional"]
    assert "séries de romance científica" not in answer["optional"]
