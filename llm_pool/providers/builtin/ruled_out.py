"""Take out of a report what it says is not the cause: "the database is fine", "not the network". Pure, one pass.

Rules, for each clause (up to punctuation, "but", "and"):

1. A subject that is called fine goes with its clause ("o banco está bem", "disk ok"), unless the clause has a
   negation, or it was fine only until something happened.
2. What "not the", "isn't a ... issue", "sem problemas de", "ruled out" name goes, to the end of the clause.
3. All else stays: "not responding", "no space left" and "sem conexão" are failures.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from llm_pool.providers.builtin.tables import listed
from llm_pool.providers.builtin.text import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CLAUSE_ENDS = re.compile(r"[,;:!?\n()]|[.](?!\w)|\s[-\u2013\u2014]\s")
_JOINTS = listed("but and while however yet though although mas e porém porem enquanto embora")
_COPULAS = listed("""
    is are was were look looks seem seems stay stays está estão esta estao estava estavam parece parecem segue seguem
    continua continuam
    """)
_OF_SEVERAL = listed("are were look seem stay estão estao parecem seguem continuam estavam")
_STILL = listed("all still also both perfectly completely tudo todos todas ainda também tambem totalmente")
_GOOD = listed("""
    fine ok okay healthy normal good green unaffected unchanged stable working up bem normais saudável saudáveis estável
    estáveis funcionando inalterado inalterada
    """)
_GOOD_ALONE = listed("fine ok okay healthy normal")
_NEGATIONS = listed("""
    not no nothing none never nobody isn't aren't wasn't weren't hardly neither nor não nao nada nunca nenhum nenhuma
    ninguém nem
    """)
_UNTIL = listed("until till before até antes")
_IS_NOT = listed("not isn't wasn't aren't")
_THE = listed("the because due o a os as por")
_TROUBLE = listed("""
    problem problems issue issues error errors alarm alarms wrong outage problema problemas erro erros falha falhas
    alarme alarmes errado
    """)
_OF = listed("with in on of from de do da dos das no na nos nas com")
_RULED_OUT = listed("descartado descartada descartados descartamos")
_MOST_NAMED = 4  # words that name what is ruled out
_FEW = 3  # words of "CPU and memory" before the joint


def without_what_is_fine(text: str) -> str:
    """The words of the text in lower case, " word word ", without those of what is ruled out."""
    kept: list[list[str]] = []
    for clause in _clauses(text):
        verb = _called_fine(clause)
        if verb >= 0:
            if verb < len(clause) and clause[verb] in _OF_SEVERAL and kept and len(kept[-1]) <= _FEW:
                kept.pop()
            continue
        kept.append(clause[: _ruled_out(clause)])
    return f" {' . '.join(' '.join(clause) for clause in kept if clause)} "


def _clauses(text: str) -> Iterator[list[str]]:
    for piece in _CLAUSE_ENDS.split(text):
        clause: list[str] = []
        for word in words(piece.replace("\u2019", "'")):
            if word in _JOINTS:
                yield clause
                clause = []
            else:
                clause.append(word)
        yield clause


def _called_fine(clause: Sequence[str]) -> int:
    """The place of the verb that says so, the clause's length where it has none, -1 where it is not called fine."""
    if not _NEGATIONS.isdisjoint(clause) or not _UNTIL.isdisjoint(clause):
        return -1
    for place, word in enumerate(clause):
        if word in _COPULAS and place:
            after = [each for each in clause[place + 1 : place + 4] if each not in _STILL]
            if after and after[0] in _GOOD:
                return place
    return len(clause) if 1 < len(clause) <= _MOST_NAMED and clause[-1] in _GOOD_ALONE else -1


def _ruled_out(clause: Sequence[str]) -> int:
    """The place from which on a clause rules something out, its length where it does not (rule 2)."""
    for place in range(max(0, len(clause) - _MOST_NAMED - 3), len(clause) - 1):
        word, rest = clause[place], clause[place + 1 :]
        is_not = word in _IS_NOT or (word in {"não", "nao"} and rest[0] in {"é", "e", "foi", "são", "há"})
        named = rest[1:] if word in {"não", "nao"} else rest
        if is_not and named and (named[0] in _THE or not _TROUBLE.isdisjoint(named)):
            return place
        nothing = word in {"no", "without", "nothing", "sem", "nada", "nenhum", "nenhuma", "any"}
        if nothing and ((rest[-1] in _TROUBLE and len(rest) > 1) or _trouble_of(rest)):
            return place
        if (word == "ruled" and rest[0] == "out") or word in _RULED_OUT:
            return 0
    return len(clause)


def _trouble_of(rest: Sequence[str]) -> bool:
    """ "problemas de disco", "wrong with the disk"."""
    return any(one in _TROUBLE and other in _OF for one, other in itertools.pairwise(rest[:4]))
