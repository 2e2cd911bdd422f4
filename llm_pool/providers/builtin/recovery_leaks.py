"""What tells that a credential may be known to others, and what to do then, in English and Portuguese. Data only."""

from __future__ import annotations

from llm_pool.providers.builtin.recovery_rules import Cause, Step

SECRETS = (
    "password*|api key*|apikey*|access key*|secret*|credential*|private key*|ssh key*|token*|senha*|credencia*|chave|"
    "chaves|chave de api|chave privada|segredo|segredos|.env|env file|keys|key"
)
EXPOSED = (
    "leaked|leaks|leaking|leak|exposed|exposes|exposing|exposta|exposto|expostas|expostos|expôs|vazou|vazaram|vazada|"
    "vazado|vazadas|vazados|vazamento|vazando|public repo*|public github|public gist|repositório público|repo público|"
    "pushed to github|pastebin|stolen|roubada|roubado|roubadas|compromised|comprometida|comprometido|comprometidas"
)
NO_EXPOSURE = (
    "memory leak|memory leaks|leak of memory|connection leak|leaking connections|vazamento de memória|"
    "vazamento de conexões"
)
# What exposes a secret only where no log-in is told to fail: a report quotes errors from logs, too.
PLACED = (
    "committed|commitada|commitado|commitou|in plain text|em texto puro|in the logs|in logs|in a log|in the log|"
    "nos logs|no log|publicada|publicado|publicadas|published|posted|postada|postou|no github|on github|to github|"
    "in slack|no slack"
)
LOG_IN_FAILS = "401|403|invalid|invalid_token|expired|expirad*|inválid*|mismatch|rejected|recusad*|denied|negado"
LEAKED = Cause(
    "", "high",
    (
        Step(("Revoke the exposed credential of {it} where it was issued, and issue a new one.",
              "Revogue a credencial exposta de {it} onde foi emitida e emita outra."),
             (("Put the new one into the secret store first, so that {it} keeps working.",
               "Ponha antes a nova no cofre de segredos, para que {it} continue funcionando."),
              ("Never write the old or the new one into tickets, chats or logs.",
               "Nunca escreva a antiga nem a nova em chamados, conversas ou registros."))),
        Step(("Look in the access logs of {it} for use of the exposed credential since it was exposed.",
              "Procure nos registros de acesso de {it} o uso da credencial exposta desde a exposição."),
             (("Only read; keep the logs as evidence.", "Só leitura; guarde os registros como prova."),
              ("Tell the security team at once if anybody used it.",
               "Avise logo a equipe de segurança se alguém a usou."))),
        Step(("Remove the secret of {it} from where it can be read, and let a scanner look for others.",
              "Retire o segredo de {it} de onde pode ser lido e passe um scanner em busca de outros."),
             (("Only after it is revoked: copies and history remain.",
               "Só depois de revogado: cópias e histórico permanecem."),)),
    ),
    ("Should {it} fail with the new credential, fix its setting; never make the exposed one valid again.",
     "Se {it} falhar com a credencial nova, corrija a configuração; nunca reative a exposta."),
    ("A credential of {it} can be known to others", "Uma credencial de {it} pode ser conhecida por outros"),
)  # fmt: skip
