"""The real `llm-pool` process: how it starts, what it says, why it does not start and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from llm_pool.v1 import pool_service_pb2 as pb
from llm_pool.v1.pool_service_pb2_grpc import LLMPoolServiceStub
from llm_pool.version import __version__
from tests.running import ANY_PORT, SIM, Served, served, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICK = f"server.drain_accept_ms = 0\n{SIM}"
SLOW = """
[server]
drain_accept_ms = 1_000
[[providers]]
name = "one"
driver = "sim"
model = "m"
sim.answers = ["One two three four five."]
sim.per_token.median_ms = 200.0
"""
SILENT = """
server.drain_accept_ms = 0
[[providers]]
name = "one"
driver = "sim"
model = "m"
sim.answers = ["One two three four five."]
sim.per_token.median_ms = 60_000.0
"""


def get(up: Served, path: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(up.address("HTTP"), timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


class Streaming:
    """A stream over HTTP that a thread reads to its end."""

    def __init__(self, up: Served) -> None:
        self._connection = http.client.HTTPConnection(up.address("HTTP"), timeout=20)
        body = json.dumps({"prompt": "hi", "stream": True})
        self._connection.request("POST", "/v1/infer", body, {"Content-Type": "application/json"})
        self._response = self._connection.getresponse()
        self.first = self._response.readline()
        self.rest = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self.rest = self._response.read()
        except (http.client.HTTPException, OSError) as error:
            self.rest = repr(error).encode()

    def ended(self) -> bytes:
        self._thread.join(20)
        self._connection.close()
        return self.rest


# --- Starting ---------------------------------------------------------------------------------------------------


def test_it_says_where_it_listens_and_what_to_try_and_that_works() -> None:
    """One ready line, one command to paste; SIGINT with nothing in flight ends it at once, with code 0."""
    with served(SIM) as up:
        up.ready()
        assert re.fullmatch(
            rf"llm-pool {re.escape(__version__)} ready: gRPC 127\.0\.0\.1:\d+, HTTP 127\.0\.0\.1:\d+ "
            r"\| providers: one healthy \| config /\S+/llm-pool\.toml",
            up.out[0],
        )
        command = shlex.split(up.out[1].removeprefix("try: "))
        assert command[0] == "curl"
        told = subprocess.run([*command, "-sS"], capture_output=True, timeout=10, check=True)  # noqa: S603 - as a person would
        assert json.loads(told.stdout)["content"] == "One two three four five."
        with grpc.insecure_channel(up.address("gRPC")) as channel:
            answer = LLMPoolServiceStub(channel).Infer(pb.InferRequest(prompt="hi"), timeout=10)
        assert answer.winner_model == "sim/m"
        interrupted = time.monotonic()
        up.send(signal.SIGINT)
        assert up.code() == 0
        assert time.monotonic() - interrupted < 2
    assert len(up.out) == 2
    events = [json.loads(line) for line in up.err]  # JSON where no terminal reads
    assert [each["status"] for each in events if each["logger"] == "llm_pool.access"] == [200, "OK"]
    assert all({"time", "level", "logger", "event"} <= set(each) for each in events)
    assert events[-1]["event"] == "stopped"


def test_a_provider_that_is_slow_to_say_how_it_is_does_not_hold_up_the_start() -> None:
    """After 200 ms the ready line says `checking` of it."""
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections and never answers
        port = mute.getsockname()[1]
        table = f'[[providers]]\nname = "mute"\ndriver = "ollama"\nmodel = "m"\nbase_url = "http://127.0.0.1:{port}"\n'
        with served(QUICK + table) as up:
            up.ready()
            assert "| providers: one healthy, mute checking |" in up.out[0]
            status, told = get(up, "/health")
            assert (status, told["providers"]["mute"], told["status"]) == (200, "checking", "ok")
            up.send(signal.SIGINT)
            assert up.code() == 0


def test_an_edge_that_is_switched_off_is_not_opened() -> None:
    with served(f"server.enable_grpc = false\n{QUICK}") as up:
        up.ready()
        assert "gRPC" not in up.out[0]
        assert get(up, "/livez")[0] == 200
        up.send(signal.SIGTERM)
        assert up.code() == 0


def test_an_env_file_gives_what_the_environment_does_not(tmp_path: Path) -> None:
    """A key for a provider, and an address; what is set already stays."""
    env = tmp_path / ".env"
    env.write_text("LLM_POOL_QOS_MAX_TOKENS_DEFAULT=2\nLLM_POOL_SERVER_HTTP_ADDR=192.0.2.1:1\n", encoding="utf-8")
    with served(QUICK, "--env-file", str(env)) as up:
        stream = Streaming(up.ready())
        assert b'"finish_reason":"length"' in stream.ended()
        up.send(signal.SIGINT)
        assert up.code() == 0
    with served(QUICK, "--env-file", str(tmp_path / "none")) as up:
        assert up.code() == 2
    assert up.err == [f"llm-pool: {tmp_path / 'none'}: no such file"]


# --- Logs -------------------------------------------------------------------------------------------------------


def test_on_a_terminal_its_lines_are_for_people() -> None:
    ours, theirs = os.openpty()
    try:
        with served(QUICK, stderr=theirs) as up:
            up.ready()
            os.close(theirs)
            theirs = -1
            assert get(up, "/livez")[0] == 200
            up.send(signal.SIGINT)
            assert up.code() == 0
        told = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)
    [line] = [line for line in told.splitlines() if "/livez" in line]
    assert "\x1b[" in line
    plain = re.sub(r"\x1b\[\d+m", "", line)
    assert re.match(r"\d\d:\d\d:\d\d info +request request_id=[0-9a-f]{32} edge=http route=/livez status=200 ", plain)


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_the_shipped_configuration_starts(terminal: bool) -> None:
    """On a terminal and in a pipe: the two write their lines differently."""
    ours, theirs = os.openpty()
    shipped = (Path(__file__).parents[2] / "llm-pool.toml").read_text(encoding="utf-8")
    environ = {**ANY_PORT, "OLLAMA_HOST": "127.0.0.1:9", "LLM_POOL_SERVER_DRAIN_ACCEPT_MS": "0"}
    try:
        with served(shipped, environ=environ, stderr=theirs if terminal else None) as up:
            assert "phi3 unhealthy" in up.ready().out[0]
            up.send(signal.SIGTERM)
            assert up.code() == 0
        told = os.read(ours, 65_536).decode() if terminal else "\n".join(up.err)
    finally:
        os.close(ours)
        os.close(theirs)
    assert "accepted but not active yet" in told
    assert "Traceback" not in told


def test_its_lines_go_to_a_file_where_one_is_named(tmp_path: Path) -> None:
    log = tmp_path / "pool.log"
    with served(f'telemetry.log_file = "{log}"\n{QUICK}') as up:
        assert get(up.ready(), "/livez")[0] == 200
        up.send(signal.SIGINT)
        assert up.code() == 0
    assert up.err == []
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [each["route"] for each in events if each["logger"] == "llm_pool.access"] == ["/livez"]


# --- Not starting -----------------------------------------------------------------------------------------------


def refused(toml: str, *arguments: str, environ: dict[str, str] | None = None) -> str:
    """The one line of a start that is refused; the exit code is 2."""
    with served(toml, *arguments, environ=ANY_PORT if environ is None else environ) as up:
        assert up.code() == 2
    assert up.out == []
    assert len(up.err) == 1, up.err
    return up.err[0]


@pytest.mark.parametrize(("edge", "key"), [("gRPC", "GRPC"), ("HTTP", "HTTP")])
def test_a_port_that_is_taken_is_told_in_one_line(edge: str, key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused(SIM, environ={**ANY_PORT, f"LLM_POOL_SERVER_{key}_ADDR": address})
    assert line.startswith(f"llm-pool: {edge} cannot listen on {address}: address already in use")


@pytest.mark.parametrize(("edge", "key"), [("gRPC", "GRPC"), ("HTTP", "HTTP")])
def test_a_second_pool_does_not_share_the_ports_of_the_first(first: Served, edge: str, key: str) -> None:
    """With SO_REUSEPORT it would, in silence, and take every other call."""
    address = first.address(edge)
    line = refused(SIM, environ={**ANY_PORT, f"LLM_POOL_SERVER_{key}_ADDR": address})
    assert line == (f"llm-pool: {edge} cannot listen on {address}: address already in use; is another pool running?")
    assert get(first, "/livez")[0] == 200


@pytest.fixture(scope="module")
def first() -> Iterator[Served]:
    with served(QUICK) as up:
        yield up.ready()


BAD = {
    "a mistyped key": ("server.http_adr = 'x'\n" + SIM, r"llm-pool\.toml:1: .*http_adr.*http_addr"),
    "no TOML": ("[server\n", r"llm-pool\.toml:1: not TOML"),
    "nobody to answer": ("", "nobody could answer"),
    "two workers": ("server.workers = 2\n" + SIM, "more than one worker is not possible yet"),
    "a key that is not there": (
        '[[providers]]\nname = "one"\ndriver = "ollama"\nmodel = "m"\napi_key = "env:LLM_TEST_NO_SUCH_KEY"\n',
        "LLM_TEST_NO_SUCH_KEY",
    ),
    "a log file in the home of nobody": (f'telemetry.log_file = "~nobody-at-all/x"\n{SIM}', r"telemetry\.log_file"),
    "more bytes than can be": (f"server.max_body_bytes = 3_000_000_000\n{SIM}", "max_body_bytes"),
    "a provider that is called like ours": (f'{SIM}provider = "pool"\n', "names strategies"),
    "a log file that cannot be": (f'telemetry.log_file = "/proc/no/such"\n{SIM}', r"telemetry\.log_file"),
}


@pytest.mark.parametrize(("toml", "says"), BAD.values(), ids=BAD)
def test_a_bad_configuration_is_told_in_one_line(toml: str, says: str) -> None:
    """With the line of the file where it is wrong; no traceback."""
    line = refused(toml)
    assert line.startswith("llm-pool: ")
    assert re.search(says, line), line


def test_it_does_not_let_a_network_in_without_two_switches() -> None:
    """Neither one of them is enough; with both it listens, and still only serves hosts that it knows."""
    everywhere = {**ANY_PORT, "LLM_POOL_SERVER_HTTP_ADDR": "0.0.0.0:0"}
    for switches in ("", 'auth.mode = "off"\n', "auth.allow_anonymous_network = true\n"):
        line = refused(switches + SIM, environ=everywhere)
        assert line.startswith("llm-pool: 0.0.0.0:0 is not loopback")
        assert 'auth.mode = "off" and auth.allow_anonymous_network = true' in line
    both = 'auth.mode = "off"\nauth.allow_anonymous_network = true\n'
    with served(both + QUICK, environ=everywhere) as up:
        assert up.ready().address("HTTP").startswith("0.0.0.0:")
        up.send(signal.SIGINT)
        assert up.code() == 0


def test_check_config_shows_each_value_with_its_origin_and_refuses_what_serve_refuses() -> None:
    with served(SIM, command="check-config") as up:
        assert up.code() == 0
    shown = "\n".join(up.out)
    assert re.search(r"http_addr.*127\.0\.0\.1:0.*LLM_POOL_SERVER_HTTP_ADDR", shown)
    assert up.err == []
    with served("server.workers = 2\n" + SIM, command="check-config") as up:
        assert up.code() == 2
    assert len(up.err) == 1
    open_to_all = 'server.http_addr = "0.0.0.0:7071"\n' + SIM
    with served(open_to_all, command="check-config", environ={}) as up:
        assert up.code() == 2
    assert "not loopback" in up.err[0]


def test_check_config_names_every_problem() -> None:
    with served("[server]\nprot = 1\nhots = 2\n" + SIM, command="check-config") as up:
        assert up.code() == 2
    assert len(up.err) == 2
    assert all(re.fullmatch(r'llm-pool: llm-pool\.toml:\d: unknown key ".+', line) for line in up.err)


def test_ctrl_c_during_the_start_is_no_accident() -> None:
    """Whenever it comes: while Python still imports, or when the server already listens to signals."""
    for delay in (0.1, 0.25, 0.4):
        with served(QUICK) as up:
            time.sleep(delay)
            up.send(signal.SIGINT)
            assert up.code() in {0, 130, -signal.SIGINT}  # the last one: before the first line of ours ran
        assert "Traceback" not in "\n".join(up.err) or up.code() == -signal.SIGINT


def test_help_and_version_need_no_configuration(tmp_path: Path) -> None:
    for argument, says in (("--version", __version__), ("--help", "check-config")):
        told = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "llm_pool", argument],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        assert says in told.stdout


# --- Ending -----------------------------------------------------------------------------------------------------


def test_sigterm_lets_answers_end_and_tells_balancers_first() -> None:
    """/readyz says no at once while requests are still taken; streams on both edges are heard out; the code is 0."""
    with served(SLOW) as up:
        stream = Streaming(up.ready())
        with grpc.insecure_channel(up.address("gRPC")) as channel:
            call = LLMPoolServiceStub(channel).StreamInfer(pb.StreamInferRequest(prompt="hi"), timeout=20)
            assert next(call).HasField("started")
            assert get(up, "/readyz")[0] == 200
            up.send(signal.SIGTERM)
            wait(lambda: get(up, "/readyz") == (503, {"status": "draining"}), within=0.8)
            assert get(up, "/livez")[0] == 200
            late = LLMPoolServiceStub(channel).Infer(pb.InferRequest(prompt="hi", max_tokens=1), timeout=10)
            assert late.finish_reason == "length"
            names = [response.WhichOneof("event") for response in call]
        assert b"event: finished" in stream.ended()
        assert names == [*["text"] * 5, "finished"]
        assert up.code() == 0
    assert "Traceback" not in "\n".join(up.err)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_it_at_once(second: signal.Signals) -> None:
    """Whoever asks twice does not want to wait for anybody's answer."""
    with served(SILENT) as up:
        stream = Streaming(up.ready())
        up.send(signal.SIGTERM)
        wait(lambda: any('"draining' in line for line in up.err))
        time.sleep(0.2)  # into the waiting for what is in flight
        assert up.process.poll() is None
        asked = time.monotonic()
        up.send(second)
        assert up.code(within=3) == 0
        assert time.monotonic() - asked < 2
        assert b"event: finished" not in stream.ended()


def test_answers_that_take_too_long_are_cut_off_when_the_time_to_drain_is_over() -> None:
    with served(f"server.drain_ms = 300\n{SILENT}") as up:
        stream = Streaming(up.ready())
        asked = time.monotonic()
        up.send(signal.SIGTERM)
        assert up.code() == 0
        assert 0.25 < time.monotonic() - asked < 3
        assert b"event: finished" not in stream.ended()
    assert "Traceback" not in "\n".join(up.err)
