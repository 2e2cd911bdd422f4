"""What `python -m benchmarks.tasks` asks, prints and exits with, against a pool that knows the labels."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.tasks import server
from benchmarks.tasks.__main__ import CANNOT, MISSED, OK, main
from benchmarks.tasks.client import NotMeasured, Reply
from benchmarks.tasks.examples import ROOT, TASKS, Example, of_task
from benchmarks.tasks.report import BUILTIN, MEASURES, promises, quantile, rows, table, troubles
from benchmarks.tasks.run import Outcome, ask_all, marked
from benchmarks.tasks.scoring import score
from tests.running import SIM
from tests.tasks import oracle
from tests.tasks.fake_pool import fake_pool
from tests.tasks.useless import echoing, empty_headed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALL = [example for task in TASKS for example in of_task(task)]
OTHERS = {"phi3": ("loading", ["ollama/phi3:mini"]), "any": ("healthy", ["ollama/*"])}


def outcomes(task: str, *, spoiled: int = 0) -> list[Outcome]:
    """A task answered by the labels, the first few with nonsense; each took as many ms as its number."""
    return [
        marked(BUILTIN, each, Reply("nonsense" if number <= spoiled else oracle.content(each), float(number)))
        for number, each in enumerate(of_task(task), 1)
    ]


def judged_badly(example: Example) -> str:
    """Nobody ever wins."""
    return json.dumps({"winner_id": None, "confidence": 0.1, "reason": example.id})


# --- Without a pool ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", ALL, ids=lambda example: f"{example.task}-{example.id}")
def test_for_every_example_there_is_an_answer_that_all_labels_agree_with(example: Example) -> None:
    found = marked("x", example, Reply(oracle.content(example), 1.0))

    assert not found.error
    assert found.score is not None
    assert found.score.value == 1.0
    assert set(found.score.failed) <= {"own words"}


def test_an_answer_that_is_not_valid_has_no_score_and_counts_as_nothing() -> None:
    (row,) = rows(outcomes("judge", spoiled=5))

    assert (row.asked, row.valid, row.quality) == (20, 15, 0.75)
    assert (row.p50, row.p95) == (10.0, 19.0)
    assert "15/20" in table([row])
    assert troubles(outcomes("judge", spoiled=2))[0].startswith(f"2 x {BUILTIN}: judge: invalid answer")


def test_the_embedded_engine_is_held_to_every_limit() -> None:
    for task in TASKS:
        assert all(each.kept for each in promises(outcomes(task)) if each.what != "own words"), task

    missed = {each.what: each for each in promises(outcomes("judge", spoiled=5)) if not each.kept}
    assert set(missed) == {"valid answers", "right choices", "different answers"}
    assert missed["right choices"].value == 0.75
    assert len(missed["right choices"].culprits) == 5


USELESS = {
    "empty": (empty_headed, (0.0, 0.202, 0.553, 0.25, 0.179, 0.3, 0.1)),
    "echo": (echoing, (0.22, 0.803, 0.553, 0.25, 0.687, 0.888, 0.15)),
}


@pytest.mark.parametrize(("answering", "figures"), USELESS.values(), ids=USELESS.keys())
def test_an_engine_of_no_use_gives_valid_answers_and_misses_the_limit_of_every_task(
    answering: Callable[[Example], str], figures: tuple[float, ...]
) -> None:
    for task, figure in zip(TASKS, figures, strict=True):
        found = [marked(BUILTIN, each, Reply(answering(each), 1.0)) for each in of_task(task)]
        kept = {each.what: each for each in promises(found)}

        assert kept["valid answers"].kept, troubles(found)
        assert kept["different answers"].kept
        assert not kept[MEASURES[task]].kept
        assert kept[MEASURES[task]].value == pytest.approx(figure, abs=0.01), "the figures beside report.LIMITS"


def test_sixteen_of_twenty_are_just_enough() -> None:
    quality = {each.what: each.kept for each in promises(outcomes("judge", spoiled=4))}
    assert quality["right choices"]
    assert not quality["valid answers"]


def test_quantiles_are_values_that_were_measured() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([], 0.5) == 0.0


async def test_never_more_questions_at_a_time_than_allowed_and_none_is_left_out() -> None:
    under_way, most = 0, 0

    async def ask(example: Example, model: str) -> Reply:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return Reply(oracle.content(example), 10.0)

    found: list[Outcome] = []
    told: list[str] = []
    tasks = [of_task("chat"), of_task("judge")]
    await ask_all(ask, ["a", "b"], tasks, into=found, concurrency=3, tell=told.append)

    assert most == 3
    assert len({(one.asked, one.example.task, one.example.id) for one in found}) == 80
    assert len(told) == 4


# --- Against a pool ---------------------------------------------------------------------------------------------


@pytest.mark.real_time
def test_a_pool_that_answers_well_is_measured_and_passes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Only those that are there and can be named are asked, and the pool's own choice."""
    tasks = ("--task", "judge", "--task", "rerank_candidates")
    with fake_pool() as pool:
        pool.providers |= OTHERS
        code = main(["--url", pool.url, *tasks, "--concurrency", "4", "--json", str(tmp_path / "out.json")])

    said = capsys.readouterr()
    written = json.loads((tmp_path / "out.json").read_text())
    assert code == OK, said
    assert {body.get("model") for body in pool.asked} == {BUILTIN, "ollama/phi3:mini", None}
    assert {body["deadline_ms"] for body in pool.asked} == {60_000}
    assert len(pool.asked) == len(written["answers"]) == 120
    assert [row["degraded"] for row in written["rows"]] == [0, 0, 0, 0, 20, 20]
    assert all(each["kept"] for each in written["limits"])
    assert "ollama/phi3:mini: judge (1 of 2)" in said.err
    assert "nDCG@5" in said.out


