"""How an OpenAI-compatible server is, by what it answers to GET /models (and OpenRouter to GET /key). Pure.

A listing is not everywhere the whole truth: llama-server with one model takes any name, OpenRouter adds variants to
names, Azure lists what could be deployed, and some have none at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from llm_pool.core.errors import ProviderGarbled
from llm_pool.core.ports.provider import Health

OK = 200
REFUSES_KEY = (401, 403)
NOT_THERE = (404, 405, 501)  # a server without the listing
LOADING = 503
LIMITED = 429


@dataclass(frozen=True, slots=True)
class Listing:
    """The models that are listed; `whole` where a name that is not among them is not there.

    `llama`: a llama-server, which lists its model while that is loading, and to those whose key it would refuse.
    """

    names: frozenset[str]
    whole: bool
    llama: bool


def listing_of(body: bytes, *, who: str) -> Listing:
    """Raises ProviderGarbled."""
    try:
        value = orjson.loads(body)
        entries = value if isinstance(value, list) else value["data"] or []
        names = frozenset(entry["id"] for entry in entries)
        llama = any(entry.get("owned_by") == "llamacpp" for entry in entries)
        takes_any = llama and not any("status" in entry for entry in entries)  # else it is a router of several
        more = isinstance(value, dict) and value.get("has_more") is True
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ProviderGarbled(f"{who} does not list its models as OpenAI does") from None
    return Listing(names, bool(names) and not more and not takes_any, llama)


def of_status(status: int, *, who: str, keyed: bool, loads: bool) -> Health | None:
    """What a status tells; None: it is well, as far as that goes. `loads`: 503 means that a model is being loaded."""
    if status == OK or status in NOT_THERE:
        return None
    if status in REFUSES_KEY:
        return Health("unhealthy", "it does not accept our key" if keyed else "it wants a key: set api_key")
    if status == LOADING and loads:
        return Health("loading", "its model is being loaded")
    if status == LIMITED:
        return Health("degraded", f"{who} lets us ask no more for now")
    return Health("unhealthy", f"{who} answered {status}")


def state(models: tuple[str, ...], listing: Listing, *, openrouter: bool) -> Health:
    """The health of a server that answers, and is to serve `models` (none: any)."""
    absent = [model for model in models if listing.whole and not _listed(model, listing.names, openrouter=openrouter)]
    if not absent:
        return Health("healthy")
    why = "; ".join(f'model "{model}" is not listed' for model in absent)
    return Health("unhealthy" if len(absent) == len(models) else "degraded", why, frozenset(absent))


def _listed(model: str, names: frozenset[str], *, openrouter: bool) -> bool:
    """Ollama tags a name without a tag, Gemini puts a path before it, OpenRouter has variants that it does not list."""
    also = {model, f"{model}:latest", f"models/{model}"}
    if openrouter:
        base = model.partition("@preset")[0]
        also |= {base.rpartition(":")[0] or base, base}
        if not base:
            return True
    return bool(also & names)
