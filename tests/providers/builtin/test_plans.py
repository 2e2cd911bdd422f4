"""Plans for sites and for failures: what may come does not stop them, what is fine is no cause, secrets are revoked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_pool.providers.builtin.ruled_out import without_what_is_fine
from tests.providers.builtin.asking import asked, chatted


def actions(goal: object) -> list[str]:
    return [step["action"] for step in asked("site_tactics", goal)["steps"]]


@pytest.mark.parametrize(
    "goal",
    [
        "find tents on camp.com; if a captcha appears, stop",
        "Listar vagas de enfermagem em vagas.com.br; pode aparecer um captcha",
        {"goal": "tents for two", "site": "camp.com", "constraints": ["stop at a captcha", "no login"]},
        "Never bypass the captcha. Find tents on camp.com",
        "public statistics on rain from inmet.gov.br without logging in",
    ],
)
def test_an_obstacle_that_only_may_come_is_a_caution_and_a_last_word(goal: object) -> None:
    answer = asked("site_tactics", goal)
    planned = [step["action"] for step in answer["steps"]]
    assert planned[:2] == ["open", "search"]
    assert planned[-2:] == ["extract", "stop"]
    assert "login" not in planned
    assert any("captcha" in caution for caution in answer["cautions"])


@pytest.mark.parametrize(
    "goal",
    [
        "the article is behind a captcha on news.com",
        "bypass the paywall of news.com if there is one",
        "burlar o captcha de site.com.br",
        "read subscribers only articles without logging in",
    ],
)
def test_an_obstacle_itself_ends_the_plan(goal: str) -> None:
    assert actions(goal) == ["open", "stop"]


def test_a_login_that_is_required_comes_first() -> None:
    assert actions("requires login: download my invoices from power.com")[:2] == ["open", "login"]


def test_targets_are_short_and_name_the_value() -> None:
    answer = asked("site_tactics", "Find free jazz recordings from the 1960s on tapes.org, sorted by date")
    targets = [(step["action"], step["target"]) for step in answer["steps"]]
    assert targets == [
        ("open", "tapes.org"),
        ("search", "search field: jazz recordings"),
        ("filter", "free"),
        ("filter", "date: the 1960s"),
        ("sort", "by date, newest first"),
        ("extract", "jazz recordings"),
    ]


@pytest.mark.parametrize(
    ("goal", "target"),
    [
        ("used bikes on olx.pt sorted by price", "by price, lowest first"),
        ("vídeos de violão no youtube ordenados por data", "por data, mais novos primeiro"),
        ("ramen in Osaka on eats.com, by rating", "by rating or popularity, best first"),
        ("photos of New York on flickr.com", ""),
        ("sort the shells on shells.com", ""),
    ],
)
def test_a_list_is_sorted_by_what_the_goal_names(goal: str, target: str) -> None:
    sorts = [step["target"] for step in asked("site_tactics", goal)["steps"] if step["action"] == "sort"]
    assert sorts == ([target] if target else [])


def test_the_fields_to_read_are_named_in_the_end() -> None:
    answer = asked("site_tactics", {"goal": "collect titles and prices of red shoes under 80 euros", "site": "s.com"})
    assert answer["steps"][1]["target"] == "search field: red shoes"
    assert answer["steps"][-1]["target"] == "titles, prices of red shoes"


@pytest.mark.parametrize(
    ("report", "left"),
    [
        ("API slow, the database is fine", "api slow"),
        ("API lenta, o banco está bem", "api lenta"),
        ("Search fails. DNS ok, disk ok.", "search fails"),
        ("orders fail, not the network", "orders fail"),
        ("erros 500, sem problemas de disco", "erros 500"),
        ("CPU and memory look normal but latency is high", "latency is high"),
        ("não é a rede, o disco está cheio", "o disco está cheio"),
        ("not a DNS issue; certificate expired", "certificate expired"),
        ("ruled out the network, pods crash", "pods crash"),
        ("the database is not fine", "the database is not fine"),
        ("it was fine until the deploy", "it was fine until the deploy"),
        ("no space left on device", "no space left on device"),
        ("service not responding", "service not responding"),
        ("nada está funcionando", "nada está funcionando"),
        ("sem conexão com o banco", "sem conexão com o banco"),
    ],
)
def test_what_is_called_fine_is_no_cause(report: str, left: str) -> None:
    assert without_what_is_fine(report).strip() == left


@pytest.mark.parametrize(
    "report",
    [
        "Release of cart-api 4.1 returns 503 since 09:10, database is healthy",
        "o site está fora do ar desde a versão 3.2, o banco está bem",
        "Deploy of mail-worker 7 at 11:00, timeouts since then, not the network",
    ],
)
def test_a_version_named_with_a_time_is_rolled_back(report: str) -> None:
    steps = str(asked("recovery_plan", report)["steps"])
    assert "last good version" in steps or "última versão boa" in steps


@pytest.mark.parametrize(
    "report", ["The disk of mail-2 is full and search answers 503", "O disco do web-1 está cheio, 502"]
)
def test_how_a_failure_shows_is_not_its_cause(report: str) -> None:
    steps = str(asked("recovery_plan", report)["steps"])
    assert "disk" in steps or "disco" in steps


@pytest.mark.parametrize(
    "report",
    [
        "A private key was pushed to a public repository",
        "A senha do banco vazou num fórum",
        "API key exposta nos logs de homologação",
        "somebody committed the token of billing-api",
        "Passwords printed in the logs of auth-01",
    ],
)
def test_a_secret_that_others_may_know_is_revoked(report: str) -> None:
    answer = asked("recovery_plan", report)
    assert answer["severity"] in {"high", "critical"}
    assert answer["steps"][0]["action"].startswith(("Revoke", "Revogue"))


@pytest.mark.parametrize("report", ["Memory leak in worker-3", "Login fails: invalid token in the logs", "key missing"])
def test_other_leaks_and_keys_are_no_leaked_secret(report: str) -> None:
    assert "Revoke" not in str(asked("recovery_plan", report)["steps"])


def test_what_failed_is_named_or_called_the_system() -> None:
    assert "the maps API" in str(asked("recovery_plan", "timeouts from the maps API"))
    assert "do site" in str(asked("recovery_plan", "o site caiu"))
    assert "the affected system" in str(asked("recovery_plan", "disk full after midnight"))


@pytest.mark.parametrize(
    ("question", "said", "unsaid"),
    [
        (
            {"question": "Who built the dam?", "passage": "The dam is old. It was built by Ana Lopes. Fish like it."},
            "It was built by Ana Lopes.",
            "Fish",
        ),
        (
            {"pergunta": "Quanto custa o bilhete?", "texto": "O museu abre às 9. O bilhete custa 12 euros."},
            "12",
            "às 9",
        ),
        (
            {"question": "When does the bus leave?", "context": ["The train is late.", "The bus leaves at 9."]},
            "9",
            "late",
        ),
        ("Summarise: The dam is old. Fish like it.", "The dam is old. Fish like it.", "{"),
    ],
)
def test_a_chat_reads_json_as_json(question: Any, said: str, unsaid: str) -> None:
    answer = chatted(question if isinstance(question, str) else json.dumps(question))
    assert said in answer
    assert unsaid not in answer
    assert "passage" not in answer
