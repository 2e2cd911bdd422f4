"""How goals on web sites are reached: the words of a goal and the steps that they call for. Data only.

`{goal}`, `{site}`, `{terms}`, `{fields}`, `{values}` and `{period}` stand for the input's own words. A step that needs
`{values}` or `{period}` is left out where the goal names none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Both: TypeAlias = tuple[str, str]  # in English, in Portuguese


@dataclass(frozen=True, slots=True)
class Tactic:
    """Where the goal has one of `says` (see `recovery.told`), these steps come at `place` in the plan, lowest first."""

    says: str
    place: int
    steps: tuple[tuple[str, Both, Both], ...] = ()  # action, target, why
    caution: Both = ("", "")


ALWAYS_CAUTION: Both = (
    "Obey the terms of use and robots.txt of {site}; a pause of 2 seconds or more between pages.",
    "Respeite os termos de uso e o robots.txt de {site}; pausa de 2 segundos ou mais entre páginas.",
)
OPEN: tuple[str, Both, Both] = (
    "open",
    ("{site}", "{site}"),
    ("where the goal is: {goal}", "onde está o objetivo: {goal}"),
)
SEARCH: tuple[str, Both, Both] = (
    "search", ("search field: {terms}", "campo de busca: {terms}"), ("narrows {site} down to what is sought",
    "restringe {site} ao que se procura"),
)  # fmt: skip
EXTRACT: tuple[str, Both, Both] = (
    "extract", ("{fields}", "{fields}"), ("it is the goal", "é o objetivo"),
)  # fmt: skip

# To get around an obstacle is never planned, whatever else the goal says.
AROUND = (
    "bypass*|circumvent*|get around|get past|getting around|contornar|contorne|burlar|burle|driblar|drible|crack|"
    "without paying|sem pagar|solve the captcha|resolver o captcha|break the captcha|quebrar o captcha"
)
OBSTACLES = (
    "captcha*|recaptcha|paywall*|blocked|bloqueado|bloqueada|bloqueio|cloudflare|access denied|acesso negado|ban|"
    "banned|assinantes|subscribers only|subscriber only|members only|só para assinantes|second factor|2fa"
)
# Said in one clause with an obstacle, these make it one that may come, or one that is not there.
CONDITIONS = (
    "if|when|whenever|in case|unless|may|might|could|can appear|sometimes|possibly|occasionally|caso|quando|pode|podem|"
    "poderá|talvez|às vezes|eventualmente|se aparecer|se houver|se surgir|se pedir|se o|se a|se for|should a|should it|"
    "stop at|pare no|pare em|stop before|avoid|evite|evitar|watch out|beware|cuidado|any captcha|any paywall"
)
ABSENT = (
    "no captcha|no paywall|no login|without captcha|without a captcha|without paywall|without a paywall|sem captcha|"
    "sem paywall|sem login|no log in|do not|don't|never|não tente|nunca"
)
OPEN_ONLY = "without logging in|without login|without an account|sem fazer login|sem login|sem entrar|sem conta"
LOGIN = (
    "log in|login|log into|logging in|sign in|signin|my account|my order*|my profile|dashboard|inbox|entrar|logar|"
    "minha conta|meus pedidos|meu perfil|senha|password|fazer login|área do cliente|invoice*|fatura*|boleto|extrato|"
    "statement|matrícula"
)
BLOCKED = Tactic(
    "", 90,
    (("stop", ("the block on {site}", "o bloqueio em {site}"),
      ("a captcha, paywall, log-in or block is never got around; ask a person",
      "captcha, paywall, login ou bloqueio nunca se contorna; peça a uma pessoa")),),
    ("Do not get around a captcha, paywall, log-in or block of {site}.",
    "Não contorne captcha, paywall, login ou bloqueio de {site}."),
)  # fmt: skip
MAY_BLOCK = Tactic(
    "", 95,
    (("stop", ("only if a captcha, paywall or log-in page appears", "só se aparecer captcha, paywall ou login"),
      ("it is never got around; a person decides", "nunca se contorna; uma pessoa decide")),),
    ("A captcha, paywall or log-in may appear on {site}: stop there and ask a person.",
     "Pode aparecer captcha, paywall ou login em {site}: pare ali e peça a uma pessoa."),
)  # fmt: skip

TACTICS: tuple[Tactic, ...] = (
    Tactic(
        "cookie*|consent|banner|popup|pop-up", 5,
        (("click", ("the button that refuses optional cookies", "o botão que recusa cookies opcionais"),
        ("the page lies below it", "a página está por baixo")),),
    ),
    Tactic(
        LOGIN, 10,
        (("login", ("the log-in page of {site}, with credentials given by the user",
        "a página de login de {site}, com credenciais dadas pelo usuário"),
          ("the goal lies behind a log-in", "o objetivo exige login")),),
        ("Log in only with the user's own credentials; stop at a second factor or a captcha.",
         "Entre só com as credenciais do próprio usuário; pare em segundo fator ou captcha."),
    ),
    Tactic(
        "category|categories|section|menu|categoria|categorias|seção|aba|tab|department|departamento", 15,
        (("click", ("the section for {terms}", "a seção de {terms}"), ("leads nearer than the front page",
        "leva mais perto que a página inicial")),),
    ),
    Tactic(
        "*", 30,
        (("filter", ("{values}", "{values}"),
          ("leaves only what meets the conditions", "deixa só o que cumpre as condições")),),
    ),
    Tactic(
        "*", 31,
        (("filter", ("date: {period}", "data: {period}"), ("only that period counts", "só esse período conta")),),
    ),
    Tactic(
        "cheapest|lowest price|lowest fare|price low to high|by price|lowest prices|mais barat*|menor preço|"
        "menores preços|por preço|pelo preço", 40,
        (("sort", ("by price, lowest first", "por preço, menor primeiro"), ("the cheapest come first",
        "os mais baratos vêm primeiro")),),
    ),
    Tactic(
        "latest|newest|most recent|newest first|by date|by newest|by year|recent|recently|mais recente*|mais novo*|"
        "últimas|últimos|recente*|por data|por ano|pela data", 41,
        (("sort", ("by date, newest first", "por data, mais novos primeiro"), ("the newest come first",
        "os mais novos vêm primeiro")),),
    ),
    Tactic(
        "best rated|top rated|highest rated|best|most popular|by rating|by popularity|by votes|by stars|best-selling|"
        "top|melhor avaliad*|melhores|mais popular*|mais vendid*|por avaliação|por nota|por popularidade|"
        "mais votad*", 42,
        (("sort", ("by rating or popularity, best first", "por avaliação ou popularidade, melhores primeiro"),
        ("the best come first", "os melhores vêm primeiro")),),
    ),
    Tactic(
        "infinite scroll*|scroll*|feed|timeline|rolagem|rolar|lazy|load more|carregar mais|posts|comments|comentários",
        50,
        (("scroll", ("to the end of the list, until nothing new comes, at most 20 times",
        "até o fim da lista, até nada novo vir, no máximo 20 vezes"),
          ("{site} loads more only when scrolled", "{site} só carrega mais ao rolar")),
         ("wait", ("until the new entries are there, 10 seconds at most",
         "até as novas entradas aparecerem, no máximo 10 segundos"),
          ("what has not loaded cannot be read", "o que não carregou não pode ser lido"))),
        ("A list without an end needs a limit: stop after 20 rounds or where entries repeat.",
        "Lista sem fim precisa de limite: pare após 20 rodadas ou quando repetir."),
    ),
    Tactic(
        "all|every|each|list*|pages|todos|todas|cada|páginas|lista*|listar|catalog*|catálogo|collect|coletar|compare|"
        "comparar|results|resultados|export|jobs|vagas|first|primeir*|pagination|paginação", 60,
        (("paginate", ("the next page, until there is none or it has been seen, at most 20 pages",
        "a próxima página, até não haver outra, no máximo 20 páginas"),
          ("the list goes on there", "a lista continua lá")),),
        ("Stop at 20 pages and at the first 429 or 403 of {site}.", ("Pare em 20 páginas e no primeiro 429 ou 403 de "
        "{site}.")),
    ),
    Tactic(
        "download*|pdf|csv|file|files|baixar|arquivo*|report|relatório|dataset|attachment|anexo|planilha|spreadsheet|"
        "export*|manual|edital", 70,
        (("click", ("the download link for {terms}", "o link de download de {terms}"), ("it gives the file itself",
        "dá o próprio arquivo")),
         ("wait", ("until the file is complete, 60 seconds at most", "até o arquivo completar, no máximo 60 segundos"),
          ("half a file is none", "meio arquivo não serve"))),
        ("Check type and size of a file before it is kept; run nothing.",
        "Confira tipo e tamanho do arquivo antes de guardar; não execute nada."),
    ),
    Tactic(
        "buy|order|checkout|purchase|book|reserve|pay|comprar|compra|reservar|pagar|encomendar|subscribe|assinar|"
        "finalizar|cart|carrinho", 80,
        (("stop", ("before the payment or booking page", "antes da página de pagamento ou reserva"),
          ("a person confirms what costs money", "uma pessoa confirma o que custa dinheiro")),),
        ("Never pay, order or book without the user's confirmation.", ("Nunca pague, peça ou reserve sem confirmação "
        "do usuário.")),
    ),
    Tactic(
        "form*|fill|submit|apply|register|sign up|contact|cadastr*|preencher|formulário|inscrever|inscrição|candidatar|"
        "enviar|message|mensagem", 81,
        (("click", ("the form for {terms}", "o formulário de {terms}"), ("the goal is reached through it",
        "o objetivo passa por ele")),
         ("stop", ("before the form is sent", "antes de enviar o formulário"),
         ("a person checks what is sent in their name", "uma pessoa confere o que vai em seu nome"))),
        ("Fill in only what the user gave; invent no personal data.", ("Preencha só o que o usuário deu; não invente "
        "dados pessoais.")),
    ),
    Tactic(
        "email*|phone*|address*|people|profiles|contacts|telefone*|endereço*|e-mails|perfis|contatos|personal data|"
        "dados pessoais|cpf|members|users", 99, (),
        ("Personal data: take only what the goal needs and what may lawfully be used.",
        "Dados pessoais: só o necessário ao objetivo e permitido por lei (LGPD)."),
    ),
    Tactic(
        "price*|preço*|stock|estoque|availab*|dispon*|flight*|voo*|hotel*|hotéis", 99, (),
        ("Prices and availability change: note the time at which they were read.",
        "Preços e disponibilidade mudam: anote a hora da leitura."),
    ),
)  # fmt: skip
