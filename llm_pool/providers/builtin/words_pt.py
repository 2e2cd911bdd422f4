"""Portuguese word lists: what says nothing alone, what asks, and what only praises."""

from __future__ import annotations

from llm_pool.providers.builtin.tables import listed

# Function words after Snowball's list, with contractions of prepositions and some spellings without accents.
STOP = listed("""
    a à ao aos aquela aquelas aquele aqueles aquilo as às até ate através cada com como contra cujo cuja da daquele
    daquela das de dela delas dele deles depois desde dessa desse desta deste disso disto do dos durante e é ela elas
    ele eles em enquanto entre era eram essa essas esse esses esta está estão estar estas estava estavam este estes
    estou eu foi foram for fosse havia há isso isto já lá lhe lhes mais mas me mesma mesmo meu meus meio menos mim minha
    minhas muita muitas muito muitos na não nao nas nela nele nem nenhum nenhuma nessa nesse nesta neste no nos nós
    nossa nossas nosso nossos num numa o onde os ou outra outras outro outros para pela pelas pelo pelos per pois por
    porém porque porquê pra pro quais qual qualquer quando quanto quantos quanta quantas que quê quem se seja sejam sem
    sempre sendo ser será serão seria seu seus si sido só sob sobre sua suas são sou tal talvez também tambem tanto te
    tem têm tenha tenham tenho ter teu tinha toda todas todo todos tu tua tudo última um uma umas uns vai vão você vocês
    voce vos algum alguma alguns algumas algo alguém ainda além antes após aqui ali assim então etc pode podem poder
    fazer faz feito feita feitos feitas ficar fica deve devem
    """) - {"última"}

ASKING = listed("""
    quem quer querem quero queria querendo gostaria preciso precisa precisando procuro procurando procurar procura busco
    buscando buscar busca encontrar encontre ache achar mostre mostrar mostra dê diga saber sei recomende recomendar
    recomendação recomendações indique indicar indicação indicações sugira sugerir sugestão sugestões ajuda ajude ajudar
    favor obrigado obrigada oi olá explique explicar liste listar prefira prefiro preferência preferencialmente alguém
    aceita aceitam aceite coisa coisas tipo tipos pesquisar pesquise desejo vontade comprar
    """)

QUALIFIERS = listed("""
    melhor melhores bom boa bons boas ótimo ótima ótimos ótimas excelente excelentes top legal legais incrível incríveis
    perfeito perfeita ideal ideais popular populares famoso famosa famosos famosas novo nova novos novas recente
    recentes atual atuais atualizado atualizada atualizados atualizadas moderno moderna barato barata baratos baratas
    econômico econômica acessível acessíveis caro cara premium grátis gratis gratuito gratuita gratuitos gratuitas fácil
    facil fáceis simples rápido rápida rápidos rápidas rapido rapida curto curta curtos curtas longo longa completo
    completa completos completas detalhado detalhada oficial oficiais confiável confiáveis seguro segura alta alto baixo
    baixa qualidade pequeno pequena grande grandes velho velha antigo antiga leve leves bonito bonita interessante
    interessantes divertido divertida aprender
    """)

PROFANITY = listed("porra caralho merda foda foda-se fodido puta putaria cacete bosta buceta viado arrombado")
