"""What a candidate has, has not or says it has not; and the plain sentences that tell why it stands where it stands."""

from __future__ import annotations

from typing import Any

import pytest

from llm_pool.providers.builtin.text import stemmer
from tests.providers.builtin.asking import asked


def ranked(query: str, *texts: str) -> list[Any]:
    ranking: list[Any] = asked("rerank_candidates", {"query": query, "candidates": list(texts)})["ranking"]
    return ranking


def judged(question: str, criteria: object, *texts: str) -> Any:
    return asked("judge", {"question": question, "criteria": criteria, "candidates": list(texts)})["winner_id"]


@pytest.mark.parametrize(
    ("query", "without", "having"),
    [
        ("hotel que aceita cães", "Hotel na praia, não aceita cães", "Hotel no centro, recebe cães e gatos"),
        ("hotel que aceita cães", "Cães não são permitidos no hotel", "Hotel, cães são bem-vindos"),
        ("hotel com estacionamento", "Hotel com estacionamento indisponível", "Hotel e estacionamento ao lado"),
        ("hotel with parking", "Hotel, no parking", "Hotel, parking behind the house"),
        ("hotel with parking", "Hotel. Parking is not available", "Hotel; parking in the yard below it"),
        ("film with english subtitles", "Film without subtitles, english", "A film, subtitles in english"),
        ("bolo sem lactose", "Bolo de leite com lactose", "Bolo de coco sem lactose"),
        ("gluten free bakery", "Bakery, everything contains gluten", "Gluten-free bakery"),
    ],
)
def test_a_candidate_does_not_win_by_a_word_that_it_denies(query: str, without: str, having: str) -> None:
    assert ranked(query, without, having) == ["2", "1"]
    assert judged(query, "", without, having) == "2"


@pytest.mark.parametrize(
    "forms",
    [
        "vegano vegana veganos veganas",
        "avião aviões",
        "pão pães",
        "animal animais",
        "papel papéis",
        "fácil fáceis",
        "infantil infantis",
        "homem homens",
        "boa boas",
        "feliz felizes",
        "lençol lençóis",
    ],
)
def test_inflected_forms_are_one_word(forms: str) -> None:
    stem = stemmer("pt")
    assert len({stem(form) for form in forms.split()}) == 1


def test_gender_and_number_do_not_matter_for_rank_or_choice() -> None:
    texts = ("Churrascaria tradicional", "Cozinha vegana e pratos veganos", "Casa de massas")
    assert ranked("restaurante vegano", *texts)[0] == "2"
    assert judged("restaurante vegano", "", *texts) == "2"
    assert ranked("hotéis infantis", "Motel antigo", "Hotel infantil")[0] == "2"


COURSES: tuple[dict[str, Any], ...] = (
    {"id": "old", "title": "Data course", "year": 2019, "price": 30, "minutes": 20, "rating": 4.6},
    {"id": "dear", "title": "Data course", "year": 2023, "price": 90, "minutes": 20, "rating": 4.6},
    {"id": "long", "title": "Data course", "year": 2023, "price": 30, "minutes": 95, "rating": 4.6},
    {"id": "poor", "title": "Data course", "year": 2023, "price": 30, "minutes": 20, "rating": 3.1},
    {"id": "good", "title": "Data course", "year": 2023, "price": 30, "minutes": 20, "rating": 4.5},
)


def test_criteria_may_be_an_object_of_conditions() -> None:
    conditions = {"year": "2022 or later", "price": "under 50", "duration": {"max": 30}, "min_rating": 4}
    question = {"query": "data course", "criteria": conditions, "candidates": COURSES}
    assert asked("rerank_candidates", question)["ranking"][0] == "good"
    assert asked("judge", question)["winner_id"] == "good"


@pytest.mark.parametrize(
    ("criteria", "out"),
    [
        ({"year": "2022 or later"}, "old"),
        ({"year": 2023}, "old"),
        ({"max_price": 50}, "dear"),
        ({"price": "até 50"}, "dear"),
        ({"duration": {"max": 30}}, "long"),
        ({"min_rating": 4}, "poor"),
        ({"published": "not older than 2021"}, "old"),
    ],
)
def test_each_condition_is_heard(criteria: object, out: str) -> None:
    question = {"query": "data course", "criteria": criteria, "candidates": COURSES}
    assert asked("rerank_candidates", question)["ranking"][-1] == out


def test_the_language_may_be_a_condition() -> None:
    candidates = [{"id": "en", "title": "curso", "lang": "en"}, {"id": "pt", "title": "curso", "lang": "pt"}]
    question = {"query": "curso", "criteria": {"language": "Portuguese"}, "candidates": candidates}
    assert asked("rerank_candidates", question)["ranking"] == ["pt", "en"]


VAGUE = "The outage affected various systems and was resolved at some point after a long night of work by many people."
CAUSE = "Checkout was down for 40 minutes because a migration locked the table."
BARE = "There was an outage. It is fixed."