@pytest.mark.real_time
def test_a_limit_that_is_missed_is_named_and_the_exit_code_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with fake_pool(answering=judged_badly) as pool:
        assert main(["--url", pool.url, "--task", "judge"]) == MISSED
    assert "missed: judge: right choices" in capsys.readouterr().out


@pytest.mark.real_time
def test_a_pool_of_no_use_misses_every_limit(capsys: pytest.CaptureFixture[str]) -> None:
    with fake_pool(answering=empty_headed) as pool:
        assert main(["--url", pool.url, "--concurrency", "4"]) == MISSED
    missed = capsys.readouterr().out.partition("missed: ")[2]
    assert all(f"{task}: {MEASURES[task]}" in missed for task in TASKS)


@pytest.mark.real_time
def test_other_models_may_be_as_bad_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with fake_pool(answering=judged_badly, providers=dict(OTHERS)) as pool:
        assert main(["--url", pool.url, "--task", "judge", "--model", "ollama/phi3:mini"]) == OK
    assert "no limits apply" in capsys.readouterr().out


@pytest.mark.real_time
def test_a_pool_that_answers_nothing_cannot_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with fake_pool(answering=lambda _: None) as pool:
        assert main(["--url", pool.url, "--task", "chat"]) == CANNOT
    assert "20 x builtin/extractive: chat: 503 NO_PROVIDER: nobody is there" in capsys.readouterr().out


@pytest.mark.real_time
def test_where_no_pool_is_there_is_nothing_to_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:9"]) == CANNOT
    assert "cannot measure" in capsys.readouterr().err


@pytest.mark.real_time
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_with_what_is_there(number: signal.Signals) -> None:
    with fake_pool(hold_after=45) as pool:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "benchmarks.tasks", "--url", pool.url],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert pool.holding.wait(20)
            process.send_signal(number)
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
            process.wait()

    assert process.returncode == CANNOT, err
    assert "20/20" in out
    assert "5/5" in out
    assert "stopped before the end" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [["--url", "localhost:7071"], ["--task", "nothing"], ["--concurrency", "0"], ["--deadline", "nan"]],
)
def test_an_option_that_makes_no_sense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == CANNOT


@pytest.mark.real_time
def test_without_an_address_it_starts_a_pool_of_its_own(tmp_path: Path) -> None:
    assert asyncio.run(own_pool(tmp_path, SIM)).startswith("http://127.0.0.1:")


@pytest.mark.real_time
def test_a_pool_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotMeasured, match="nonsense"):
        asyncio.run(own_pool(tmp_path, "[nonsense]\n"))


async def own_pool(folder: Path, toml: str) -> str:
    config = folder / "llm-pool.toml"
    config.write_text(toml, encoding="utf-8")
    async with server.pool(config) as url:
        return url


def test_scores_of_nonsense_are_low() -> None:
    """A plan of the wrong task's words finds next to nothing."""
    other = {"steps": [{"action": "wait", "target": "x", "why": "y"}], "cautions": []}
    assert all(score(each, other).value < 0.5 for each in of_task("site_tactics"))
