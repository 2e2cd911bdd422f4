"""`POST /admin/breakers/{provider}`: an operator opens, closes or resets the circuit breakers of a provider."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llm_pool.core.errors import NotFound, UnknownModel, UnknownProvider
from llm_pool.dispatch.standing import Action
from llm_pool.edges.bodies import invalid
from llm_pool.edges.http import bodies
from llm_pool.edges.http.guard import ACCOUNT, json
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

    from llm_pool.pool import Pool

log = logging.getLogger(__name__)

LIMIT = 4096  # bytes of a body


class BreakerBody(BaseModel):
    """What to do with the breakers of a provider."""

    model_config = ConfigDict(strict=True, extra="forbid")

    action: Action = Field(
        description="`open`: it is not asked until you close it; `close`: it is asked again; `reset`: it is "
        "asked again, and any pause is over, too"
    )
    model: str | None = Field(
        None, description="one of its models; without it all of them", examples=["ollama/phi3:mini"]
    )


def breakers(pool: Pool) -> Handler:
    async def handle(http: web.Request) -> web.Response:
        if not pool.settings.admin.enabled:
            raise NotFound("what operators may do is switched off: set admin.enabled = true")
        raw = await bodies.read(http, limit=LIMIT)
        try:
            body = BreakerBody.model_validate_json(raw)
        except ValidationError as error:
            raise invalid(error) from None
        name = http.match_info["provider"]
        standings = pool.learned.of(name)
        if not standings:
            raise UnknownProvider("provider", name, [table.name for table in pool.settings.providers])
        meant = [each for each in standings if body.model in {None, each.model, each.model.partition("/")[2]}]
        if not meant:
            raise UnknownModel("model", body.model or "", [each.model for each in standings])
        for standing in meant:
            standing.operate(body.action)
        told = fields(deployment=name, action=body.action, model=body.model, request_id=http[ACCOUNT].id)
        log.warning("an operator changed circuit breakers", extra=told)
        return json({"provider": name, "deployments": [standing.snapshot() for standing in standings]})

    return handle