@pytest.mark.parametrize(
    ("question", "criteria", "texts", "winner"),
    [
        ("Which summary is better?", "short, names the cause", (VAGUE, CAUSE, BARE), "2"),
        ("Which summary is better?", "has numbers", (VAGUE, CAUSE, BARE), "2"),
        ("Compare the summaries", "concise", (VAGUE, CAUSE, BARE), "3"),
        ("Qual resumo é melhor?", "cita a causa", ("A loja caiu.", "A loja caiu por causa de uma migração."), "2"),
        (
            "Qual é a melhor resposta?",
            "educada",
            ("Leia o manual.", "Desculpe o atraso. Obrigado pela paciência."),
            "2",
        ),
        ("Which is better?", "no jargon", ("Leverage synergies holistically.", "Work on it with each other."), "2"),
        ("Which explanation is better?", "with examples", ("It calls itself.", "For example, f calls f."), "2"),
        ("Which reply is more polite?", "", ("Send it again.", "Could you please send it again? Thank you!"), "2"),
        ("Which commit message is best?", "says why", ("fix", "Retry because the proxy drops connections"), "2"),
    ],
)
def test_a_question_about_the_candidates_is_judged_by_the_criteria(
    question: str, criteria: str, texts: tuple[str, ...], winner: str
) -> None:
    assert judged(question, criteria, *texts) == winner


def test_nobody_wins_where_a_hard_limit_rules_all_out_or_nobody_offers_what_is_asked_for() -> None:
    rooms = [{"id": 1, "text": "a", "price": 80}, {"id": 2, "text": "b", "price": 90}]
    answer = asked("judge", {"question": "Which is better?", "criteria": "under 50 euros", "candidates": rooms})
    assert answer["winner_id"] is None
    assert "price 80 is not under 50 euros" in answer["reason"]
    assert judged("Which hiking boots are best?", "", "A cookbook", "Car insurance") is None


def test_reasons_are_plain_sentences_in_the_language_of_the_question() -> None:
    albums = [
        {"id": "a", "title": "Jazz vocals", "minutes": 12},
        {"id": "b", "title": "Instrumental jazz for working", "minutes": 92},
    ]
    criteria = ["instrumental", "longer than 30 minutes"]
    english = asked("rerank_candidates", {"query": "jazz for working", "criteria": criteria, "candidates": albums})
    assert english["reasons"] == {
        "b": "Matches jazz and working; 92 minutes is longer than 30 minutes; mentions instrumental "
        '("Instrumental jazz for working"). '
        '(Question: "jazz for working"; criteria: "instrumental, longer than 30 minutes")',
        "a": 'Matches jazz, nothing on working; 12 minutes is not longer than 30 minutes ("Jazz vocals").',
    }
    discos = [{"id": 1, "titulo": "Jazz calmo", "minutos": 120}, {"id": 2, "titulo": "Jazz", "minutos": 30}]
    portuguese = asked("rerank_candidates", {"query": "jazz calmo", "criteria": "mais de 1 hora", "candidates": discos})
    assert portuguese["reasons"]["1"] == (
        'Contém jazz e calmo; 2 horas cumpre "mais de 1 hora" ("Jazz calmo"). '
        '(Pergunta: "jazz calmo"; critérios: "mais de 1 hora")'
    )


def test_other_criteria_are_another_question_even_where_no_candidate_meets_any() -> None:
    for task in ("judge", "rerank_candidates"):
        rooms = {"query": "room", "candidates": ["table", "chair"]}
        quiet, cheap = (asked(task, {**rooms, "criteria": each}) for each in ("quiet", {"max_price": 9}))
        assert quiet != cheap
        assert '(Question: "room"; criteria: "quiet")' in str(quiet)
        assert '(Question: "room"; criteria: "max_price: 9")' in str(cheap)


def test_the_longest_reasons_and_notes_fit_their_schemas() -> None:
    """`asked` validates each; in both languages everything that is quoted is as long as it may be."""
    for words, unwanted in (("red tent that holds against much wind ", "without "), ("barraca que não molha ", "sem ")):
        long = words * 30
        candidates = [{"id": place, "title": long, "price": place} for place in (1, 2)]
        for criteria in (long, {"price": f"under 3, {long}"}, unwanted + long):
            for task in ("judge", "rerank_candidates"):
                asked(task, {"query": long, "criteria": criteria, "candidates": candidates})
        asked("expand_queries", f"{long} {unwanted}{', '.join(['incompreensibilidades'] * 9)}")
        asked("expand_queries", {"query": long, "exclude": [f"incompreensibilidade{number}" for number in range(9)]})


def test_no_answer_shows_a_checksum() -> None:
    long = "red tent " * 100
    for task in ("expand_queries", "site_tactics", "recovery_plan", "judge", "rerank_candidates"):
        assert " #" not in str(asked(task, long))
