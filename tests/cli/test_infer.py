"""`llm-pool infer`: the answer on standard output and nothing else there; the exit code says how it went."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llm_pool.cli import main
from llm_pool.core.types import Finished, Started, TextDelta, ToolCallDelta, Usage, Warning
from tests.cli.driving import ROOT, Terminal, command, environment, on_a_thread, pool
from tests.running import SIM, pool_of, serving
from tests.scripted import Scripted, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.running import Up

pytestmark = pytest.mark.real_time

ANSWER = "One two three four five.\n"
MANY = """
[[providers]]
name = "one"
driver = "sim"
model = "m"
sim.answers = ["One two three four five."]
[[providers]]
name = "json"
driver = "sim"
model = "json"
tasks = ["other"]
sim.answers = ['{"best": 1, "why": "é"}']
[[providers]]
name = "escapes"
driver = "sim"
model = "escapes"
tasks = ["other"]
sim.answers = ["a\\u001b[31mred \\u009b2J \\u0007 b\\tc\\r\\nd"]
[[providers]]
name = "fails"
driver = "sim"
model = "fails"
tasks = ["other"]
sim.fail_rate = 1.0
[[providers]]
name = "breaks"
driver = "sim"
model = "breaks"
tasks = ["other"]
sim.answers = ["One two three four five."]
sim.break_rate = 1.0
[[providers]]
name = "stalls"
driver = "sim"
model = "stalls"
tasks = ["other"]
sim.stall_rate = 1.0
[[providers]]
name = "last"
driver = "sim"
model = "last"
fallback = true
tasks = ["spare"]
sim.answers = ["Only me."]
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with pool(MANY.replace('model = "m"', 'model = "m"\ntasks = ["chat"]')) as url:
        yield url


