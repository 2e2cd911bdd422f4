"""`GET /v1/models`: everything that may be named as `model`, in the shape that OpenAI clients know."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llm_pool.edges.http.guard import json

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

    from llm_pool.pool import Pool


def models(pool: Pool) -> Handler:
    created = int(time.time())

    async def handle(_: web.Request) -> web.Response:
        data = [
            {"id": model, "object": "model", "created": created, "owned_by": model.partition("/")[0]}
            for model in pool.catalog.model_ids
        ]
        return json({"object": "list", "data": data})

    return handle
