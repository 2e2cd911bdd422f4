"""Whose thought a block is, written into the one field that a client gives back as it got it. Pure.

Anthropic's own signatures go out as they are: their models, and nobody else, know them again. Those of any other
provider go out as `lp1.` and base64 of JSON that names the provider, for without that the pool could not tell, when
the block comes back, whom it may be given to. That is no secret and no proof: a provider checks its own signature.
"""

from __future__ import annotations

import base64
import binascii

import orjson

from llm_pool.core.types import Reasoning

ANTHROPIC = "anthropic"
MARK = "lp1."


def sealed(provider: str, opaque: str, *, redacted: bool = False) -> str:
    """The signature of a block, or the data of a redacted one."""
    if provider == ANTHROPIC and not opaque.startswith(MARK):
        return opaque
    told = orjson.dumps({"provider": provider, "opaque": opaque, "redacted": redacted})
    return MARK + base64.urlsafe_b64encode(told).decode().rstrip("=")


def opened(seal: str, text: str, *, redacted: bool = False) -> Reasoning:
    """The thought that a block is. Raises ValueError where it begins like one of ours and is none."""
    if not seal.startswith(MARK):
        return Reasoning(text, seal, redacted, ANTHROPIC)
    provider, opaque = _read(seal.removeprefix(MARK), redacted=redacted)
    return Reasoning(text, opaque, redacted, provider)


def _read(coded: str, *, redacted: bool) -> tuple[str, str]:
    try:
        told = orjson.loads(base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):  # of base64, of characters beyond ASCII, of JSON
        raise ValueError("is none that the pool has made") from None
    match told:
        case {"provider": str(provider), "opaque": str(opaque), "redacted": bool(said)} if said == redacted:
            return provider, opaque
        case _:
            raise ValueError("is none that the pool has made")
