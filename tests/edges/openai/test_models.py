"""The models as the official clients list them and look them up."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from tests.edges.openai.asking import client_of, in_thread
from tests.running import running_pool

pytestmark = pytest.mark.real_time

TOML = """
[tasks.chat]
prompt = ""
[models.aliases]
"gpt-4o" = "sim/meta/llama"
[[providers]]
name = "one"
driver = "sim"
models = ["m", "meta/llama"]
"""
ANTHROPIC = {"anthropic-version": "2023-06-01"}


async def test_models_aliases_strategies_and_tasks_are_listed() -> None:
    async with running_pool(TOML) as up, client_of(up) as client:
        told = [each async for each in client.models.list()]
        sync = await in_thread(up, lambda client: client.models.list())
    owners = {each.id: each.owned_by for each in told}
    assert owners.items() >= {"sim/m": "sim", "sim/meta/llama": "sim", "gpt-4o": "sim", "task/chat": "task"}.items()
    assert "pool/fastest" in owners
    assert all(each.created > 1_700_000_000 for each in told)
    assert sync.data == told


@pytest.mark.parametrize("name", ["sim/m", "sim/meta/llama", "gpt-4o", "pool/fastest", "task/chat"])
async def test_a_model_is_found_by_its_id_with_its_slashes(name: str) -> None:
    """The client encodes them; a person does not."""
    async with running_pool(TOML) as up, client_of(up) as client:
        model = await client.models.retrieve(name)
        async with up.http.get(f"/v1/models/{name}") as plain:
            told = await plain.json()
    assert model.id == told["id"] == name
    assert model.object == "model"


async def test_who_passes_any_name_on_has_any_model_and_who_is_not_configured_has_none() -> None:
    toml = TOML.replace('["m", "meta/llama"]', '["*"]')
    async with running_pool(toml) as up, client_of(up) as client:
        assert (await client.models.retrieve("sim/whatever")).id == "sim/whatever"
        for name in ("sim/", "openai/gpt-4o"):
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve(name)


async def test_an_unknown_model_is_not_found_and_the_nearest_is_named() -> None:
    async with running_pool(TOML) as up, client_of(up) as client:
        with pytest.raises(openai.NotFoundError, match=r'did you mean "sim/meta/llama"') as raised:
            await client.models.retrieve("sim/meta/lama")
        lines = await up.lines(1)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    assert lines[0]["route"] == "/v1/models/{model}"


async def test_who_speaks_as_anthropic_s_clients_reads_their_list() -> None:
    async with (
        running_pool(TOML) as up,
        anthropic.AsyncAnthropic(base_url=f"http://{up.http_address}", api_key="any", max_retries=0) as client,
    ):
        told = [each async for each in client.models.list()]
        one = await client.models.retrieve("sim/meta/llama")
        with pytest.raises(anthropic.NotFoundError) as raised:
            await client.models.retrieve("sim/meta/lama")
        async with up.http.get("/v1/models", headers=ANTHROPIC) as response:
            page: dict[str, Any] = await response.json()
    assert [each.id for each in told] == [each["id"] for each in page["data"]]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (told[0].id, told[-1].id, False)
    assert (one.id, one.type, one.display_name) == ("sim/meta/llama", "model", "sim/meta/llama")
    for each in (*page["data"], one.to_dict(mode="python")):  # the client itself takes whatever comes
        assert anthropic.types.ModelInfo.model_validate(each).lifecycle == "active"
    assert one.created_at.tzinfo is not None
    assert raised.value.type == "not_found_error"
