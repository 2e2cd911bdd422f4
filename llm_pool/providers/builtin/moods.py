"""Words that colour a text, and words that call for a flag, in English and Portuguese. Data only.

A flag needs as many different words as its row says: one "election" makes a text political, one "shot" not violent.
"""

from __future__ import annotations

MOODS = (
    ("joyful", "alegre", ("happy joy joyful celebrate celebration celebrates delight delighted love lovely wonderful "
    "fun smile laugh laughter cheerful festive alegre alegria feliz felicidade festa comemorar comemoração celebra "
    "diversão divertido sorriso risos amor maravilhoso maravilhosa animado animada")),
    ("sad", "triste", ("sad sadness grief mourning mourn loss lost died death tears cry crying lonely sorrow tragedy "
    "tragic farewell triste tristeza luto perda perdeu morreu morte lágrimas chorar chorou solidão saudade tragédia "
    "trágico despedida")),
    ("angry", "indignado", ("angry anger furious outrage outraged rage scandal unacceptable disgusting hate protest "
    "shame raiva furioso indignação indignado revolta escândalo inaceitável absurdo ódio protesto vergonha")),
    ("tense", "tenso", ("fear afraid danger dangerous threat crisis war attack emergency panic alarm warning risk "
    "suspense terror medo perigo perigoso ameaça crise guerra ataque emergência pânico alarme alerta risco tenso "
    "tensão suspense")),
    ("calm", "calmo", ("calm peace peaceful quiet gentle relax relaxing serene slow silence meditation breathe soft "
    "calma calmo paz tranquilo tranquila tranquilidade silêncio sereno relaxar relaxante suave meditação respirar")),
    ("hopeful", "esperançoso", ("hope hopeful promising improve improvement progress breakthrough success recovery win "
    "won opportunity esperança promissor promissora melhora melhorar avanço avanços sucesso recuperação conquista "
    "venceu oportunidade")),
    ("nostalgic", "nostálgico", ("remember memories childhood nostalgia nostalgic grandmother grandfather lembro "
     "lembrança lembranças memória memórias infância nostalgia avó avô antigamente saudades")),
    ("inspiring", "inspirador", ("inspire inspiring dream dreams courage overcome believe journey brave inspirador "
    "inspiradora inspirar sonho sonhos coragem superar superação acreditar jornada")),
    ("humorous", "engraçado", ("joke jokes funny hilarious comedy silly ridiculous lol prank humor piada piadas "
    "engraçado engraçada hilário comédia ridículo kkk")),
    ("instructive", "instrutivo", ("how guide tutorial steps step learn install configure mix bake add stir example "
    "explains tutorial guia passo passos aprenda aprender instalar configure misture asse adicione exemplo explica "
    "receita")),
    ("enthusiastic", "entusiasmado", ("amazing incredible awesome fantastic exciting excited best offer exclusive "
    "unmissable incrível fantástico fantástica espetacular imperdível empolgante sensacional exclusivo promoção")),
    ("serious", "sério", ("report according government court law study researchers analysis official policy economy "
    "relatório segundo governo tribunal lei estudo pesquisadores análise oficial política economia")),
)  # fmt: skip

# Flag, how many different words it takes (of advertising more, for its words are everyday ones), the words.
FLAGS = (
    ("violence", 2, ("kill killed killing kills murder murdered murders stab stabbed stabbing shoot shooting gun guns "
    "gunman blood bloody weapon weapons bomb bombing bombed assault assaulted attack attacked attacks torture war "
    "massacre wounded corpse fight terrorist violence violent beaten rifle knife dead killer matar matou mataram "
    "morto mortos assassinato assassinado assassino esfaqueado facada tiro tiros tiroteio sangue arma armas bomba "
    "bombardeio agressão agrediu ataque ataques tortura guerra massacre feridos cadáver violência violento "
    "terrorista espancado homicídio baleado")),
    ("violence", 1, ("murder murdered massacre stabbed torture tortured gunman homicide assassinato assassinado "
    "massacre esfaqueado tiroteio homicídio baleado beheaded espancado")),
    ("sexual", 1, ("sex sexual porn pornography erotic erotica nude nudity naked orgasm nsfw fetish prostitution sexo "
    "sexuais pornô pornografia erótico erótica nudez nua pelada orgasmo fetiche prostituição")),
    ("drugs", 1, ("cocaine heroin meth methamphetamine marijuana cannabis weed lsd ecstasy mdma opioid opioids "
    "fentanyl drugs overdose crack hallucinogen trafficker cocaína heroína maconha ecstasy lsd opioides drogas "
    "overdose tráfico traficante entorpecentes")),
    ("gambling", 1, ("casino casinos gambling gamble betting bets bet wager poker roulette blackjack slots jackpot "
    "sportsbook cassino cassinos aposta apostas apostar bets roleta caça-níqueis jackpot bingo tigrinho pôquer")),
    ("hate", 1, ("racist racism nazi nazis xenophobia xenophobic homophobic homophobia antisemitic antisemitism "
    "supremacist slur bigot racista racismo nazista nazismo xenofobia xenofóbico homofobia homofóbico antissemita "
    "supremacista")),
    ("self_harm", 1, "suicide suicidal self-harm self-injury suicídio suicida automutilação autolesão suicidar"),
    ("medical", 2, ("doctor doctors patient patients disease diagnosis symptom symptoms treatment therapy surgery "
    "medicine medication dose dosage drug vaccine vaccines hospital clinical cancer diabetes infection pain blood "
    "health prescription médico médica médicos paciente pacientes doença diagnóstico sintoma sintomas tratamento "
    "terapia cirurgia remédio medicamento medicamentos dose vacina vacinas hospital clínico câncer diabetes "
    "infecção dor saúde receita")),
    ("medical", 1, ("diagnosis ibuprofen paracetamol antibiotic antibiotics chemotherapy insulin dosage diagnóstico "
    "ibuprofeno dipirona antibiótico antibióticos quimioterapia insulina posologia hypertension hipertensão")),
    ("political", 1, ("election elections senator senate congress president parliament minister candidate politician "
    "campaign-trail vote voters republican democrat referendum legislation government partisan prime-minister "
    "eleição eleições senador senado congresso presidente parlamento ministro deputado deputados política político "
    "políticos voto eleitores eleitor referendo governo prefeito governador partido")),
    ("advertising", 3, ("buy offer discount sale off order now free shipping deal limited promo code coupon subscribe "
    "today exclusive sponsored price guarantee click call save hurry compre oferta desconto promoção frete grátis "
    "cupom aproveite assine hoje agora exclusivo patrocinado garantia clique ligue economize imperdível corra "
    "parcelas estoque preço")),
    ("advertising", 1, "sponsored advertisement publi patrocinado publicidade anúncio #ad"),
)  # fmt: skip
