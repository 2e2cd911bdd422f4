"""`llm-pool models`: what the pool serves, and fetching models into an Ollama."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from llm_pool.cli import main
from tests.cli.driving import Terminal, command, on_a_thread, pool
from tests.cli.pulling import Pulling
from tests.running import SIM, wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.real_time

CONFIG = """
[[providers]]
name = "a"
driver = "ollama"
base_url = "{url}"
models = ["phi3:mini", "Mistral"]
[[providers]]
name = "b"
driver = "ollama"
base_url = "{url}"
model = "gemma2:9b"
"""


@pytest.fixture
def ollama() -> Iterator[Pulling]:
    with on_a_thread(lambda: Pulling("phi3:mini", "mistral:latest")) as ollama:
        yield ollama


@pytest.fixture
def config(ollama: Pulling, tmp_path: Path) -> str:
    path = tmp_path / "my.toml"
    path.write_text(CONFIG.format(url=ollama.url), encoding="utf-8")
    return str(path)


# --- list -------------------------------------------------------------------------------------------------------


def test_in_a_pipe_they_are_names_and_as_json_they_have_their_state(capsys: pytest.CaptureFixture[str]) -> None:
    with pool(SIM) as url:
        assert main(["models", "list", "--url", url]) == 0
        names = capsys.readouterr().out.splitlines()
        assert main(["models", "list", "--url", url, "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
    assert {"sim/m", "pool/fastest", "task/chat"} <= set(names)
    assert {"id": "sim/m", "providers": {"one": {"state": "healthy", "why": ""}}} in listed
    assert [one["id"] for one in listed] == names
    assert main(["models", "list", "--url", "http://127.0.0.1:9"]) == 3


def test_at_a_terminal_they_are_a_table_that_fits() -> None:
    long = SIM.replace('model = "m"', f'model = "{"m" * 100}"')
    with pool(long) as url, Terminal("models", "list", url=url, environ={"NO_COLOR": "1"}) as person:
        assert person.code() == 0
        shown = re.sub(r"\x1b\[[0-9;]*m", "", person.shows("also as --model: [^\n]*\n"))
    table = shown[: shown.index("also as")].splitlines()
    assert all(len(line.rstrip()) <= 80 for line in table)
    assert table[0].split() == ["model", "provider", "state", "why"]
    assert "healthy" in shown


def test_at_a_terminal_it_is_told_why_a_model_does_not_answer() -> None:
    gone = '[[providers]]\nname = "gone"\ndriver = "ollama"\nmodel = "m"\nbase_url = "http://127.0.0.1:9"\n'
    with pool(gone) as url, Terminal("models", "list", url=url, environ={"NO_COLOR": "1"}) as person:
        assert person.code() == 0
        assert "no answer at 127.0.0.1:9" in person.shows("also as --model: [^\n]*\n")


WILDCARDS = """
[[providers]]
name = "down"
driver = "ollama"
provider = "local"
models = ["*"]
base_url = "http://127.0.0.1:9"
[[providers]]
name = "keyless"
driver = "openai"
models = ["*"]
api_key = "env:A_KEY_THAT_NOBODY_SET"
"""


def test_who_takes_any_name_is_listed_with_its_state_and_not_as_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pool(SIM + WILDCARDS) as url:
        assert main(["models", "list", "--url", url]) == 0
        names = capsys.readouterr().out.splitlines()
        assert main(["models", "list", "--url", url, "--json"]) == 0
        listed = {one["id"]: one["providers"] for one in json.loads(capsys.readouterr().out)}
        with Terminal("models", "list", url=url, environ={"NO_COLOR": "1"}) as person:
            assert person.code() == 0
            shown = person.shows("also as --model: [^\n]*\n")
    assert not [name for name in names if "*" in name]
    assert listed["local/*"]["down"]["state"] == "unhealthy"
    assert "127.0.0.1:9" in listed["local/*"]["down"]["why"]
    assert "A_KEY_THAT_NOBODY_SET" in listed["openai/*"]["keyless"]["why"]
    assert re.search(r"local/\* +down +unhealthy", shown)
    assert re.search(r"openai/\* +keyless +unhealthy", shown)
    assert "*" not in shown[shown.index("also as") :]


# --- pull -------------------------------------------------------------------------------------------------------


def test_without_a_name_what_the_configuration_misses_is_fetched(
    ollama: Pulling, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names compare as Ollama compares them."""
    assert main(["models", "pull", "--config", config]) == 0
    told = capsys.readouterr()
    assert ollama.pulled == ["gemma2:9b"]
    assert told.out.splitlines() == ["phi3:mini: is there already", "Mistral: is there already", "gemma2:9b: pulled"]
    assert told.err.splitlines() == [
        "gemma2:9b: pulling manifest",
        "gemma2:9b: pulling 633fc5be925f (2.2 GB)",
        "gemma2:9b: verifying sha256 digest",
        "gemma2:9b: writing manifest",
    ]


def test_a_name_that_nobody_knows_is_told_as_ollama_tells_it(
    ollama: Pulling, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "pull", "nobody", "--host", ollama.url, "--quiet"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"llm-pool: Ollama at {ollama.url} says: pull model manifest: file does not exist\n"


def test_a_pull_that_breaks_off_is_not_a_success(ollama: Pulling, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "cut", "--host", ollama.url, "--quiet"]) == 1
    assert "pull again: it goes on where it was" in capsys.readouterr().err


def test_no_ollama_is_told_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "phi3:mini", "--host", "127.0.0.1:9"]) == 3
    assert capsys.readouterr().err == (
        "llm-pool: no Ollama answers at http://127.0.0.1:9; start it with: ollama serve "
        "(get it from https://ollama.com/download)\n"
    )
    assert main(["models", "pull", "phi3:mini", "--host", "ftp://x"]) == 2
    with pool(SIM) as url:
        assert main(["models", "pull", "phi3:mini", "--host", url]) in {1, 3}


def test_a_server_gets_its_own_key_and_no_other(ollama: Pulling, config: str) -> None:
    """OLLAMA_API_KEY is for the server that OLLAMA_HOST or --host names."""
    environ = {"OLLAMA_API_KEY": "canary"}
    done = command("models", "pull", "--config", config, environ=environ)
    assert (done.code, ollama.keys) == (0, {""})
    done = command("models", "pull", "phi3:mini", environ={**environ, "OLLAMA_HOST": ollama.url})
    assert (done.code, ollama.keys) == (0, {"", "Bearer canary"})
    assert "canary" not in done.out + done.err


def test_at_a_terminal_there_are_bars_and_ctrl_c_ends_it(ollama: Pulling) -> None:
    with Terminal("models", "pull", "phi3:mini", "slow", "--host", ollama.url) as person:
        person.shows("phi3:mini: pulled")
        person.shows("633fc5be925f.*GB")
        person.types("\x03")
        assert person.code() == 130
        assert "Traceback" not in person.shown
    wait(lambda: ollama.left == 1)
