"""Help says what there is, with examples, on 80 columns; completion is there; a mistake is told in one line."""

from __future__ import annotations

import re

import pytest

from llm_pool.cli import main
from tests.cli.driving import command

COMMANDS = [
    [],
    ["serve"],
    ["infer"],
    ["chat"],
    ["models"],
    ["models", "list"],
    ["models", "pull"],
    ["check-config"],
    ["init"],
    ["simulate"],
]


@pytest.mark.parametrize("name", COMMANDS, ids=[" ".join(name) or "top" for name in COMMANDS])
def test_the_help_of_every_command_fits_and_has_examples(name: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name, "--help"]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    assert "examples:" in told
    assert re.search(rf"^    llm-pool {' '.join(name)}", told, re.MULTILINE)
    assert "\x1b" not in told
    _, listed, commands = told.partition("Commands:")
    assert not listed or "..." not in commands.split("examples:")[0], "a summary was cut off"


def test_the_exit_codes_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ([], ["infer"]):
        assert main([*name, "--help"]) == 0
        assert re.search(r"3  the pool is not reachable", capsys.readouterr().out)


@pytest.mark.parametrize("name", [[], ["models"]], ids=["top", "models"])
def test_without_a_command_there_is_help(name: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(name) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.real_time
@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_completion_for_the_shells(shell: str) -> None:
    done = command("--show-completion", shell, environ={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    assert done.code == 0
    assert "_LLM_POOL_COMPLETE" in done.out
    said = {"_LLM_POOL_COMPLETE": f"complete_{shell}", "COMP_WORDS": "llm-pool mo", "COMP_CWORD": "1"}
    said |= {"_TYPER_COMPLETE_ARGS": "llm-pool mo", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert "models" in command(environ=said).out
