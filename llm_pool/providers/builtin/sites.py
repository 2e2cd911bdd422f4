"""Kinds of sites by the words that ask for them, and sites by their names. Data, and two look-ups."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llm_pool.providers.builtin.tables import listed, phrases
from llm_pool.providers.builtin.text import Language, words

if TYPE_CHECKING:
    from collections.abc import Mapping

# words that ask for the kind | the kind in English | in Portuguese
_KINDS = """
video videos vídeo vídeos watch assistir clip clipe youtube documentary documentário|video sites|sites de vídeo
movie movies film films series filme filmes série séries cinema anime streaming|film and series databases|sites \
de filmes e séries
music song songs album lyrics playlist música músicas canção álbum cifra letra jazz rock|music sites|sites de música
podcast podcasts|podcast directories|diretórios de podcasts
recipe recipes cook cooking bake baking dinner dessert cake receita receitas cozinhar bolo sobremesa \
jantar|recipe sites|sites de receitas
paper papers research study studies journal preprint thesis academic scientific artigo artigos estudo estudos \
tese científico \
científicos acadêmico acadêmicos pesquisas|paper archives|repositórios de artigos científicos
code github library repository source snippet api framework python javascript typescript rust java golang \
código biblioteca \
programação docker kubernetes sql algorithm algoritmo|code hosting and documentation|repositórios de código e \
documentação
error exception bug traceback stacktrace erro exceção|developer question sites|fóruns de programação
buy price prices cheap shop store deal discount purchase comprar preço preços barato barata loja promoção \
desconto oferta \
notebook laptop smartphone celular headphones shoes \
sneakers fone fones tênis ténis sapatos|shops and price comparison|lojas e comparadores de preços
review reviews comparison versus vs avaliação avaliações análise resenha comparativo|review sites|sites de avaliações
news latest headlines breaking notícia notícias manchetes election eleição eleições|news sites|sites de notícias
hike hikes hiking trail trails trilha trilhas \
travel trip hotel hotels flight flights itinerary vacation viagem viagens hotéis voo voos roteiro passagem \
pousada praia \
turismo|travel sites|sites de viagem
restaurant restaurants restaurante restaurantes museum museu near perto map mapa|maps and local guides|mapas e \
guias locais
course courses tutorial tutorials learn lesson curso cursos aula aulas aprender tutoriais|course \
platforms|plataformas de cursos
job jobs vacancy career salary emprego empregos vaga vagas salário|job boards|sites de vagas
image images photo photos picture wallpaper foto fotos imagem imagens|image libraries|bancos de imagens
book books novel ebook livro livros romance|book sites|sites de livros
symptom symptoms disease treatment medicine health sintoma sintomas doença tratamento remédio saúde|health \
institutions|\
instituições de saúde
law tax legislation visa passport government lei leis imposto visto passaporte governo inss irpf|government \
sites|sites do governo
dataset datasets statistics data estatística estatísticas dados|open data portals|portais de dados abertos
apartment rent house real-estate apartamento aluguel imóvel casa|property sites|portais de imóveis
game games gaming jogo jogos|game sites|sites de jogos
history biography definition meaning história biografia significado definição|encyclopedias|enciclopédias
weather forecast previsão|weather services|serviços de meteorologia
used second-hand usado usada usados seminovo|classified ads|classificados
forum discussion opinions fórum discussão opiniões reddit|forums|fóruns
"""
_NAMED: Mapping[str, str] = {
    **{
        name: f"{name}.com"
        for name in phrases("""
            youtube|vimeo|github|gitlab|reddit|amazon|ebay|etsy|stackoverflow|netflix|spotify|soundcloud|
            imdb|letterboxd|linkedin|airbnb|booking|tripadvisor|globo|bbc|udemy|kaggle|medium|pinterest|
            goodreads|tiktok|instagram
            """)
    },
    "wikipedia": "wikipedia.org", "wikipédia": "wikipedia.org", "arxiv": "arxiv.org",
    "pubmed": "pubmed.ncbi.nlm.nih.gov", "scielo": "scielo.br", "google scholar": "scholar.google.com",
    "stack overflow": "stackoverflow.com", "hacker news": "news.ycombinator.com",
    "mercado livre": "mercadolivre.com.br", "mercadolivre": "mercadolivre.com.br", "magalu": "magazineluiza.com.br",
    "olx": "olx.com.br", "uol": "uol.com.br", "folha": "folha.uol.com.br", "coursera": "coursera.org",
    "hugging face": "huggingface.co", "steam": "store.steampowered.com",
    "twitch": "twitch.tv",
}  # fmt: skip
_DOMAIN = re.compile(r"(?:[a-z0-9\-]{1,63}\.){1,4}[a-z]{2,18}")
_TOP_LEVEL = listed("""
    com org net edu gov io dev ai app co br pt uk us de fr es eu it nl ca au in jp info tv me xyz ly shop store blog
    site online news wiki cloud tech
    """)
_MOST = 6


def _table(rows: str) -> tuple[tuple[frozenset[str], str, str], ...]:
    parsed = [row.split("|") for row in rows.replace("\\\n", "").strip().splitlines()]
    return tuple((frozenset(asking.split()), english, portuguese) for asking, english, portuguese in parsed)


KINDS = _table(_KINDS)
# Words that name the kind of thing ("recipe", "vídeo") rather than its topic.
KIND_WORDS = listed("""
    video videos vídeo vídeos recipe recipes receita receitas tutorial tutorials tutoriais course courses curso cursos
    paper papers artigo artigos review reviews podcast podcasts documentary documentário book books livro livros guide
    guia news notícias song songs música músicas movie movies filme filmes article articles photos fotos itinerary
    roteiro aula aulas dataset datasets library biblioteca jobs vagas
    """)


def named_sites(text: str) -> list[str]:
    """The domains that a text names, itself or by a name that everybody knows."""
    found = [word for word in words(text) if _DOMAIN.fullmatch(word) and word.rpartition(".")[2] in _TOP_LEVEL]
    spaced = f" {' '.join(words(text[:4000]))} "
    found += [domain for name, domain in _NAMED.items() if f" {name} " in spaced]
    return list(dict.fromkeys(site.removeprefix("www.") for site in found))[:_MOST]


def kinds_of_sites(text: str, lang: Language) -> list[str]:
    """The kinds of sites that the words of a text ask for, in its language; most words first."""
    said = set(words(text[:4000]))
    scored = [(len(said & asking), portuguese if lang == "pt" else english) for asking, english, portuguese in KINDS]
    return [kind for count, kind in sorted(scored, key=lambda each: -each[0]) if count][:_MOST]
