"""What the pool tells of itself: health, readiness, metrics and models; no probe ever asks a provider."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llm_pool.config.prompts import BUILT_IN
from llm_pool.core.errors import ProviderMisconfigured
from llm_pool.providers.sim.client import Simulated
from llm_pool.telemetry.metrics import Metrics
from llm_pool.version import __version__
from tests.fakes.ollama import FakeOllama
from tests.running import SIM, Up, loaded, pool_of, running_pool, serving

if TYPE_CHECKING:
    from prometheus_client import Metric

pytestmark = pytest.mark.real_time

# Port 9 (discard) is privileged and nobody's: a connection to it is refused at once.
UNREACHABLE = """
[[providers]]
name = "gone"
driver = "ollama"
model = "m"
base_url = "http://127.0.0.1:9"
tasks = ["chat"]
"""
FALLBACK = '[[providers]]\nname = "stand-in"\ndriver = "sim"\nmodel = "m"\nfallback = true\ntasks = ["chat"]\n'
LOADING = '[[providers]]\nname = "slow"\ndriver = "sim"\nmodel = "slow"\nsim.load_ms = 60_000\n'


async def get(up: Up, path: str, status: int = 200) -> dict[str, Any]:
    async with up.http.get(path) as response:
        assert response.status == status, await response.text()
        assert response.content_type == "application/json"
        told: dict[str, Any] = await response.json()
        return told


async def test_a_healthy_pool_says_so() -> None:
    async with running_pool(SIM) as up:
        told = await get(up, "/health")
        assert re.fullmatch("[0-9a-f]{12}", told.pop("config_version"))
        assert told == {
            "status": "ok",
            "healthy": True,
            "providers": {"one": "healthy"},
            "version": __version__,
            "config_error": None,
        }
        for path in ("/livez", "/api/v1/healthz", "/readyz"):
            assert await get(up, path) == {"status": "ok"}


async def test_a_pool_that_lives_on_its_fallback_is_healthy_and_degraded() -> None:
    async with running_pool(UNREACHABLE + FALLBACK) as up:
        told = await get(up, "/health")
        detail = await get(up, "/health/detailed")
        assert (told["status"], told["healthy"]) == ("degraded", True)
        assert told["providers"] == {"gone": "unhealthy", "stand-in": "healthy"}
        assert detail["tasks_on_fallback"] == ["chat"]
        assert detail["tasks_without_provider"] == []
        assert await get(up, "/readyz") == {"status": "ok"}


async def test_a_pool_without_a_usable_provider_is_alive_but_not_ready() -> None:
    """/health stays 200: people read it, and a supervisor that restarted us for this would help nobody."""
    async with running_pool(UNREACHABLE) as up:
        told = await get(up, "/health")
        assert (told["status"], told["healthy"]) == ("degraded", False)
        assert await get(up, "/readyz", 503) == {"status": "no usable provider"}
        assert await get(up, "/livez") == {"status": "ok"}
        assert (await get(up, "/health/detailed"))["tasks_without_provider"] == ["chat"]


@pytest.mark.parametrize("by", ["operator", "key"])
async def test_a_pool_whose_only_provider_is_taken_out_is_not_ready_until_it_is_put_back(by: str) -> None:
    async with running_pool(SIM) as up:
        [standing] = up.pool.learned.of("one")
        if by == "operator":
            standing.operate("open")
        else:
            standing.cooldown.misconfigured(ProviderMisconfigured("it does not know the key"))
        assert await get(up, "/readyz", 503) == {"status": "no usable provider"}
        detail = await get(up, "/health/detailed")
        assert "chat" in detail["tasks_without_provider"]
        assert detail["providers"]["one"]["state"] == "unhealthy"
        assert detail["providers"]["one"]["why"] == standing.trouble != ""
        assert (await get(up, "/health"))["providers"] == {"one": "unhealthy"}
        assert await get(up, "/livez") == {"status": "ok"}
        standing.operate("reset")
        assert (await get(up, "/health"))["providers"] == {"one": "healthy"}
        assert await get(up, "/readyz") == {"status": "ok"}
        assert (await get(up, "/health/detailed"))["tasks_without_provider"] == []


async def test_a_pool_is_ready_though_its_only_provider_rests_or_fails() -> None:
    """That ends by itself, and those who come meanwhile are told when."""
    async with running_pool(SIM) as up:
        [standing] = up.pool.learned.of("one")
        standing.cooldown.limited(60.0)
        assert (await get(up, "/health"))["providers"] == {"one": "degraded"}
        for _ in range(10):
            breaker, permit = standing.begin("chat", tokens=0, panic=True)
            breaker.ended(permit, "failure")
        assert await get(up, "/readyz") == {"status": "ok"}
        assert (await get(up, "/health/detailed"))["tasks_without_provider"] == []


async def test_a_table_that_an_operator_has_taken_out_leaves_its_tasks_to_the_fallback() -> None:
    async with running_pool(SIM + FALLBACK) as up:
        [standing] = up.pool.learned.of("one")
        standing.operate("open")
        detail = await get(up, "/health/detailed")
        assert "chat" in detail["tasks_on_fallback"]
        assert "chat" not in detail["tasks_without_provider"]
        assert await get(up, "/readyz") == {"status": "ok"}


async def test_the_details_tell_how_many_requests_there_is_room_for() -> None:
    async with running_pool(SIM + "[qos]\nmax_concurrent_requests = 3\n") as up:
        assert (await get(up, "/health/detailed"))["requests"] == {"under_way": 0, "waiting": 0, "limit": 3}
        room = up.pool.learned.room
        for _ in range(3):
            assert room.enter_now()
        waiting = asyncio.create_task(room.wait(deadline=asyncio.get_running_loop().time() + 60.0))
        await asyncio.sleep(0)
        assert (await get(up, "/health/detailed"))["requests"] == {"under_way": 3, "waiting": 1, "limit": 3}
        waiting.cancel()
        await asyncio.wait({waiting})
        for _ in range(3):
            room.leave()


UNASKED = {
    "model": "ollama/m",
    "breakers": [],
    "resting": "",
    "outstanding": 0,
    "first_token_ms": None,
    "per_token_ms": None,
    "limit": None,
    "waiting": 0,
}


async def test_the_details_tell_what_each_provider_serves_and_why_it_is_as_it_is() -> None:
    async with running_pool(SIM + UNREACHABLE + LOADING) as up:
        told = await get(up, "/health/detailed")
        assert told["draining"] is False
        assert told["uptime_seconds"] >= 0
        gone = told["providers"]["gone"]
        assert gone.pop("why")
        assert gone == {
            "state": "unhealthy",
            "driver": "ollama",
            "models": ["ollama/m"],
            "tasks": ["chat"],
            "weight": 1.0,
            "fallback": False,
            "in_flight": 0,
            "deployments": [UNASKED],
        }
        assert told["providers"]["one"]["tasks"] == sorted(BUILT_IN)
        assert told["providers"]["slow"]["state"] == "loading"


async def test_a_pool_that_starts_or_drains_is_not_ready() -> None:
    """/health and /livez do not mind."""
    async with running_pool(SIM) as up:
        up.lifecycle.started = False
        assert await get(up, "/readyz", 503) == {"status": "starting"}
        up.lifecycle.started, up.lifecycle.draining = True, True
        assert await get(up, "/readyz", 503) == {"status": "draining"}
        assert (await get(up, "/health"))["healthy"] is True
        assert await get(up, "/livez") == {"status": "ok"}
        assert (await get(up, "/health/detailed"))["draining"] is True


async def test_no_probe_asks_a_provider() -> None:
    """What they say was found out before."""
    async with FakeOllama() as fake:
        one = f'[[providers]]\nname = "one"\ndriver = "ollama"\nmodel = "llama3"\nbase_url = "{fake.url}"\n'
        async with running_pool(one) as up:
            before = len(fake.received)
            for path in ("/health", "/health/detailed", "/livez", "/readyz", "/api/v1/healthz", "/v1/models"):
                await get(up, path)
            async with up.http.get("/metrics") as response:
                assert response.status == 200
            assert len(fake.received) == before


async def test_probes_take_head_too() -> None:
    """Some load balancers ask so."""
    async with running_pool(SIM) as up, up.http.head("/readyz") as response:
        assert response.status == 200
        assert await response.read() == b""


async def test_models_are_listed_as_openai_clients_expect() -> None:
    async with running_pool(SIM) as up:
        told = await get(up, "/v1/models")
    assert told["object"] == "list"
    assert [model["id"] for model in told["data"]] == [
        "sim/m",
        "pool/fastest",
        *(f"task/{task}" for task in sorted(BUILT_IN)),
    ]
    for model in told["data"]:
        assert set(model) == {"id", "object", "created", "owned_by"}
        assert model["object"] == "model"
        assert isinstance(model["created"], int)
        assert model["owned_by"] == model["id"].split("/")[0]


# --- Metrics ----------------------------------------------------------------------------------------------------


async def scraped(up: Up) -> dict[str, Metric]:
    async with up.http.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        families = text_string_to_metric_families(await response.text())
        return {family.name: family for family in families}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    family = families[re.sub("_(total|count|sum)$", "", name)]
    return next((s.value for s in family.samples if s.name == name and s.labels == labels), 0.0)


async def test_metrics_can_be_scraped_and_count_what_happened() -> None:
    async with running_pool(SIM) as up:
        for body in ({"prompt": "hi"}, {"prompt": "hi", "stream": True}, {}, {"prompt": "hi", "task": "evil-task"}):
            async with up.http.post("/v1/infer", json=body) as response:
                await response.read()
        async with up.http.get("/evil-path") as response:
            assert response.status == 404
        await up.lines(5)
        families = await scraped(up)
    done = {"task": "chat", "strategy": "fastest", "outcome": "ok"}
    assert value(families, "llm_pool_requests_total", **done) == 2
    unknown = {"task": "unknown", "strategy": "", "outcome": "UNKNOWN_TASK"}
    assert value(families, "llm_pool_requests_total", **unknown) == 1
    assert value(families, "llm_pool_request_duration_seconds_count", task="chat") == 2
    assert value(families, "llm_pool_provider_wins_total", deployment="one") == 2
    assert value(families, "llm_pool_tokens_total", deployment="one", kind="output") == 10
    assert value(families, "llm_pool_rejected_total", edge="http", reason="INVALID_REQUEST") == 1
    assert value(families, "llm_pool_rejected_total", edge="http", reason="NOT_FOUND") == 1
    assert value(families, "llm_pool_in_flight_requests") == 0
    assert value(families, "llm_pool_provider_up", deployment="one") == 1
    assert not [name for name in families if not name.startswith("llm_pool_")]


async def test_no_label_is_a_caller_s_text() -> None:
    """Or a caller could make as many time series as there are words."""
    async with running_pool(SIM) as up:
        for field in ("task", "model", "strategy", "project_id", "tenant_id", "request_id"):
            async with up.http.post("/v1/infer", json={"prompt": "hi", field: "evil"}) as response:
                await response.read()
        async with up.http.get("/evil"), up.http.request("EVIL", "/v1/infer"):
            pass
        async with up.http.get("/metrics") as response:
            assert "evil" not in (await response.text()).lower()


class _Watched(Metrics):
    """Metrics that note which thread they are rendered in."""

    rendered_in: threading.Thread | None = None

    def render(self) -> bytes:
        self.rendered_in = threading.current_thread()
        return super().render()


async def test_metrics_are_rendered_beside_the_event_loop() -> None:
    """They take milliseconds, during which nobody else would be answered."""
    metrics = _Watched()
    sim = Simulated(loaded(SIM).settings.providers[0].sim, provider="sim", models=("m",))
    async with pool_of(SIM, {"one": sim}, metrics=metrics) as pool, serving(pool) as up:
        await asyncio.gather(*(scraped(up) for _ in range(3)))
    assert metrics.rendered_in not in {None, threading.current_thread()}
