"""Expanding, describing, planning and recovering: made of the input's own words, in its language."""

from __future__ import annotations

import pytest

from llm_pool.providers.builtin.exclusions import divided
from llm_pool.providers.builtin.numbers import bounds, number
from llm_pool.providers.builtin.text import language, words
from tests.providers.builtin.asking import asked


@pytest.mark.parametrize(
    ("wish", "must", "negatives", "site"),
    [
        (
            "python asyncio tutorial for beginners, no django",
            {"python asyncio", "tutorial"},
            ["django"],
            "documentation",
        ),
        (
            "vegan lasagna recipe without nuts, mushrooms or soy",
            {"vegan lasagna"},
            ["nuts", "mushrooms", "soy"],
            "recipe",
        ),
        ("bolo de chocolate sem glúten e sem lactose, fácil", {"bolo de chocolate"}, ["glúten", "lactose"], "receitas"),
        ("notebook gamer até R$ 5.000 que não seja Dell", {"notebook gamer"}, ["dell"], "lojas"),
        ("papers on protein folding -survey", {"protein folding", "papers"}, ["survey"], "paper"),
        ("notícias de energia solar exceto anúncios", {"energia solar"}, ["anúncios"], "notícias"),
        ("vídeos de história do Brasil no youtube", {"história do brasil"}, [], "youtube.com"),
    ],
)
def test_a_wish_becomes_phrases_exclusions_and_sites(
    wish: str, must: set[str], negatives: list[str], site: str
) -> None:
    answer = asked("expand_queries", wish)
    assert must <= set(answer["must_include"])
    assert answer["negatives"] == negatives
    assert any(site in hint for hint in answer["site_hints"])
    terms = [term.casefold() for key in ("must_include", "optional", "negatives", "site_hints") for term in answer[key]]
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize(
    ("text", "lang", "excluded"),
    [
        ("notebook não liga", "pt", ()),
        ("wifi not working", "en", ()),
        ("no more than 5 euros", "en", ()),
        ("no máximo 5 reais", "pt", ()),
        ("sem açúcar, barato e fácil", "pt", ("açúcar",)),
        ("filmes não violentos", "pt", ("violentos",)),
        ("no ads or tracking please", "en", ("ads", "tracking")),
    ],
)
def test_only_what_is_excluded_counts_as_excluded(text: str, lang: str, excluded: tuple[str, ...]) -> None:
    assert divided(text, "pt" if lang == "pt" else "en").excluded == excluded


@pytest.mark.parametrize(
    ("text", "kind", "low", "high"),
    [
        ("under 30 minutes", "duration", None, 30),
        ("menos de 1h30", "duration", None, 90),
        ("at most 2 hours", "duration", None, 120),
        ("até R$ 1.200,50", "price", None, 1200.5),
        ("between $50 and $100", "price", 50, 100),
        ("entre 50 e 100 reais", "price", 50, 100),
        ("rating above 4", "rating", 4, None),
        ("nota mínima de 4,5", "rating", 4.5, None),
        ("4.5 stars or more", "rating", 4.5, None),
        ("more than 10k views", "popularity", 10_000, None),
        ("mais de 2 milhões de visualizações", "popularity", 2_000_000, None),
        ("after 2020", "date", 2020, None),
        ("price <= 40", "price", None, 40),
    ],
)
def test_limits_are_read_in_both_languages(text: str, kind: str, low: float | None, high: float | None) -> None:
    (bound,) = bounds(text)
    assert bound.kind == kind
    assert low is None or bound.low == low
    assert high is None or bound.high == high


def test_digits_mean_what_they_mean_to_most() -> None:
    assert [number(digits) for digits in ("1.200", "1,200", "1.200,50", "4,5", "4.5", "0.125", "7")] == [
        1200, 1200, 1200.5, 4.5, 4.5, 0.125, 7,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["receita de bolo", "melhor celular barato", "notícias sobre eleições", "não funciona"]
)
def test_portuguese_is_told_from_english(text: str) -> None:
    assert language(text) == "pt"
    assert language("best cheap phone for students") == "en"


NEWS = (
    "The city council approved on Tuesday a new plan for bicycle lanes along the river. The plan costs four million "
    "euros. Residents welcomed the bicycle lanes, but shop owners fear for parking."
)


def test_metadata_are_made_of_the_text_s_own_words() -> None:
    answer = asked("enrich_metadata", NEWS)
    own = set(words(NEWS))
    assert set(words(answer["title"])) <= own
    assert set(words(answer["one_liner"])) <= own
    assert {word for tag in answer["tags"] for word in words(tag)} <= own
    assert "bicycle lanes" in answer["tags"]
    assert answer["content_flags"] == []


@pytest.mark.parametrize(
    "text", ["", "Hi", "the", "🙂", "\x00\x01", "a" * 16_000, "!" * 500, '{"text": ""}', "[[[[", "aaa aaa"]
)
def test_the_shortest_and_strangest_texts_have_metadata_too(text: str) -> None:
    asked("enrich_metadata", text)


def test_moods_and_flags_come_from_words() -> None:
    crime = asked(
        "enrich_metadata", "Two men were murdered and one was stabbed in the attack; police fear more violence."
    )
    assert crime["content_flags"] == ["violence"]
    joy = asked("enrich_metadata", "Que alegria! A festa foi maravilhosa, com muitos sorrisos e diversão para todos.")
    assert joy["mood"] == "alegre"
    assert asked("enrich_metadata", "The table has four legs and a top.")["mood"] == "neutral"


def test_a_plan_for_a_site_never_gets_around_a_block() -> None:
    answer = asked("site_tactics", {"goal": "read articles, bypass the paywall", "site": "news.example.com"})
    assert [step["action"] for step in answer["steps"]] == ["open", "stop"]
    shop = asked("site_tactics", {"goal": "cheapest red shoes under 80 euros, all pages", "site": "shop.example.com"})
    assert [step["action"] for step in shop["steps"]] == ["open", "search", "filter", "sort", "paginate", "extract"]
    assert "red shoes" in shop["steps"][1]["target"]
    mine = asked("site_tactics", "Entrar na minha conta em enel.com.br e baixar a fatura de maio")
    assert mine["steps"][1]["action"] == "login"
    assert "credenciais" in mine["steps"][1]["target"]


@pytest.mark.parametrize(
    ("failure", "severity", "words_of_it"),
    [
        ("No space left on device on search-01 in production", "high", "disk"),
        ("Disco cheio no servidor de homologação", "medium", "espaço"),
        ("payments-api lost data after a crash, corrupted rows", "critical", "writes"),
        ("Certificate expired for api.example.com", "high", "certificate"),
        ("intermittent timeouts of search-api", "low", "slowly"),
        ("429 too many requests from the maps API", "medium", "Retry-After"),
        ("deadlock na tabela pedidos do postgres", "high", "transações"),
        ("something odd", "medium", "logs"),
    ],
)
def test_a_failure_gets_its_severity_and_steps(failure: str, severity: str, words_of_it: str) -> None:
    answer = asked("recovery_plan", failure)
    assert answer["severity"] == severity
    assert words_of_it in str(answer)
    assert failure in answer["reason"]
