"""`llm-pool simulate`: figures for people, programs and the eye; a mistake is told in one line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from xml.dom import minidom

import pytest

from llm_pool.cli import main
from llm_pool.simulate.scenarios import SCENARIOS
from tests.cli.driving import Terminal, command
from tests.simulate.worlds import SPARE, TWO, attempt, recorded, trace

if TYPE_CHECKING:
    from pathlib import Path

FEW = ("--requests", "200")


@pytest.fixture
def two(tmp_path: Path) -> str:
    path = tmp_path / "two.toml"
    path.write_text(TWO + SPARE)
    return str(path)


@pytest.fixture
def spare(tmp_path: Path) -> str:
    """Of the two, only the first and the spare one."""
    path = tmp_path / "spare.toml"
    path.write_text(TWO.partition('[[providers]]\nname = "b"')[0] + SPARE)
    return str(path)


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What one line says of it; nothing else is printed."""
    assert main(["simulate", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_the_scenarios_are_listed_and_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SCENARIOS)
    assert main(["simulate", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.partition("scenarios:")[2].split()[: len(SCENARIOS)] == list(SCENARIOS)
    assert max(map(len, shown.splitlines())) <= 80
    assert re.search(r"^    llm-pool simulate --scenario", shown, re.MULTILINE)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_can_be_replayed(scenario: str, two: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--scenario", scenario, "--config", two, *FEW]) == 0
    said = capsys.readouterr()
    assert re.search(r"^requests +200$", said.out, re.MULTILINE)
    assert re.search(r"^first token p99 +\d", said.out, re.MULTILINE)
    assert said.err == ""


def test_two_configurations_are_asked_the_same_and_stand_side_by_side(
    two: str, spare: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one deployment less, an outage is answered by the spare one."""
    arguments = ["simulate", "--scenario", "outage", "--config", two, "--compare", spare, *FEW]
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["two.toml", "spare.toml"]
    assert main([*arguments, "--json", "--seed", "3", "--rate", "2"]) == 0
    value = told(capsys)
    assert {name: value[name] for name in ("scenario", "seed", "requests", "rate", "task")} == {
        "scenario": "outage", "seed": 3, "requests": 200, "rate": 2.0, "task": "chat",
    }  # fmt: skip
    first, second = value["configurations"]
    assert (first["config"], second["config"]) == ("two.toml", "spare.toml")
    assert first["degraded"] < 5
    assert second["degraded"] > 50
    assert set(second["deployments"]) == {"a", "spare"}


def test_the_first_one_is_no_fallback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "spare_first.toml"
    path.write_text(SPARE + TWO)
    assert main(["simulate", "--scenario", "outage", "--config", str(path), *FEW, "--json"]) == 0
    [told_of] = told(capsys)["configurations"]
    assert {opening["deployment"] for opening in told_of["breaker_openings"]} == {"a"}


def test_equal_seeds_give_equal_figures(two: str, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for seed in ("1", "1", "2"):
        assert main(["simulate", "--scenario", "heavy", "--config", two, *FEW, "--json", "--seed", seed]) == 0
        outputs.append(told(capsys)["configurations"])
    assert outputs[0] == outputs[1] != outputs[2]


def test_it_is_drawn_where_that_is_asked_for(
    two: str, spare: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = tmp_path / "plot.svg", tmp_path / "folder.svg"
    folder.mkdir()
    arguments = ["simulate", "--scenario", "outage", "--config", two, "--compare", spare, *FEW, "--plot"]
    assert main([*arguments, str(path)]) == 0
    text = path.read_text()
    assert minidom.parseString(text).getElementsByTagName("svg")  # noqa: S318 - our own
    assert {"two.toml", "spare.toml", "outage"} <= set(re.findall(r"[\w.]+", text))
    assert "a breaker of a opened at" in text
    capsys.readouterr()
    assert main([*arguments, str(folder)]) == 2
    assert capsys.readouterr().err == f"llm-pool: {folder}: cannot be written: is a directory\n"
    assert main([*arguments, str(tmp_path / "plot.gif")]) == 2
    assert "name a file that ends in .svg" in capsys.readouterr().err


def test_a_trace_is_replayed_and_what_it_does_not_know_is_said(
    two: str, spare: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [recorded(each, attempt(), attempt("gone")) for each in range(20)]
    path = str(trace(tmp_path, *lines, recorded(20, task="dream")))
    assert main(["simulate", "--trace", path, "--config", two, "--compare", spare, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "two.toml: nothing is recorded of b: asked last, and then it fails",
        "two.toml: recorded, but not configured there: gone",
        "two.toml: does not know these tasks of the trace: dream",
        "spare.toml: recorded, but not configured there: gone",
        "spare.toml: does not know these tasks of the trace: dream",
    ]
    value = json.loads(said.out)
    assert (value["trace"], value["requests"]) == (path, 21)
    for each in value["configurations"]:
        assert (each["answered"], each["errors"]) == (20, {"UNKNOWN_TASK": 1})
        assert each["first_token_ms"] == {"p50": 1000.0, "p95": 1000.0, "p99": 1000.0}
        assert each["whole_answer_ms"]["p50"] == 1900.0


def test_a_trace_of_others_is_refused(two: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(trace(tmp_path, recorded(0, attempt("gone"), attempt("lost"))))
    assert "none of its providers is in the trace; recorded are: gone, lost" in refused(
        capsys, "--trace", path, "--config", two
    )


def test_a_trace_that_is_wrong_is_named_with_its_line(
    two: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(trace(tmp_path, recorded(0), "{}"))
    assert f"llm-pool: {path}:3: at: field required" in refused(capsys, "--trace", path, "--config", two)


def test_a_mistake_is_told_in_one_line(two: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[qoss]\n")
    config = ("--config", two)
    cases: list[tuple[tuple[str, ...], str]] = [
        ((), "nothing to replay: name a --scenario (--list shows them) or a --trace"),
        (("--scenario", "hevy"), 'unknown scenario "hevy"; did you mean "heavy"?'),
        (("--scenario", "x"), 'unknown scenario "x"; there are: steady, heavy, drift'),
        (("--scenario", "heavy", "--trace", "x"), "not both"),
        (("--trace", "x", "--rate", "3"), "--requests, --rate and --task are for a --scenario"),
        (("--trace", str(tmp_path / "none")), "none: no such file"),
        (("--scenario", "heavy", "--task", "chatt"), 'two.toml: unknown task "chatt"; did you mean "chat"?'),
        (("--scenario", "heavy", "--compare", two), "two.toml is compared with itself"),
        (("--scenario", "heavy", "--requests", "0"), "see llm-pool simulate --help"),
    ]
    for arguments, said in cases:
        assert said in refused(capsys, *arguments, *config)
    assert "wrong.toml:1: unknown section" in refused(capsys, "--scenario", "heavy", "--config", str(wrong))


def test_a_task_that_nobody_is_there_for_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "judges.toml"
    path.write_text('[[providers]]\nname = "a"\ndriver = "sim"\nmodel = "m"\ntasks = ["judge"]\n')
    said = refused(capsys, "--scenario", "heavy", "--config", str(path))
    assert "judges.toml: no provider is there for the task chat; name another with --task" in said
    assert main(["simulate", "--scenario", "steady", "--config", str(path), "--task", "judge", *FEW]) == 0


@pytest.mark.real_time
def test_without_a_configuration_it_is_the_default_one(tmp_path: Path) -> None:
    done = command("simulate", "--scenario", "outage", "--requests", "50", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "llm-pool.toml" in done.out


@pytest.mark.real_time
def test_at_a_terminal_there_is_a_bar_and_ctrl_c_ends_it(two: str) -> None:
    with Terminal("simulate", "--scenario", "steady", "--config", two, "--requests", "100000") as person:
        person.shows(r"two\.toml.*%")
        person.types("\x03")
        assert person.code() == 130
        assert "Traceback" not in person.shown
