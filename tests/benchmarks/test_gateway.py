"""What the gateway benchmark reads and decides; its upstream and its caller, on real sockets."""

from __future__ import annotations

import asyncio
import json
import tomllib
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.gateway import gateways, stages
from benchmarks.gateway.calls import NUMBER, request_of, steady
from benchmarks.gateway.gateways import POOL, PROXY, Gateway, found
from benchmarks.gateway.report import DIRECT, Row, limits, rows, side_by_side, weather
from benchmarks.gateway.stages import Seen, body_of
from benchmarks.gateway.started import Target, started
from benchmarks.gateway.upstream import ANSWER, AT_ONCE, CHUNKS, PACE, PACED, PIECE, Server
from benchmarks.overhead.server import NotServing
from llm_pool.config.load import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FILLED = {"upstream": "http://127.0.0.1:9", "port": "9", "folder": "/nowhere"}


@asynccontextmanager
async def upstream() -> AsyncIterator[Target]:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Target("direct", 0, f"http://127.0.0.1:{port}/v1/chat/completions")


def a(rate: float = 1000.0, *, chunk_cpu: float = 10.0, p50: float = 1.0, first: float = 1.0) -> Seen:
    return Seen(
        rate=rate,
        cpu=1e6 / rate,
        p50_busy=1,
        p99_busy=2,
        p50=p50,
        chunk_rate=9,
        chunk_cpu=chunk_cpu,
        first=first,
        foreign=0,
    )


# --- The upstream and who asks it -------------------------------------------------------------------------------


@pytest.mark.real_time
async def test_the_upstream_says_the_same_whole_and_in_chunks() -> None:
    async with upstream() as target:
        [whole] = await steady(target, body_of(target, AT_ONCE, stream=False), rate=1, seconds=1)
        [stream] = await steady(target, body_of(target, AT_ONCE, stream=True), rate=1, seconds=1)
    assert json.loads(whole.body)["choices"][0]["message"]["content"] == ANSWER
    events = [line[6:] for line in stream.body.decode().splitlines() if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    said = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert "".join(said) == ANSWER
    assert said.count(PIECE) == CHUNKS
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * CHUNKS + ["stop"]


@pytest.mark.real_time
async def test_the_upstream_counts_where_it_is_asked_to() -> None:
    async with upstream() as target:
        body = {"model": AT_ONCE, "stream": True, "stream_options": {"include_usage": True}}
        [call] = await steady(target, json.dumps(body).encode(), rate=1, seconds=1)
    assert b'"choices":[],"usage":{' in call.body
    assert call.body.index(b'"usage"') < call.body.index(b"[DONE]")


@pytest.mark.real_time
async def test_a_paced_stream_takes_its_time_and_its_first_chunk_does_not() -> None:
    async with upstream() as target:
        [call] = await steady(target, body_of(target, PACED, stream=True), rate=1, seconds=1)
    assert call.whole >= CHUNKS * PACE * 0.8
    assert call.first < call.whole / 2


@pytest.mark.real_time
@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_requests_may_come_in_pieces_or_two_at_once(size: int) -> None:
    async with upstream() as target:
        sent = request_of(target, body_of(target, AT_ONCE, stream=False)) * 2
        host, _, port = target.url.split("/")[2].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for start in range(0, len(sent), size):
            writer.write(sent[start : start + size])
            await writer.drain()
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["object"] == "chat.completion"
        writer.close()
        await writer.wait_closed()


@pytest.mark.real_time
async def test_a_chunked_request_is_read_to_its_end() -> None:
    """Node's fetch sends some bodies so."""
    body = b'{"stream": true, "model": "mock"}'
    async with upstream() as target:
        host, _, port = target.url.split("/")[2].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body))
        await writer.drain()
        writer.write(b"0\r\n\r\n")
        said = await reader.readuntil(b"[DONE]")
        writer.close()
        await writer.wait_closed()
    assert said.count(PIECE.encode()) == CHUNKS


