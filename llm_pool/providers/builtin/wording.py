"""Short plain sentences about how a candidate meets what was asked, in English and Portuguese. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llm_pool.providers.builtin.tables import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_pool.providers.builtin.criteria import Limit
    from llm_pool.providers.builtin.text import Language

_NEARLY_WHOLE = 0.005
_YEAR = 1900
_NAMES_PT: Mapping[str, str] = {
    "price": "preço", "rating": "nota", "popularity": "popularidade", "date": "ano", "duration": "duração",
    "distance": "distância", "weight": "peso", "storage": "armazenamento", "calories": "calorias", "pages": "páginas",
}  # fmt: skip
# The units that numbers are held in, for a limit that was stated without one.
_UNITS: Mapping[str, tuple[str, str]] = {
    "duration": ("minutes", "minutos"), "distance": ("km", "km"), "weight": ("kg", "kg"), "storage": ("GB", "GB"),
    "calories": ("calories", "calorias"), "pages": ("pages", "páginas"),
}  # fmt: skip

_SINGULARS = listed("hour minute second day week page mile hora minuto segundo dia semana página milha")


def plain(number: float) -> str:
    """A number as people write it; the end of a year (2020.999) is that year."""
    if number > _YEAR or abs(number - round(number)) <= _NEARLY_WHOLE:
        return str(math.floor(number + _NEARLY_WHOLE) if number > _YEAR else round(number))
    return f"{number:.2f}".rstrip("0")


def named(name: str, lang: Language) -> str:
    """The name of a kind of number, or of a candidate's field, in a language."""
    return _NAMES_PT.get(name, name) if lang == "pt" else {"date": "year"}.get(name, name)


def compared(limit: Limit, value: float, lang: Language, *, kept: bool) -> str:
    """ "92 minutes is longer than 30 minutes"; "preço 40 cumpre \"até 50\"". The limit in the words that stated it."""
    own = unit = limit.unit
    if not own and limit.name in _UNITS:
        own = _UNITS[limit.name][lang == "pt"]
    if limit.name == "date":
        measured = plain(value)
    elif own and (unit or limit.name in _UNITS) and limit.name not in {"price", "rating"}:
        number = plain(value / limit.factor)
        measured = f"{number} {own}s" if own.lower() in _SINGULARS and number != "1" else f"{number} {own}"
        if limit.name not in _NAMES_PT:
            measured = f"{limit.name} {measured}"
    else:
        measured = f"{named(limit.name, lang)} {plain(value)}"
    if lang == "pt":
        return f'{measured} {"cumpre" if kept else "não cumpre"} "{limit.said}"'
    return f"{measured} is {_said_after_is(limit.said, kept=kept)}"


def _said_after_is(stated: str, *, kept: bool) -> str:
    """ "no longer than 20" of what keeps it and "not no longer" of what does not: then it is put in quotes."""
    if stated.lower().startswith(("no ", "not ", "never ", "must ", "max", "min")):
        return f'{"within" if kept else "against"} "{stated}"'
    return stated if kept else f"not {stated}"


def listing(words: Sequence[str], lang: Language, *, joint: tuple[str, str] = ("and", "e")) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(words) <= 1:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint[lang == 'pt']} {words[-1]}"
