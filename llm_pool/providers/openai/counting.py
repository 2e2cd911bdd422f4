"""What an OpenAI-compatible answer holds beside words: usage, logprobs, vectors. Pure.

Whatever is of another kind than it must be raises ProviderGarbled, which names the server and the field.
"""

from __future__ import annotations

from typing import Any

from llm_pool.core.errors import ProviderGarbled, RequestRefused
from llm_pool.core.types import Finished, Logprob, Usage
from llm_pool.providers.openai.errors import inside
from llm_pool.providers.reading import count_of, object_of, typed, wrong

NUMBERS = (int, float)


# --- Usage ------------------------------------------------------------------------------------------------------


def usage_of(usage: dict[str, Any] | None, *, who: str) -> Usage:
    """In disjoint buckets: the prompt's tokens hold the cached ones, the completion's those of the thinking."""
    usage = usage or {}
    prompt, completion = count_of(usage, "prompt_tokens", who=who), count_of(usage, "completion_tokens", who=who)
    inside_prompt = typed(usage, "prompt_tokens_details", dict, who=who) or {}
    inside_completion = typed(usage, "completion_tokens_details", dict, who=who) or {}
    cached = count_of(inside_prompt, "cached_tokens", who=who)
    if cached is None:
        cached = count_of(usage, "prompt_cache_hit_tokens", who=who)  # DeepSeek's word
    read = min(cached or 0, prompt or 0)
    write = min(count_of(inside_prompt, "cache_write_tokens", who=who) or 0, (prompt or 0) - read)
    thought = count_of(inside_completion, "reasoning_tokens", who=who)
    beyond = (count_of(usage, "total_tokens", who=who) or 0) - (prompt or 0) - (completion or 0)
    if beyond > 0 and thought in {None, beyond} and prompt is not None and completion is not None:
        # xAI and Gemini count the thinking beside the completion; of both only the total tells.
        reasoning, output = beyond, completion
    else:
        reasoning = min(thought or 0, completion or 0)
        output = (completion or 0) - reasoning
    return Usage(
        input=(prompt or 0) - read - write,
        cache_read=read,
        cache_write=write,
        output=output,
        reasoning=reasoning,
        estimated=prompt is None or completion is None,
    )


# --- Logprobs ---------------------------------------------------------------------------------------------------


def logprobs_of(value: object, *, who: str) -> tuple[Logprob, ...]:
    """Those of a choice: of its words, and of the words of a refusal."""
    if not isinstance(value, dict):
        raise wrong("logprobs", who)
    entries = [entry for key in ("content", "refusal") for entry in typed(value, key, list, who=who) or ()]
    return tuple([_logprob(entry, who) for entry in entries])


def _logprob(entry: object, who: str) -> Logprob:
    if not isinstance(entry, dict) or type(entry.get("token")) is not str or type(entry.get("logprob")) not in NUMBERS:
        raise wrong("logprobs", who)
    octets = typed(entry, "bytes", list, who=who)
    if octets is not None and not all(type(octet) is int and 0 <= octet < 256 for octet in octets):  # noqa: PLR2004
        raise wrong("bytes", who)
    top = typed(entry, "top_logprobs", list, who=who) or []
    return Logprob(
        entry["token"],
        float(entry["logprob"]),
        None if octets is None else tuple(octets),
        tuple([_logprob(each, who) for each in top]),
    )


# --- Vectors ----------------------------------------------------------------------------------------------------


def vectors_of(said: bytes, *, count: int, dimensions: int | None, who: str, model: str) -> Finished:
    """The body of an answer of /embeddings: one vector for each of `count` inputs, in their order."""
    body = object_of(said, who=who)
    if body.get("error"):
        raise inside(body["error"], who=who, model=model)
    found: dict[int, tuple[float, ...]] = {}
    for place, entry in enumerate(typed(body, "data", list, who=who) or []):
        if not isinstance(entry, dict):
            raise wrong("data", who)
        index = typed(entry, "index", int, who=who)
        found[place if index is None else index] = _vector(entry.get("embedding"), who)
    vectors = tuple([found[index] for index in range(count) if index in found])
    if len(vectors) != count or len(found) != count or len(body["data"]) != count:
        raise ProviderGarbled(f"{who} sent another number of vectors than it was given inputs")
    lengths = {len(vector) for vector in vectors}
    if len(lengths) > 1:
        raise ProviderGarbled(f"{who} sent vectors of different lengths")
    if dimensions is not None and lengths != {dimensions}:  # llama-server, among others, passes over the number
        raise RequestRefused(f"{who} makes no vectors of {dimensions} dimensions")
    usage = typed(body, "usage", dict, who=who) or {}
    tokens = count_of(usage, "prompt_tokens", who=who)
    return Finished("stop", Usage(input=tokens or 0, estimated=tokens is None), vectors=vectors)


def _vector(values: object, who: str) -> tuple[float, ...]:
    if not isinstance(values, list) or not values or not set(map(type, values)) <= set(NUMBERS):
        raise wrong("embedding", who)
    return tuple(map(float, values))