@pytest.mark.real_time
async def test_calls_keep_their_rate_and_are_numbered() -> None:
    seen = []

    class Noting(Server):
        def data_received(self, data: bytes) -> None:
            seen.append(data)
            super().data_received(data)

    server = await asyncio.get_running_loop().create_server(Noting, "127.0.0.1", 0)
    async with server:
        target = Target("x", 0, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", ("x-key: 1",))
        began = asyncio.get_running_loop().time()
        calls = await steady(target, body_of(target, AT_ONCE, stream=False), rate=50, seconds=0.2)
        assert asyncio.get_running_loop().time() - began >= 9 / 50 - 0.01
    assert [call.status for call in calls] == [200] * 10
    assert all(b"x-key: 1\r\n" in data for data in seen)
    assert [data.partition(b"Request ")[2][:10] for data in seen] == [b"%010d" % number for number in range(10)]


@pytest.mark.real_time
async def test_a_call_that_breaks_off_is_no_measurement() -> None:
    class Broken(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    server = await asyncio.get_running_loop().create_server(Broken, "127.0.0.1", 0)
    async with server:
        target = Target("broken", 0, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        with pytest.raises(NotServing, match="broken: a call broke off"):
            await steady(target, b"{}", rate=1, seconds=1)


def test_every_request_has_a_place_for_its_number() -> None:
    target = Target("pool", 0, "http://h/", model="openai/{}")
    body = body_of(target, PACED, stream=True)
    assert body.count(NUMBER) == 1
    assert json.loads(body)["model"] == f"openai/{PACED}"
    assert (Path(stages.__file__).parent / "asks.lua").read_text().startswith("--")


# --- Who is measured --------------------------------------------------------------------------------------------


def test_a_gateway_is_found_by_option_then_by_variable_then_on_the_path(tmp_path: Path) -> None:
    program = tmp_path / "litellm"
    program.touch(0o755)
    assert found({}, {"PATH": "/nowhere"}) == []
    assert [each.name for each in found({}, {"PATH": str(tmp_path)})] == ["litellm"]
    environ = {"PATH": str(tmp_path), "LLM_POOL_BENCH_LITELLM": "/other", "LLM_POOL_BENCH_TENSORZERO": "/python"}
    assert [each.command[0] for each in found({}, environ)] == ["/other", "/python"]
    assert [each.command[0] for each in found({"litellm": "/told", "portkey": "/folder"}, environ)] == [
        "/told",
        "node",
        "/python",
    ]


@pytest.mark.parametrize(
    "gateway", [POOL, PROXY, gateways.litellm("l"), gateways.portkey("p"), gateways.tensorzero("t")]
)
def test_all_that_is_open_is_filled_in(gateway: Gateway) -> None:
    told = [*gateway.command, *gateway.headers, *gateway.files.values()]
    filled = [text.format_map(FILLED) for text in told]
    assert not any("{upstream}" in text or "{port}" in text or "{folder}" in text for text in filled)
    assert any(FILLED["upstream"] in text for text in filled)


def test_the_pools_configuration_is_one(tmp_path: Path) -> None:
    path = tmp_path / "llm-pool.toml"
    path.write_text(POOL.files["llm-pool.toml"].format_map(FILLED))
    [table] = load(path, {}).settings.providers
    assert table.base_url == "http://127.0.0.1:9/v1"
    assert [f"{table.prefix}/{model}" for model in table.served] == [POOL.model.format(m) for m in (AT_ONCE, PACED)]


def test_the_others_configurations_name_both_models() -> None:
    tensorzero = tomllib.loads(gateways.tensorzero("t").files["tensorzero.toml"].format_map(FILLED))
    assert list(tensorzero["models"]) == [AT_ONCE, PACED]
    litellm = gateways.litellm("l").files["litellm.yaml"].format_map(FILLED)
    assert f"model_name: {AT_ONCE}, litellm_params: {{model: openai/{AT_ONCE}, " in litellm
    assert f"model_name: {PACED}," in litellm
    assert "general_settings: {master_key: " in litellm


def test_what_does_not_start_says_why(tmp_path: Path) -> None:
    gateway = Gateway("broken", ("sh", "-c", "echo no such port >&2; exit 3"), says="never")
    with (
        pytest.raises(NotServing, match="broken did not start: no such port"),
        started(gateway, tmp_path / "x", upstream="", core=None),
    ):
        pytest.fail("it is said to run")
    with (
        pytest.raises(NotServing, match="absent: "),
        started(Gateway("absent", ("/nowhere/at/all",)), tmp_path / "y", upstream="", core=None),
    ):
        pytest.fail("it is said to run")


# --- The report -------------------------------------------------------------------------------------------------


def test_what_a_gateway_adds_is_counted_against_the_upstream_of_the_same_repetition() -> None:
    direct = [a(p50=1.0, first=1.0), a(p50=5.0, first=5.0), a(p50=9.0, first=9.0)]
    [row] = rows({
        DIRECT: direct,
        "pool": [a(100, p50=2.0, first=1.5), a(300, p50=6.2, first=6.0), a(200, p50=9.5, first=11.0)],
    })
    assert (row.rate, round(row.added, 3), row.first) == (200, 1.0, 1.0)


def test_the_pool_has_limits_and_the_others_inform() -> None:
    pool, other = Row("pool", 3_000, 300, 1, 1, 40.0, 1.5), Row("proxy", 9, 9, 9, 9, 99, 99)
    assert [figure.verdict for figure in limits([pool, other])] == ["met"] * 3
    worse = Row("pool", 2_999, 300, 1, 1, 40.1, 1.6)
    assert [figure.verdict for figure in limits([worse, other])] == ["missed"] * 3


def test_litellm_is_compared_where_it_was_measured() -> None:
    pool = Row("pool", 3_000, 300, 1, 1, 40.0, 1.5)
    for rate, verdict in ((100, "met"), (101, "missed")):
        figure = limits([pool, Row("litellm", rate, 9, 9, 9, 9, 9)])[-1]
        assert (figure.name, figure.verdict) == ("rate / LiteLLM's rate", verdict)


def test_the_table_has_a_line_for_each() -> None:
    shown = side_by_side([Row("pool", 3123.4, 300, 1.25, 50_000, 39.96, 1.5), Row("proxy", 9, 9, 9, 9, 99, 99)])
    header, pool, proxy = shown.splitlines()
    assert len(header) == len(pool) == len(proxy)
    assert pool.split() == ["pool", "3,123", "300", "1.25", "50,000", "40.0", "1.50"]


def test_a_noisy_machine_is_said_aloud() -> None:
    assert weather([0.01, 0.64]).startswith("NOISY: other processes took up to 64%")
    assert weather([0.01, 0.02]) == "other processes took at most 2% of the machine"
