"""What an Ollama server says of its models, and what that says about its health. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from llm_pool.core.errors import ProviderGarbled
from llm_pool.core.ports.provider import Health

if TYPE_CHECKING:
    from collections.abc import Iterable


def model_names(body: bytes, *, who: str) -> frozenset[str]:
    """The canonical names in an answer of /api/tags or /api/ps. Raises ProviderGarbled."""
    try:
        models = orjson.loads(body)["models"] or []
        return frozenset(canonical(model[key]) for model in models for key in ("name", "model") if key in model)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ProviderGarbled(f"{who} does not list its models as Ollama does") from None


def canonical(model: str) -> str:
    """A name as it compares: case does not count, and one without a tag means `:latest`."""
    name = model.casefold()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def state(
    models: tuple[str, ...], *, installed: frozenset[str], loaded: frozenset[str] | None, loading: str | None
) -> Health:
    """The health of a server that answers, serving `models` (none: any). `loaded` None: it cannot say, so all are."""
    missing = _absent(models, installed)
    waiting = [model for model in models if model == loading or (loaded is not None and canonical(model) not in loaded)]
    cold = frozenset(waiting) - frozenset(missing)
    if missing:
        why = "; ".join(f'model "{model}" is not installed: run "ollama pull {model}"' for model in missing)
        return Health("unhealthy" if len(missing) == len(models) else "degraded", why, frozenset(missing), cold)
    if loading is not None:
        return Health("loading", f'model "{loading}" is being loaded', cold=cold)
    if cold:
        return Health("loading", "not in memory yet, the next answer loads it: " + ", ".join(waiting), cold=cold)
    return Health("healthy")


def _absent(models: Iterable[str], present: frozenset[str]) -> list[str]:
    return [model for model in models if canonical(model) not in present]
