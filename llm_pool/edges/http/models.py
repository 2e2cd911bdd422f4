"""`GET /v1/models`: everything that may be named as `model`, as OpenAI's clients read it, or as Anthropic's do."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llm_pool.core.errors import UnknownModel
from llm_pool.edges.http.guard import json

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

    from llm_pool.config.catalog import Catalog
    from llm_pool.pool import Pool

ANTHROPIC = "anthropic-version"  # the header by which its clients say whom they speak to


def models(pool: Pool) -> Handler:
    created = int(time.time())

    async def handle(http: web.Request) -> web.Response:
        catalog = pool.catalog
        ids = catalog.model_ids
        if ANTHROPIC not in http.headers:
            return json({"object": "list", "data": [_model(each, catalog, created) for each in ids]})
        data = [_anthropic_model(each, created) for each in ids]
        ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
        return json({"data": data, "has_more": False, **ends})

    return handle


def model(pool: Pool) -> Handler:
    """One of them by its id, in which there may be a `/`. Raises UnknownModel."""
    created = int(time.time())

    async def handle(http: web.Request) -> web.Response:
        catalog, name = pool.catalog, http.match_info["model"]
        ids = catalog.model_ids
        prefix, _, rest = name.partition("/")
        if name not in ids and not (rest and prefix in catalog.wildcards):
            raise UnknownModel("model", name, catalog.alike(name))
        if ANTHROPIC in http.headers:
            return json(_anthropic_model(name, created))
        return json(_model(name, catalog, created))

    return handle


def _model(name: str, catalog: Catalog, created: int) -> dict[str, Any]:
    owner = catalog.aliases.get(name, name).partition("/")[0]
    return {"id": name, "object": "model", "created": created, "owned_by": owner}


def _anthropic_model(name: str, created: int) -> dict[str, Any]:
    at = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    return {"type": "model", "id": name, "display_name": name, "created_at": at, "lifecycle": "active"}
