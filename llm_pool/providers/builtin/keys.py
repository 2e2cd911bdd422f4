"""The names under which a JSON question says what it wants. Data, and how a name is read."""

from __future__ import annotations

from llm_pool.providers.builtin.tables import listed
from llm_pool.providers.builtin.text import clean

QUERY = (
    "query", "question", "q", "wish", "goal", "topic", "task", "search", "prompt", "request", "ask", "need",
    "user_query", "consulta", "pergunta", "busca", "pesquisa", "objetivo", "tema", "pedido", "intent", "context",
    "contexto",
)  # fmt: skip
EXCLUDING = listed("""
    exclude excluded excludes excluding exclusions avoid not no never negatives negative without forbidden banned
    must_not except unwanted excluir excluído excluídos exclusões evitar sem exceto não nao menos proibido proibidos
    indesejado indesejados blacklist block
    """)
# What stands under these is said as in the wish itself: their names add nothing.
PLAIN = listed("""
    criteria criterion criterios critérios criterio critério preferences preference preferências preferencias
    constraints constraint requirements requisitos restrições restricoes filters filter filtros filtro must prefer rules
    instructions notes want conditions condições condicoes options limits limites
    """)


def named(key: str) -> list[str]:
    """The words of a name: "max-price" and "max_price" are two."""
    return [word for word in clean(key.lower()).replace("-", "_").replace(" ", "_").split("_") if word]


def excludes(key: str) -> bool:
    """Whether what stands under this name is unwanted: "exclude", "exclude_terms", "must_not"."""
    words = named(key)
    return not EXCLUDING.isdisjoint([key, "_".join(words), *words])