def here(url: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """In this process, where nothing is a terminal."""
    code = main([*arguments, "--url", url])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_only_the_answer_is_on_standard_output(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole and as a stream; in a pipe nothing is said beside it unless somebody asks."""
    assert here(url, capsys, "infer", "chat", "hi") == (0, ANSWER, "")
    assert here(url, capsys, "infer", "chat", "hi", "--stream") == (0, ANSWER, "")
    code, out, err = here(url, capsys, "infer", "chat", "hi", "--verbose", "--max-tokens", "2")
    assert (code, out) == (0, "One two \n")
    assert err == "sim/m, 0.0 s, 2 tokens\ncut off: --max-tokens allows more\n"


def test_everything_about_it_as_json(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One document, or with --stream one event a line."""
    code, out, err = here(url, capsys, "infer", "chat", "hi", "--json", "--temperature", "0", "--deadline", "5")
    assert (code, err) == (0, "")
    assert json.loads(out)["content"] == ANSWER.strip()
    code, out, err = here(url, capsys, "infer", "chat", "hi", "--json", "--stream")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["started", *["text"] * 5, "finished"]
    assert events[-1]["usage"]["output_tokens"] == 5
    code, out, _ = here(url, capsys, "infer", "chat", "hi", "--json", "--stream", "--model", "sim/breaks")
    assert code == 1
    assert json.loads(out.splitlines()[-1])["code"] == "STREAM_BROKEN"


def test_json_is_left_as_it_is_in_a_pipe(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = here(url, capsys, "infer", "chat", "x", "--model", "sim/json")
    assert (code, out) == (0, '{"best": 1, "why": "é"}\n')


def test_an_answer_of_the_fallback_tier_says_so_and_strict_refuses_it(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where no terminal reads it; --quiet is quiet."""
    code, out, err = here(url, capsys, "infer", "spare", "x")
    assert (code, out) == (0, "Only me.\n")
    assert err.startswith("degraded: answered by sim/last, for no other could (")
    for form in ([], ["--json"], ["--stream"], ["--stream", "--json"]):
        code, out, err = here(url, capsys, "infer", "spare", "x", "--strict", "--quiet", *form)
        assert (code, err) == (4, "")
        assert "Only" in out


ERRORS = {
    "a provider failed": (["infer", "chat", "x", "--model", "sim/fails"], 1, "PROVIDER"),
    "it broke": (["infer", "chat", "x", "--model", "sim/breaks", "--stream"], 1, "STREAM_BROKEN"),
    "too late": (["infer", "chat", "x", "--model", "sim/stalls", "--deadline", "0.05"], 1, "DEADLINE_EXCEEDED"),
    "no such task": (["infer", "chatt", "x"], 2, 'unknown task "chatt"; did you mean "chat"?'),
    "no such model": (["infer", "chat", "x", "--model", "sim/n"], 2, 'unknown model "sim/n"'),
    "too long a prompt": (["infer", "chat", "x" * 20_000], 2, "prompt: must be at most 16384 bytes"),
    "an empty prompt": (["infer", "chat", "  "], 2, "the prompt is empty"),
    "no text": (["infer", "chat", "a\udcff"], 2, "the prompt is not UTF-8 text"),
    "no prompt": (["infer", "chat"], 2, "see llm-pool infer --help"),
    "no such option": (["infer", "chat", "x", "--modle", "y"], 2, "no such option: --modle"),
    "too hot": (["infer", "chat", "x", "--temperature", "3"], 2, "--temperature"),
    "no such command": (["inferr"], 2, "no such command 'inferr'"),
}


@pytest.mark.parametrize(("arguments", "code", "says"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_one_line_and_a_code(
    arguments: list[str], code: int, says: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told, out, err = here(url, capsys, *arguments)
    assert told == code
    assert not out or "--stream" in arguments
    [line] = err.splitlines()
    assert line.startswith("llm-pool: ")
    assert says in line


def test_nobody_there_is_told_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = here("http://127.0.0.1:9", capsys, "infer", "chat", "hi")
    assert (code, out) == (3, "")
    assert err == (
        "llm-pool: no pool at http://127.0.0.1:9: connection refused; is it running? start it with: llm-pool serve\n"
    )
    assert here("ftp://x", capsys, "infer", "chat", "hi")[0] == 2


# --- Standard input and output ----------------------------------------------------------------------------------


def test_the_prompt_comes_from_standard_input(url: str) -> None:
    """`-`; the URL from the environment."""
    done = command("infer", "chat", "-", url=url, stdin="\ufeffé?\n".encode())
    assert (done.code, done.out, done.err) == (0, ANSWER, "")


@pytest.mark.parametrize(
    ("stdin", "says"),
    [
        (b" \n", "standard input is empty"),
        (b"\xff\xfe", "standard input is not UTF-8 text"),
        (b"a\0b", "standard input is not text: it holds a zero byte"),
    ],
)
def test_what_is_no_text_is_refused(stdin: bytes, says: str) -> None:
    done = command("infer", "chat", "-", stdin=stdin)
    assert (done.code, done.out, done.err) == (2, "", f"llm-pool: {says}\n")


def test_a_reader_who_leaves_is_no_accident(url: str) -> None:
    """`llm-pool infer ... | head -c 1`: quiet, and the answer is not waited for."""
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "llm_pool", "infer", "chat", "hi", "--stream"],
        stdout=theirs,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(url),
    )
    os.close(ours)
    os.close(theirs)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")


# --- At a terminal ----------------------------------------------------------------------------------------------


def test_at_a_terminal_json_is_laid_out_and_who_answered_is_told(url: str) -> None:
    with Terminal("infer", "chat", "x", "--model", "sim/json", url=url) as person:
        assert person.code() == 0
        shown = person.shows(r"sim/json, \d\.\d s, \d+ tokens")
    assert '{\r\n  "best": 1,\r\n  "why": "é"\r\n}\r\n' in shown
    assert "\x1b[2m" in shown


@pytest.mark.parametrize("form", [[], ["--stream"]], ids=["whole", "stream"])
def test_control_characters_of_a_model_never_reach_a_terminal(form: list[str], url: str) -> None:
    """Without its ESC an escape sequence is plain text. Colours of our own follow NO_COLOR and TERM."""
    environ = {"TERM": "dumb", "NO_COLOR": "1"}
    with Terminal("infer", "chat", "x", "--model", "sim/escapes", *form, url=url, environ=environ) as person:
        assert person.code() == 0
        shown = person.shows(r"tokens\r\n")
    assert shown.startswith("a\ufffd[31mred \ufffd2J \ufffd b\tc\r\nd\r\n")
    assert not set(shown) & {"\x1b", "\x07", "\x9b"}


LOADING = SIM + "sim.load_ms = 3000\n"


def test_whoever_waits_is_told_why() -> None:
    """After a second, on a line that is gone when the answer comes."""
    with pool(LOADING) as url:
        with Terminal("infer", "chat", "hi", url=url) as person:
            shown = person.shows("One two")
            assert person.code() == 0
        assert "loading m, 1 s" in shown
        assert shown.index("loading m") < shown.rindex("\x1b[2K")


def test_ctrl_c_is_quiet() -> None:
    with pool(SIM + "sim.stall_rate = 1.0\n") as url, Terminal("infer", "chat", "hi", url=url) as person:
        person.shows(r"waiting, \d s")
        person.types("\x03")
        assert person.code() == 130
        assert "Traceback" not in person.shown


# --- Tools ------------------------------------------------------------------------------------------------------

CALLING: list[Step] = [
    Started("sim/m", "one"),
    ToolCallDelta(0, "c1", "weather", '{"city":\n'),
    ToolCallDelta(0, "", "", '"Lisbon"}'),
    Finished("tool_calls", Usage(1, output=1)),
]


@contextlib.asynccontextmanager
async def scripted(*steps: Step) -> AsyncIterator[Up]:
    async with pool_of(SIM, {"one": Scripted(*steps)}) as pool, serving(pool) as up:
        yield up


def test_a_call_of_a_tool_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whole and as a stream, after what was said; all of it with --json."""
    line = 'weather({"city": "Lisbon"})\n'
    with on_a_thread(lambda: scripted(*CALLING)) as up:
        url = f"http://{up.http_address}"
        for form in ([], ["--stream"]):
            assert here(url, capsys, "infer", "chat", "hi", *form) == (0, line, "")
        _, out, _ = here(url, capsys, "infer", "chat", "hi", "--json")
        assert json.loads(out)["tool_calls"] == [
            {"id": "c1", "name": "weather", "arguments": '{"city":\n"Lisbon"}'},
        ]
    with on_a_thread(lambda: scripted(CALLING[0], TextDelta("I look."), *CALLING[1:])) as up:
        for form in ([], ["--stream"]):
            code, out, _ = here(f"http://{up.http_address}", capsys, "infer", "chat", "hi", *form)
            assert (code, out) == (0, f"I look.\n{line}")


# --- Warnings ---------------------------------------------------------------------------------------------------

WARNING = Warning("parameter_ignored", 'sim/m cannot take "seed": it was left out')
WARNED: list[Step] = [Started("sim/m", "one"), WARNING, TextDelta("Hello."), Finished("stop", Usage(1, output=1))]


@pytest.mark.parametrize("form", [[], ["--stream"]], ids=["whole", "stream"])
def test_a_warning_is_told_on_standard_error(form: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """At a terminal and in a pipe; --quiet is quiet."""
    says = 'warning: sim/m cannot take "seed": it was left out (parameter_ignored)\n'
    with on_a_thread(lambda: scripted(*WARNED)) as up:
        url = f"http://{up.http_address}"
        assert here(url, capsys, "infer", "chat", "hi", *form) == (0, "Hello.\n", says)
        assert here(url, capsys, "infer", "chat", "hi", "--quiet", *form) == (0, "Hello.\n", "")
        with Terminal("infer", "chat", "hi", *form, url=url, environ={"NO_COLOR": "1", "TERM": "dumb"}) as person:
            assert person.code() == 0
            person.shows(r"Hello\.\r\n.*warning: sim/m cannot take \"seed\": it was left out")
