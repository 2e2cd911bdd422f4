"""The preferences that a wish can state in passing ("recent", "grátis", "em português"), as a table. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Preference:
    """What says it, which words of a candidate speak for and against it, and which number is better which way.

    Words are separated by `|`, compared in lower case and whole, in both languages.
    """

    name: str
    name_pt: str
    says: str
    good: str = ""
    bad: str = ""
    number: str = ""  # a kind of `numbers.NAMES`; "length" counts a candidate's words; "language": see `good`
    better: Literal[-1, 0, 1] = 0
    opposite: str = ""
    of_texts: bool = False  # of how something is written: heard in criteria, for in a query it is a topic


PREFERENCES = (
    Preference(
        "recent", "recente",
        "recent|recently|latest|newest|newer|most recent|up to date|up-to-date|updated|current|fresh|recency|freshness|"
        "recente|recentes|mais novo|mais nova|mais novos|mais novas|atual|atuais|atualizado|atualizada|atualizados|"
        "atualizadas|novidades|este ano|this year|this month|deste ano|recém lançado",
        good="latest|updated|new|brand new|just released|novo|nova|atualizado|atualizada|lançamento|recente",
        bad="outdated|deprecated|legacy|archived|obsolete|discontinued|old|desatualizado|desatualizada|obsoleto|antigo|"
        "antiga",
        number="date", better=1, opposite="old",
    ),
    Preference(
        "old", "antigo", "oldest|older|vintage|antique|mais antigo|mais antiga|antigo|antiga|antigos|antigas|clássico|"
        "clássicos",
        good="vintage|classic|antique|antigo|antiga|clássico", number="date", better=-1, opposite="recent",
    ),
    Preference(
        "official", "oficial",
        "official|official source|official sources|officially|authoritative|first party|primary source|primary sources|"
        "oficial|oficiais|fonte oficial|fontes oficiais|confiável|confiáveis|trusted|trustworthy|reliable|"
        "reliable source",
        good="official|officially|government|ministry|documentation|docs|manual|verified|authoritative|gov|edu|who.int|"
        "oficial|oficiais|governo|ministério|prefeitura|documentação|secretaria|verificado|universidade|university|"
        "gov.br|institute",
        bad="unofficial|rumor|rumour|fan|blog|forum|opinion|não oficial|boato|fórum|opinião|anonymous|random|clickbait",
    ),
    Preference(
        "free", "grátis",
        "free|for free|free of charge|no cost|at no cost|gratis|grátis|gratuito|gratuita|gratuitos|gratuitas|de graça|"
        "sem custo",
        good="free|gratis|grátis|gratuito|gratuita|gratuitos|gratuitas|gratuitamente|de graça|no cost|free of charge|"
        "sem custo|open source|open-source|libre",
        bad="paid|subscription|subscribe|premium|purchase|buy|pago|paga|assinatura|mensalidade|pagos|comprar|trial",
        number="free price", better=-1, opposite="expensive",
    ),
    Preference(
        "cheap", "barato",
        "cheap|cheaper|cheapest|affordable|inexpensive|budget|budget-friendly|low cost|low-cost|low price|lowest price|"
        "good value|value for money|barato|barata|baratos|baratas|mais barato|econômico|econômica|econômicos|em conta|"
        "preço baixo|menor preço|bom preço|custo-benefício|custo benefício|preço acessível|acessível",
        good="cheap|affordable|inexpensive|budget|low-cost|bargain|discount|barato|barata|econômico|econômica|"
        "acessível|promoção",
        bad="expensive|luxury|premium|pricey|high-end|caro|cara|luxo|sofisticado",
        number="price", better=-1, opposite="expensive",
    ),
    Preference(
        "high-end", "sofisticado", "expensive|luxury|luxurious|premium|high-end|high end|luxo|luxuoso|sofisticado|caro|"
        "cara",
        good="luxury|premium|high-end|exclusive|luxo|exclusivo|sofisticado", bad="cheap|budget|barato|econômico",
        number="price", better=1, opposite="cheap",
    ),
    Preference(
        "quick", "rápido",
        "short|shorter|shortest|quick|quicker|quickest|fast|faster|fastest|curto|curta|curtos|curtas|mais curto|rápido|"
        "rápida|rápidos|rápidas|rapido|rapida|pouco tempo|little time",
        good="short|quick|fast|quickly|express|speedy|curto|curta|rápido|rápida|rapidinho|prático|prática|minutos|"
        "ligeiro",
        bad="long|lengthy|slow|hours|overnight|all day|longo|longa|lento|demorado|demorada|horas",
        number="duration", better=-1, opposite="long",
    ),
    Preference(
        "long", "longo", "long|longer|longest|lengthy|longo|longa|longos|longas|mais longo|demorado|demorada",
        good="long|hours|complete|longo|longa|horas|completo", bad="short|quick|brief|curto|curta|rápido",
        number="duration", better=1, opposite="quick",
    ),
    Preference(
        "concise", "conciso", "concise|brief|succinct|short answer|to the point|conciso|concisa|breve|sucinto|sucinta|"
        "direto|direta|resumido|resumida|resposta curta|objetivo|objetiva|conciseness|brevity|concisão|"
        "clareza e concisão",
        number="length", better=-1, opposite="detailed",
    ),
    Preference(
        "detailed", "detalhado",
        "detailed|in depth|in-depth|comprehensive|thorough|complete|detail|details|completeness|detalhado|detalhada|"
        "detalhados|completo|completa|completos|completas|aprofundado|aprofundada|explicação completa|full",
        good="detailed|in-depth|comprehensive|thorough|complete|step by step|full|detalhado|completo|completa|"
        "passo a passo",
        bad="overview|summary|brief|teaser|resumo|resumido|superficial|vague|vago", number="length", better=1,
        opposite="concise",
    ),
    Preference(
        "popular", "popular",
        "popular|popularity|most viewed|most watched|most downloaded|trending|famous|best-selling|best selling|"
        "bestseller|bestsellers|viral|mais visto|mais vistos|mais vistas|mais vendido|mais vendidos|mais baixado|"
        "populares|popularidade|famoso|famosa|famosos|em alta|mais assistidos",
        good="popular|famous|best-selling|bestseller|trending|famoso|famosa|mais vendido|sucesso",
        number="popularity", better=1,
    ),
    Preference(
        "well rated", "bem avaliado",
        "best rated|best-rated|top rated|top-rated|highest rated|well rated|highly rated|good reviews|best reviewed|"
        "well reviewed|good ratings|high rating|high ratings|rating|ratings|quality|high quality|best quality|"
        "melhor avaliado|melhores avaliados|bem avaliado|bem avaliada|bem avaliados|bem avaliadas|mais bem avaliado|"
        "mais bem avaliados|melhor avaliação|boas avaliações|boa avaliação|boa nota|boas notas|qualidade|"
        "alta qualidade|melhores avaliações|best|melhor|melhores",
        good="excellent|best|award|award-winning|top|acclaimed|outstanding|excelente|melhor|premiado|premiada|aclamado|"
        "ótimo",
        bad="poor|bad|terrible|disappointing|mediocre|worst|ruim|péssimo|decepcionante|pior|medíocre|fraco",
        number="rating", better=1,
    ),
    Preference(
        "for beginners", "para iniciantes",
        "beginner|beginners|for beginners|beginner-friendly|beginner friendly|introductory|introduction|basics|"
        "from scratch|novice|newbie|newcomers|iniciante|iniciantes|introdutório|introdução|básico|básica|do zero|"
        "principiante|leigos|para leigos",
        good="beginner|beginners|introduction|introductory|intro|basics|basic|getting started|first steps|from scratch|"
        "for dummies|101|fundamentals|no experience|iniciante|iniciantes|introdução|básico|básica|primeiros passos|"
        "do zero|fundamentos|leigos",
        bad="advanced|expert|experts|experienced|professional|internals|research|phd|avançado|avançada|avançados|"
        "especialistas|experientes|profissional|profissionais|mestrado",
        opposite="advanced",
    ),
    Preference(
        "advanced", "avançado",
        "advanced|expert|experts|expert-level|professionals|senior|avançado|avançada|avançados|especialista|"
        "especialistas|experientes",
        good="advanced|expert|experts|internals|in-depth|professional|deep dive|avançado|avançada|especialistas|"
        "profissional|a fundo",
        bad="beginner|beginners|introduction|basics|getting started|iniciante|iniciantes|introdução|básico|"
        "primeiros passos",
        opposite="for beginners",
    ),
    Preference(
        "easy", "fácil", "easy|easier|easiest|simple|simpler|simplest|simplicity|ease of use|fácil|fáceis|facil|"
        "simples|mais fácil|simplicidade|facilidade",
        good="easy|simple|simply|quick|beginner|effortless|minimal|fácil|fáceis|simples|prático|descomplicado|"
        "poucos ingredientes",
        bad="difficult|hard|complex|complicated|challenging|advanced|difícil|complexo|complexa|complicado|avançado|"
        "trabalhoso",
        opposite="advanced",
    ),
    Preference(
        "in Portuguese", "em português",
        "in portuguese|portuguese|pt-br|em português|em portugues|português|portugues|dublado|dublada|dublados|"
        "brasileiro|brasileira",
        good="pt", number="language",
    ),
    Preference(
        "in English", "em inglês", "in english|english only|english-language|em inglês|em ingles|inglês|ingles",
        good="en", number="language"
    ),
    Preference(
        "open source", "código aberto", "open source|open-source|foss|código aberto|software livre|self-hosted|"
        "self hosted",
        good="open source|open-source|mit|apache|gpl|github|gitlab|self-hosted|código aberto|software livre|foss",
        bad="proprietary|closed source|closed-source|commercial|paid|proprietário|fechado|comercial",
    ),
    Preference(
        "near", "perto", "near|nearby|closest|nearest|close to|close by|walking distance|perto|próximo|próxima|"
        "próximos|mais perto|central",
        good="near|nearby|minutes walk|walking distance|downtown|central|perto|próximo|a pé|centro",
        bad="far|remote|longe|distante",
        number="distance", better=-1,
    ),
    Preference(
        "light", "leve", "light|lightweight|lighter|lightest|portable|leve|leves|mais leve|portátil|portáteis",
        good="light|lightweight|portable|compact|leve|portátil|compacto", bad="heavy|bulky|pesado|pesada|volumoso",
        number="weight", better=-1,
    ),
    Preference(
        "with sources", "com fontes",
        "cites sources|with sources|sources|references|citations|peer reviewed|peer-reviewed|scientific|academic|"
        "evidence|evidence-based|científico|científica|científicos|acadêmico|acadêmicos|com fontes|cita fontes|fontes|"
        "referências|evidências|revisado por pares|fact-based|factual",
        good="doi|journal|peer-reviewed|peer reviewed|study|studies|university|pubmed|arxiv|et al|according to|"
        "research|trial|meta-analysis|systematic review|estudo|estudos|revista|universidade|segundo|pesquisa|ensaio|"
        "meta-análise|revisão sistemática|https|lancet|nature",
        bad="opinion|blog|rumor|i think|maybe|testimonial|influencer|opinião|acho que|talvez|boato|depoimento",
    ),
    Preference(
        "with examples", "com exemplos",
        "example|examples|with examples|with code|sample code|code samples|practical|hands-on|exemplo|exemplos|"
        "com exemplos|com código|prático|prática|práticos|mão na massa",
        good="example|examples|for example|e.g|for instance|code|snippet|hands-on|practice|project|projects|exercises|"
        "exemplo|exemplos|por exemplo|código|exercícios|projeto|projetos|na prática|prático",
        bad="theory|theoretical|teoria|teórico|teórica",
    ),
    Preference(
        "for children", "para crianças",
        "for kids|for children|kids|kid-friendly|family|family-friendly|child-friendly|infantil|infantis|para crianças|"
        "crianças|família",
        good="kids|children|child|family|family-friendly|all ages|educational|infantil|crianças|família|"
        "livre para todos|educativo",
        bad="adults only|adult|violence|violent|gore|horror|explicit|18|nudity|adulto|adultos|violência|violento|"
        "terror|explícito",
    ),
    Preference(
        "polite", "educado",
        "polite|politeness|courteous|friendly|empathetic|empathy|kind|professional tone|respectful|educado|educada|"
        "gentil|cordial|empático|empatia|respeitoso|cordialidade|tom profissional",
        good="please|thank|thanks|thank you|sorry|apologize|apologies|happy to|glad|understand|appreciate|por favor|"
        "obrigado|obrigada|desculpe|lamentamos|prazer|compreendo|entendo|agradecemos|agradeço",
        bad="stupid|idiot|dumb|whatever|your problem|your fault|shut up|idiota|burro|problema seu|sua culpa|se vire|"
        "tanto faz",
    ),
    Preference(
        "safe", "seguro", "safe|safest|safety|secure|security|without risk|low risk|reversible|seguro|segura|segurança|"
        "baixo risco|reversível",
        good="backup|back up|test|tested|verify|rollback|staging|dry run|parameterized|encrypted|hash|validate|"
        "read-only|safe|secure|testado|verificar|homologação|criptografado|validar|parametrizada|seguro|"
        "cópia de segurança|cinto|certificado|certified",
        bad="delete|drop|truncate|rm|force|disable|ignore|plaintext|plain text|eval|0777|chmod 777|apagar|deletar|"
        "forçar|desativar|desabilitar|texto puro|ignorar|unsafe|dangerous|perigoso|insecure|inseguro",
    ),
    Preference(
        "in stock", "em estoque", "in stock|available|available now|availability|em estoque|disponível|disponíveis|"
        "pronta entrega",
        good="in stock|available|ships today|em estoque|disponível|pronta entrega",
        bad="out of stock|sold out|unavailable|backorder|esgotado|esgotada|indisponível|sem estoque|fora de estoque",
    ),
    Preference(
        "specific", "específico",
        "specific|specifics|specificity|concrete|precise|precision|exact|quantified|has numbers|with numbers|numbers|"
        "figures|gives numbers|specific numbers|específico|específica|específicos|concreto|concreta|preciso|precisa|"
        "precisão|com números|números|dados concretos|cifras",
        bad="various|several|some|many|things|stuff|somehow|etc|soon|vários|várias|alguns|algumas|muitos|coisas|"
        "em breve",
        number="figures", better=1, of_texts=True,
    ),
    Preference(
        "gives the cause", "diz a causa",
        "names the cause|name the cause|states the cause|gives the cause|explains the cause|cause|causes|root cause|"
        "reason|reasons|gives a reason|explains why|says why|states why|cita a causa|diz a causa|nomeia a causa|"
        "explica a causa|causa|causas|motivo|motivos|razão|explica o motivo|explica por quê|diz por quê",
        good="because|because of|due to|caused by|owing to|as a result of|result of|since|thanks to|after|root cause|"
        "porque|por causa|devido a|devido à|devido ao|causado por|causada por|provocado por|provocada por|em razão de|"
        "por conta|pois|depois de|após|graças",
        of_texts=True,
    ),
    Preference(
        "plain", "linguagem simples",
        "no jargon|plain language|plain english|simple language|simple words|easy to read|readable|clear|clarity|"
        "sem jargão|linguagem simples|palavras simples|clareza|explicação clara|fácil de ler|acessível a todos",
        good="in other words|simply put|that is|ou seja|em outras palavras|isto é",
        bad="leverage|synergy|synergies|paradigm|holistic|utilize|stakeholders|idempotent|asynchronous|orthogonal|"
        "heuristic|alavancar|sinergia|paradigma|holístico|stakeholders|outrossim|destarte|ademais|idempotente",
        number="word length", better=-1, of_texts=True,
    ),
    Preference(
        "sober", "sóbrio", "no hype|sober|neutral|objective tone|balanced|neutral tone|sóbrio|neutro|neutra|imparcial|"
        "equilibrado|tom neutro",
        bad="amazing|incredible|unbelievable|shocking|revolutionary|best ever|mind blowing|game changer|incrível|"
        "chocante|imperdível|revolucionário|inacreditável|espetacular",
        of_texts=True,
    ),
    Preference(
        "free shipping", "frete grátis", "free shipping|free delivery|frete grátis|frete gratuito|entrega grátis",
        good="free shipping|free delivery|frete grátis|frete gratuito|entrega grátis",
    ),
)  # fmt: skip

# Said with "ignore" and its like, these ask the judge for a favour: a candidate that has any is not to be trusted.
PLEADING = (
    "ignore previous", "ignore all previous", "ignore the previous", "ignore all other", "ignore the other",
    "ignore your",
    "ignore all instructions", "choose me", "pick me", "rank me", "rank this first", "select me", "choose this",
    "pick this",
    "disregard the", "disregard all", "disregard previous", "you must choose", "winner_id", "winner id",
    "system prompt",
    "ignore as instruções", "ignore todas", "ignore as outras", "ignore os outros", "desconsidere", "escolha-me",
    "escolha este", "escolha esta", "me escolha", "instruções anteriores", "best answer ever", "i am the best",
)  # fmt: skip
REFUSING = (
    "i don't know", "i do not know", "i can't help", "i cannot help", "as an ai", "no idea", "not sure",
    "i can't answer",
    "não sei", "não posso ajudar", "não faço ideia", "como uma ia", "não consigo responder", "lorem ipsum",
)  # fmt: skip
