"""Causes of failures: the words that tell them, and what is safe to do, in English and Portuguese. Data only.

`{it}` stands for what failed, in the input's own words. Nothing here destroys data, weakens security or hides an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["low", "medium", "high", "critical"]
Both: TypeAlias = tuple[str, str]  # in English, in Portuguese


@dataclass(frozen=True, slots=True)
class Step:
    action: Both
    guards: tuple[Both, ...]


@dataclass(frozen=True, slots=True)
class Cause:
    """`says` are words and phrases in lower case, `|` between them; a word that ends with `*` is a beginning."""

    says: str
    severity: Severity
    steps: tuple[Step, ...]
    rollback: Both
    reason: Both
    general: bool = False  # what it tells is only how a failure shows; any named cause goes before it


_LOOK = Step(
    ("Read the newest logs and metrics of {it} and note when it began and what changed then.",
     "Leia os registros e métricas mais recentes de {it} e anote quando começou e o que mudou."),
    (("Only read; change nothing yet.", "Só leitura; ainda não mude nada."),
     ("Stop after 15 minutes and ask somebody who knows {it}.", "Pare após 15 minutos e chame quem conhece {it}.")),
)  # fmt: skip
_WATCH = (("Watch error rate and latency for 10 minutes afterwards; stop if they rise.",
           "Observe erros e latência por 10 minutos depois; pare se subirem."))  # fmt: skip
_ONCE = ("Do it once; do not repeat it without a new finding.", "Faça uma vez; não repita sem um novo achado.")

CAUSES: tuple[Cause, ...] = (
    Cause(
        "corrupt*|corrompid*|checksum|data loss|perda de dados|lost data|dados perdidos|dropped table|deleted|apagad*|"
        "inconsisten*|invalid page|missing rows|overwritten|sobrescrit*|encrypted by|ransom*",
        "critical",
        (
            Step(("Stop all writes to {it} and keep a copy of its present state.",
                  "Pare todas as gravações em {it} e guarde uma cópia do estado atual."),
                 (("Delete and repair nothing before the copy is verified.",
                 "Não apague nem repare nada antes de verificar a cópia."),
                  ("Say in the incident channel that writes are stopped.",
                  "Avise no canal do incidente que as gravações pararam."))),
            Step(("Restore the newest good backup of {it} beside the original and compare.",
                  "Restaure o último backup íntegro de {it} ao lado do original e compare."),
                 (("Never restore over the original.", "Nunca restaure por cima do original."),
                  ("Check counts and checksums before anybody uses it.",
                  "Confira contagens e checksums antes do uso."))),
        ),
        ("Go back to the kept copy of {it}; nothing in it was changed.",
        "Volte à cópia guardada de {it}; nada nela foi alterado."),
        ("Data of {it} seems damaged or lost", "Dados de {it} parecem danificados ou perdidos"),
    ),
    Cause(
        "disk full|no space left|enospc|disk usage|disco cheio|sem espaço|espaço em disco|out of disk|inodes|"
        "quota exceeded|disk is full|is full|está cheio|está cheia|no space|disk at|disk of|disco do|disco da",
        "high",
        (
            Step(("Find what fills the disk of {it} (du, largest and newest files first).",
                  "Descubra o que enche o disco de {it} (du, arquivos maiores e mais novos primeiro)."),
                 (("Only read; delete nothing yet.", "Só leitura; ainda não apague nada."),)),
            Step(("Rotate and compress old logs and temporary files of {it}, or enlarge the volume.",
                  "Rotacione e compacte registros antigos e temporários de {it}, ou aumente o volume."),
                 (("Never touch database files or write-ahead logs.", "Nunca toque em arquivos do banco nem no WAL."),
                  ("Move files away rather than delete them; stop at 20 % free.",
                  "Mova em vez de apagar; pare com 20 % livres."))),
        ),
        ("Move the files back to where they were.", "Mova os arquivos de volta ao lugar."),
        ("The disk of {it} has no space left", "O disco de {it} ficou sem espaço"),
    ),
    Cause(
        "out of memory|oom*|memory leak|vazamento de memória|sem memória|memória insuficiente|heap space|memoryerror|"
        "exit code 137|cannot allocate|memory limit|estouro de memória|falta de memória|memória esgotad*",
        "high",
        (
            Step(("Record the memory use of {it} over time and, if possible, a heap profile.",
                  "Registre o uso de memória de {it} no tempo e, se possível, um perfil do heap."),
                 (("Take the profile from one instance only.", "Tire o perfil de uma instância apenas."),)),
            Step((("Restart the affected instances of {it} one at a time and lower its load or raise its limit a "
            "little."),
                  "Reinicie as instâncias afetadas de {it} uma a uma e reduza a carga ou suba um pouco o limite."),
                 (("Wait until each one is healthy before the next.", ("Espere cada uma ficar saudável antes da "
                 "próxima.")),
                  ("At most 2 restarts per instance and hour.", "No máximo 2 reinícios por instância e hora."),
                  _WATCH)),
        ),
        ("Set the old limit and load of {it} again.", "Volte ao limite e à carga anteriores de {it}."),
        ("{it} needs more memory than it may have", "{it} precisa de mais memória do que pode usar"),
    ),
    Cause(
        "certificate expired|certificate has expired|expired certificate|certificado expirou|certificado vencido|"
        "certificado expirado|certificate|certificado|tls|ssl|x509|expired cert*|self signed|handshake|cert expired",
        "high",
        (
            Step(("Look at the certificate that {it} shows: its names, its dates, its chain (openssl s_client).",
                  "Veja o certificado que {it} apresenta: nomes, datas e cadeia (openssl s_client)."),
                 (("Never turn verification off.", "Nunca desligue a verificação."),
                  ("Check the clock of both machines first.", "Confira antes o relógio das duas máquinas."))),
            Step(("Renew the certificate of {it} with its usual issuer and reload the service.",
                  "Renove o certificado de {it} com o emissor habitual e recarregue o serviço."),
                 (("Keep the old certificate and key.", "Guarde o certificado e a chave antigos."),
                  ("Reload one instance first and test it.", "Recarregue uma instância primeiro e teste."))),
        ),
        ("Put the old certificate and key back and reload.", "Recoloque o certificado e a chave antigos e recarregue."),
        ("The TLS certificate of {it} is not accepted, often because it expired",
        "O certificado TLS de {it} não é aceito, muitas vezes por ter expirado"),
    ),
    Cause(
        "dns|name resolution|could not resolve|nxdomain|enotfound|getaddrinfo|resolução de nomes|servfail|unknown host|"
        "resolver",
        "high",
        (
            Step(("Ask two resolvers for the name of {it} and compare with what it should be.",
                  "Consulte dois resolvedores pelo nome de {it} e compare com o esperado."),
                 (("Only read.", "Só leitura."), ("Ask from the machine that fails as well.",
                 "Consulte também da máquina que falha."))),
            Step(("Put the last good DNS record or resolver of {it} back.",
            "Recoloque o último registro DNS ou resolvedor bom de {it}."),
                 (("One record at a time; wait one TTL.", "Um registro por vez; espere um TTL."), _WATCH)),
        ),
        ("Set the record again that stood before.", "Volte ao registro anterior."),
        ("The name of {it} is not resolved", "O nome de {it} não é resolvido"),
    ),
    Cause(
        "429|rate limit*|rate-limit*|too many requests|limite de requisições|muitas requisições|throttl*|quota|"
        "limite de taxa|cota",
        "medium",
        (
            Step(("Slow the calls of {it} down and obey Retry-After.", ("Reduza as chamadas de {it} e obedeça ao "
            "Retry-After.")),
                 (("Exponential backoff with jitter, at most 5 tries.",
                 "Espera exponencial com variação, no máximo 5 tentativas."),
                  ("Never go around the limit with more keys or accounts.",
                  "Nunca contorne o limite com mais chaves ou contas."))),
            Step(("Cache and batch the calls of {it}, or ask the provider for a higher limit.",
                  "Use cache e lotes nas chamadas de {it}, ou peça um limite maior ao provedor."),
                 (("Compare the number of calls before and after.", "Compare o número de chamadas antes e depois."),)),
        ),
        ("Set the former rate of {it} again once the limit has recovered.",
        "Volte à taxa anterior de {it} quando o limite se recuperar."),
        ("{it} asks more often than it is allowed to", "{it} chama com mais frequência do que o permitido"),
    ),
    Cause(
        "401|403|token expired|token has expired|credential expired|password expired|unauthorized|forbidden|"
        "authentication|permission denied|access denied|invalid token|expired token|token expirado|login failed|"
        "invalid credentials|credenciais|não autorizado|acesso negado|permissão negada|senha incorreta|autenticação|"
        "api key|jwt",
        "medium",
        (
            Step(("Check which credential {it} uses, when it expires and what it may do.",
                  "Confira qual credencial {it} usa, quando expira e o que permite."),
                 (("Never print or log the secret.", "Nunca imprima nem registre o segredo."),
                  ("At most 3 log-ins, or the account may be locked.", ("No máximo 3 tentativas, ou a conta pode ser "
                  "bloqueada.")))),
            Step(("Rotate the credential of {it} through the secret store and reload.",
                  "Troque a credencial de {it} pelo cofre de segredos e recarregue."),
                 (("Give it the same rights, not more.", "Dê os mesmos direitos, não mais."),
                  ("Test one instance before all.", "Teste uma instância antes de todas."))),
        ),
        ("Put the former credential back as long as it is valid.", ("Recoloque a credencial anterior enquanto for "
        "válida.")),
        ("{it} is refused: its credential or its rights are wrong or expired",
        "{it} é recusado: credencial ou direitos errados ou expirados"),
    ),
    Cause(
        "deadlock*|lock wait|lock timeout|database is locked|table lock|bloqueio|replication*|replica lag|replicação|"
        "réplica|too many connections|connection pool|pool exhausted|pool de conexões|slow quer*|consulta lenta|"
        "consultas lentas|long-running transaction|database|banco de dados|postgres*|mysql|mongodb|lag da réplica",
        "high",
        (
            Step(("List the running transactions, locks and replica lag of {it}.",
            "Liste transações, bloqueios e atraso de réplica de {it}."),
                 (("Only read, with a statement timeout of 5 seconds.",
                 "Só leitura, com limite de 5 segundos por consulta."),)),
            Step(("End the one session of {it} that blocks the others, after its owner agreed.",
                  "Encerre a sessão de {it} que bloqueia as outras, com acordo do dono."),
                 (("One session; cancel before terminate.", "Uma sessão; cancelar antes de encerrar."),
                  ("Never during a migration or backup.", "Nunca durante migração ou backup."), _WATCH)),
            Step(("Shorten transactions, add the missing index or limit the connections of {it}.",
                  "Encurte transações, crie o índice que falta ou limite as conexões de {it}."),
                 (("Try it on a copy first; build indexes without locking.",
                 "Teste numa cópia; crie índices sem bloquear."),)),
        ),
        ("The ended transaction rolls back by itself; undo the index or limit.",
        "A transação encerrada se desfaz sozinha; desfaça índice ou limite."),
        ("Sessions of the database behind {it} wait for one another or for a replica",
        "Sessões do banco de {it} esperam umas pelas outras ou por uma réplica"),
    ),
    Cause(
        "deploy*|release*|rollout|rolled out|roll out|rollback|new version|after update|after upgrade|upgrade|"
        "migration|implantação|nova versão|após atualização|depois do deploy|atualização|publicação|migração|"
        "crashloop*|canary|versão nova|subiu a versão|since version|since the update|desde a versão|"
        "desde a atualização",
        "high",
        (
            Step(("Stop the roll-out of {it} where it stands and compare old and new instances.",
                  "Pare a implantação de {it} onde está e compare instâncias antigas e novas."),
                 (("No new deployment until the cause is known.", "Nenhuma nova implantação até conhecer a causa."),)),
            Step(("Roll {it} back to the last good version.", "Volte {it} à última versão boa."),
                 (("Check first that its migrations can be undone.", "Confira antes se as migrações são reversíveis."),
                  ("One instance first, then all.", "Uma instância primeiro, depois todas."), _WATCH)),
        ),
        ("Deploy the newer version of {it} again; keep both artefacts.",
        "Implante de novo a versão mais nova de {it}; guarde ambos os artefatos."),
        ("It began with a change: the newest version of {it} is the first suspect",
        "Começou com uma mudança: a versão mais nova de {it} é a primeira suspeita"),
    ),
    Cause(
        "queue*|backlog|consumer lag|fila|filas|kafka|rabbitmq|dead letter|unprocessed|mensagens acumuladas|acumulad*|"
        "consumers|workers stuck|celery|sqs",
        "medium",
        (
            Step(("Compare how fast the queue of {it} grows and is worked off, and look at the oldest message.",
                  "Compare entrada e saída da fila de {it} e veja a mensagem mais antiga."),
                 (("Peek only; take no message out.", "Só espie; não retire mensagens."),)),
            Step(("Add consumers to {it} step by step and set poisonous messages aside.",
                  "Aumente aos poucos os consumidores de {it} e separe mensagens problemáticas."),
                 (("Never purge the queue.", "Nunca esvazie a fila."), (("Double at most, and watch what lies "
                 "downstream."),
                  "No máximo dobre e observe o que vem depois."), _WATCH)),
        ),
        ("Reduce the consumers of {it} to the former number.", "Volte ao número anterior de consumidores de {it}."),
        ("{it} receives more than it works off", "{it} recebe mais do que processa"),
    ),
    Cause(
        "module not found|modulenotfounderror|importerror|cannot find module|no module named|dependency|dependência|"
        "dependencia|package|pacote|version conflict|conflito de versões|undefined symbol|shared library|"
        "command not found|npm err*|pip",
        "medium",
        (
            Step(("Compare what {it} has installed with its lock file.",
            "Compare o que {it} tem instalado com o arquivo de travas."),
                 (("Only read; in the same environment that fails.", "Só leitura; no mesmo ambiente que falha."),)),
            Step(("Install the locked versions for {it} in a fresh environment and run its tests.",
                  "Instale as versões travadas de {it} num ambiente novo e rode os testes."),
                 (("From the usual registry only, with checksums.", "Só do registro habitual, com checksums."),
                  ("Change one version at a time.", "Mude uma versão por vez."))),
        ),
        ("Use the former environment of {it} again; it was left untouched.",
        "Use de novo o ambiente anterior de {it}; ficou intacto."),
        ("A dependency of {it} is missing or has another version", "Falta uma dependência de {it} ou a versão é outra"),
    ),
    Cause(
        "config*|environment variable|env var|variável de ambiente|yaml|toml|missing key|invalid setting|misconfigur*|"
        "parse error|configuração|typo|invalid value|feature flag",
        "medium",
        (
            Step(("Compare the configuration of {it} with the last one that worked, and validate it.",
                  "Compare a configuração de {it} com a última que funcionou e valide-a."),
                 (("Show no secrets in the comparison.", "Não mostre segredos na comparação."),)),
            Step(("Put the last good configuration of {it} back.", "Recoloque a última configuração boa de {it}."),
                 (("One instance first.", "Uma instância primeiro."), _ONCE, _WATCH)),
        ),
        ("Apply the newer configuration of {it} again; keep both files.",
        "Aplique de novo a configuração mais nova de {it}; guarde os dois arquivos."),
        ("A setting of {it} is missing or wrong", "Uma configuração de {it} falta ou está errada"),
    ),
    Cause(
        "timeout*|timed out|time out|etimedout|deadline exceeded|tempo esgotado|tempo limite|slow|latency|lento|lenta|"
        "lentidão|latência|hang*|demora*|travad*|congelad*",
        "medium",
        (
            Step(("Find out where the time of {it} goes: network, database or itself.",
                  "Descubra onde {it} gasta o tempo: rede, banco ou ele mesmo."),
                 (("Only read; use traces of slow and quick calls.", ("Só leitura; use rastros de chamadas lentas e "
                 "rápidas.")),)),
            Step(("Retry the failed calls of {it} that may safely be repeated.",
            "Repita as chamadas falhas de {it} que podem ser repetidas com segurança."),
                 (("At most 3 times with growing pauses.", "No máximo 3 vezes com pausas crescentes."),
                  ("Idempotent calls only.", "Só chamadas idempotentes."))),
            Step(("Take load off {it} or the slow part behind it, or raise the time limit a little.",
                  "Alivie {it} ou a parte lenta atrás dele, ou aumente um pouco o limite de tempo."),
                 (("At most twice the former limit.", "No máximo o dobro do limite anterior."), _WATCH)),
        ),
        ("Set the former limits and load of {it} again.", "Volte aos limites e à carga anteriores de {it}."),
        ("{it} or something behind it answers too slowly", "{it} ou algo atrás dele responde devagar demais"),
        general=True,
    ),
    Cause(
        "connection refused|econnrefused|connection reset|unreachable|network|no route|rede|conexão recusada|"
        "sem conexão|firewall|port|packet loss|offline|conexão|disconnected",
        "high",
        (
            Step(("Check whether {it} listens and can be reached, from both sides.",
            "Verifique se {it} escuta e pode ser alcançado, dos dois lados."),
                 (("Only look; open no port or firewall for it.", "Só verifique; não abra porta nem firewall."),)),
            Step(("Restart the one instance of {it} that does not listen.",
            "Reinicie a única instância de {it} que não escuta."),
                 (_ONCE, ("Save its logs first.", "Guarde antes os registros."), _WATCH)),
        ),
        ("Take the restarted instance of {it} out of rotation.", "Tire a instância reiniciada de {it} de rotação."),
        ("{it} cannot be reached over the network", "{it} não é alcançado pela rede"),
        general=True,
    ),
    Cause(
        "500|502|503|504|5xx|internal server error|bad gateway|service unavailable|gateway timeout|erro interno|"
        "indisponível|fora do ar|is down|crash*|panic|segfault|caiu|parou|exception|traceback|down",
        "high",
        (
            Step(("Read the first error in the logs of {it} and see which instances and routes have it.",
                  "Leia o primeiro erro nos registros de {it} e veja quais instâncias e rotas o têm."),
                 (("Only read, 10 minutes at most.", "Só leitura, no máximo 10 minutos."),)),
            Step(("Take the failing instances of {it} out of rotation and restart them one at a time.",
                  "Tire de rotação as instâncias falhas de {it} e reinicie uma a uma."),
                 (("Keep at least half of them serving.", "Mantenha ao menos metade servindo."),
                  ("At most one restart each.", "No máximo um reinício cada."), _WATCH)),
        ),
        ("Put the instances of {it} back into rotation as they were.", ("Recoloque as instâncias de {it} em rotação "
        "como estavam.")),
        ("{it} fails on the server's side", "{it} falha do lado do servidor"),
        general=True,
    ),
)  # fmt: skip

# What makes a failure one of the newest version, where a version is named: a time since which, or what it returns.
SINCE = "since|after|right after|desde|após|depois|logo após|returns|started|began|começou|passou a|starting"

CHANGED = next(cause for cause in CAUSES if cause.says.startswith("deploy*"))

UNKNOWN = Cause(
    "", "medium",
    (
        _LOOK,
        Step(("Make the failure of {it} happen again in a test environment, with the same input.",
              "Reproduza a falha de {it} num ambiente de teste, com a mesma entrada."),
             (("Never in production, never with personal data.", "Nunca em produção, nunca com dados pessoais."),
             _ONCE)),
    ),
    ("Nothing was changed yet, so there is nothing to undo for {it}.", ("Nada foi mudado ainda; não há o que desfazer "
    "em {it}.")),
    ("The cause is not clear from what is said about {it}", "A causa não está clara pelo que se diz de {it}"),
)  # fmt: skip

# What is lost if nobody acts. The first row that has a word decides; "softer" words take one degree away.
CRITICAL = (
    "data loss|perda de dados|corrupt*|corrompid*|payment*|pagamento*|checkout|billing|cobrança|all users|"
    "todos os usuários|total outage|completely down|production down|production is down|produção parada|produção fora|"
    "fora do ar|breach|vazamento de dados|leaked|hacked|invadid*|ransom*|all customers|todos os clientes|outage|"
    "patient*|hospital|emergency|prod down|lost orders|pedidos perdidos"
)
RAISING = (
    "production|produção|prod|customers|clientes|users cannot|usuários não|critical|crítico|crítica|urgent|urgente|"
    "down|parado|parada|security|revenue|receita|orders|pedidos"
)
SOFTER = (
    "intermittent*|intermitente*|sometimes|às vezes|occasional*|ocasional*|staging|homologação|test environment|"
    "ambiente de teste|dev|local|minor|warning|aviso|one user|um usuário|cosmetic|rarely|raramente|nightly|typo|"
    "retry succeeded|development|desenvolvimento|my laptop|meu notebook"
)
