"""The `Host` that a request names: any web page could otherwise read a pool on loopback through DNS rebinding."""

from __future__ import annotations

import orjson
import pytest

from llm_pool.core.errors import Forbidden, InvalidRequest, PoolError
from llm_pool.edges.http.hosts import Hosts
from tests.running import SIM, Raw, Reply, running_pool

OURS = ("localhost", "LocalHost", "localhost:7071", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:7071")
MALFORMED = (
    "",
    " ",
    "x/#@evil",
    "localhost/",
    "localhost@evil",
    "evil@localhost",
    "localhost:",
    "localhost:port",
    "localhost:123456",
    "localhost:80:80",
    "localhost,evil",
    "localhost evil",
    "localhost#",
    "[::1",
    "[::1]evil",
    "::1",
    "[fe80::1%25eth0]",
    "lócalhost",
    "localhost\t",
    "127.0.0.1\n",
    "a" * 300 + "/",
)
OTHERS = ("evil.example", "evil.example:7071", "localhost.evil.example", "127.0.0.2", "localhost.", "0.0.0.0", "[::2]")  # noqa: S104


def verdict(hosts: Hosts, *headers: str) -> type[PoolError] | None:
    try:
        hosts.check(list(headers))
    except PoolError as error:
        return type(error) if error.details == {"field": "Host"} else None
    return None


def test_loopback_by_any_of_its_names_is_ours() -> None:
    hosts = Hosts([], bound="127.0.0.1")
    assert {name: verdict(hosts, name) for name in OURS} == dict.fromkeys(OURS)


def test_what_is_no_host_is_refused_even_where_any_host_may_be_named() -> None:
    """`x/#@evil` means one host to a URL parser and another one to a person."""
    for hosts in (Hosts([], bound="127.0.0.1"), Hosts(["*"], bound="127.0.0.1")):
        assert {name: verdict(hosts, name) for name in MALFORMED} == dict.fromkeys(MALFORMED, InvalidRequest)
        assert verdict(hosts) is InvalidRequest
        assert verdict(hosts, "localhost", "localhost") is InvalidRequest


def test_another_host_is_forbidden_until_the_configuration_names_it() -> None:
    hosts = Hosts([], bound="127.0.0.1")
    assert {name: verdict(hosts, name) for name in OTHERS} == dict.fromkeys(OTHERS, Forbidden)
    named = Hosts(["Pool.example"], bound="10.0.0.1")
    for name in ("pool.example", "POOL.EXAMPLE:80", "10.0.0.1:7071", "localhost"):
        assert verdict(named, name) is None
    assert verdict(named, "sub.pool.example") is Forbidden
    assert verdict(Hosts(["*"], bound="127.0.0.1"), "evil.example") is None


def test_a_version_6_address_that_is_bound_is_ours_in_brackets() -> None:
    assert verdict(Hosts([], bound="fd00::1"), "[fd00::1]:7071") is None


def test_only_so_many_hosts_are_remembered() -> None:
    """A caller who thinks of ever new ports fills no memory."""
    hosts = Hosts([], bound="127.0.0.1")
    for port in range(1000):
        assert verdict(hosts, f"localhost:{port}") is None
    assert len(hosts._good) <= 64


async def said(bare: Raw, *headers: bytes) -> Reply:
    await bare.say(b"\r\n".join([b"GET /health HTTP/1.1", *headers, b"", b""]))
    return await bare.reply()


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([b"Host: localhost:7071"], 200, ""),
        ([b"Host: [::1]"], 200, ""),
        ([b"Host: evil.example"], 403, "FORBIDDEN"),
        ([b"Host: x/#@evil"], 400, "INVALID_REQUEST"),
        ([b"Host: "], 400, "INVALID_REQUEST"),
    ],
    ids=str,
)
async def test_the_host_is_checked_before_anything_is_told(headers: list[bytes], status: int, code: str) -> None:
    """Also where nothing is to be found."""
    async with running_pool(SIM) as up, up.connect() as bare:
        reply = await said(bare, *headers)
        lines = await up.lines(1)
    assert reply.status == lines[0]["status"] == status
    told = orjson.loads(reply.body)
    assert (told["error"]["code"] if code else told["status"]) == (code or "ok")
    assert reply.headers["x-request-id"] == lines[0]["request_id"]


@pytest.mark.real_time
@pytest.mark.parametrize("headers", [[], [b"Host: localhost", b"Host: evil.example"]], ids=["none", "two"])
async def test_a_request_has_one_host(headers: list[bytes]) -> None:
    """Of two, whoever looks at the one and whoever looks at the other would disagree."""
    async with running_pool(SIM) as up, up.connect() as bare:
        reply = await said(bare, *headers)
        lines = await up.lines(1)
    assert reply.status == lines[0]["status"] == 400


@pytest.mark.real_time
async def test_the_absolute_form_does_not_get_around_the_host() -> None:
    """`GET http://localhost/health` with another Host: the header is what counts, and it is not ours."""
    async with running_pool(SIM) as up, up.connect() as bare:
        await bare.say(b"GET http://localhost/health HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        reply = await bare.reply()
    assert reply.status in {400, 403}


@pytest.mark.real_time
async def test_a_configured_host_is_served() -> None:
    async with running_pool(f'server.allowed_hosts = ["pool.example"]\n{SIM}') as up, up.connect() as bare:
        assert (await said(bare, b"Host: pool.example:443")).status == 200
