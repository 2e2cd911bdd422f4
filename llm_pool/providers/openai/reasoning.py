"""The thoughts of a model as OpenRouter streams them, and as it wants them back (`reasoning_details`). Pure.

An answer's details are a list of objects of a `type`: `reasoning.text` with its `signature`, `reasoning.summary` and
`reasoning.encrypted`. A stream cuts the text of one into pieces of one `index`; the whole list goes back as it was.
"""

from __future__ import annotations

from typing import Any, TypeGuard

import orjson

# What a piece may say in letters, by its type.
SAYS = {"reasoning.text": "text", "reasoning.summary": "summary"}


def said_in(details: list[dict[str, Any]]) -> str:
    """What of them may be read."""
    return "".join([detail.get(SAYS.get(detail.get("type", ""), "")) or "" for detail in details])


def joined(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pieces of each detail put together."""
    whole: list[dict[str, Any]] = []
    texts: list[list[str]] = []  # beside `whole`; joined once, so that long thoughts stay linear
    for piece in details:
        key = SAYS.get(piece.get("type", ""), "")
        text = piece.get(key) or "" if key else ""
        if key and whole and _continues(whole[-1], piece, text):
            texts[-1].append(text)
            whole[-1].update({name: value for name, value in piece.items() if value is not None and name != key})
        else:
            whole.append(dict(piece))
            texts.append([text])
    for detail, parts in zip(whole, texts, strict=True):
        if len(parts) > 1 and any(parts):
            detail[SAYS[detail["type"]]] = "".join(parts)
    return whole


def opaque_of(details: list[dict[str, Any]]) -> str:
    return orjson.dumps(joined(details)).decode()


def details_of(opaque: str) -> list[dict[str, Any]] | None:
    """None: this is not what `opaque_of` has written."""
    try:
        details = orjson.loads(opaque)
    except orjson.JSONDecodeError:
        return None
    return details if sound(details) else None


def sound(details: object) -> TypeGuard[list[dict[str, Any]]]:
    """Whether they are a list of objects whose types and letters are text."""
    return isinstance(details, list) and all(
        isinstance(detail, dict)
        and type(detail.get("type", "")) is str
        and all(isinstance(detail.get(key), str | None) for key in SAYS.values())
        for detail in details
    )


def _continues(last: dict[str, Any], piece: dict[str, Any], text: str) -> bool:
    """A signature ends its text."""
    if last.get("type") != piece.get("type") or last.get("index") != piece.get("index"):
        return False
    if None not in {last.get("id"), piece.get("id")} and last["id"] != piece["id"]:
        return False
    return not (text and last.get("signature"))
