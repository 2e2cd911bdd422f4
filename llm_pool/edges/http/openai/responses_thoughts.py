"""What a model thought, as an item that a caller keeps and sends back: nothing of it is stored here.

Its `encrypted_content` carries, beside the text, what the thought's provider needs to know it again, and whose it is.
It is not encrypted: nothing in it is the pool's secret, and who changes it only spoils it for the provider.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING

import orjson

from llm_pool.core.types import Reasoning

if TYPE_CHECKING:
    from llm_pool.edges.http.openai.responses_bodies import ResponsesThought


def sealed(thought: Reasoning) -> str:
    """What `opened` makes the same thought of, together with its text."""
    told = {"provider": thought.provider, "opaque": thought.opaque, "redacted": thought.redacted}
    return urlsafe_b64encode(orjson.dumps(told)).decode()


def opened(item: ResponsesThought) -> Reasoning:
    """A thought that comes back. One that is not from here is taken for OpenAI's own, where it is sealed at all."""
    text = "".join([part.text for part in item.summary or item.content or ()])
    seal = item.encrypted_content
    if not seal:
        return Reasoning(text)
    told = _told(seal)
    if told is None:
        return Reasoning(text, opaque=seal, provider="openai")
    return Reasoning(text, opaque=told[1], redacted=told[2], provider=told[0])


def _told(seal: str) -> tuple[str, str, bool] | None:
    """Provider, opaque and redacted, None where it is not one of ours."""
    try:
        told = orjson.loads(urlsafe_b64decode(seal))
    except ValueError:  # no base64, or no JSON
        return None
    match told:
        case {"provider": str(provider), "opaque": str(opaque), "redacted": bool(redacted), **others} if not others:
            return provider, opaque, redacted
        case _:
            return None
