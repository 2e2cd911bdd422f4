"""Portuguese words that searchers use for one another, as a table of groups."""

from __future__ import annotations

from llm_pool.providers.builtin.synonyms_en import table

_GROUPS = """
barato|econômico|acessível|em_conta barata|econômica|acessível|em_conta baratos|econômicos|acessíveis caro|premium|luxo
grátis|gratuito|de_graça|free gratuita|grátis|de_graça melhor|top|recomendado melhores|top|recomendados
rápido|veloz|ágil rápida|veloz|prática rápidas|práticas fácil|simples|descomplicado fáceis|simples
notebook|laptop|ultrabook computador|pc|desktop celular|smartphone|telefone fone|fones|headset|auscultadores
fones|fone|headphones tv|televisão|televisor câmera|câmara|máquina_fotográfica bicicleta|bike|ciclismo
carro|automóvel|veículo carros|automóveis|veículos tênis|sapato|calçado casaco|jaqueta|agasalho mochila|bolsa
sofá|estofado apartamento|apê|imóvel casa|residência|lar aluguel|alugar|locação hotel|hospedagem|pousada|hostel
hotéis|hospedagens|pousadas voo|voos|passagem_aérea passagem|passagens|bilhete viagem|viagens|turismo|passeio
viajar|viagem|turismo roteiro|itinerário|percurso restaurante|restaurantes|onde_comer
receita|receitas|como_fazer|modo_de_preparo receitas|receita|pratos prato|refeição jantar|ceia almoço|refeição
café_da_manhã|desjejum sobremesa|doce bolo|bolos pão|pães frango|galinha carne|carnes feijão|feijoada
vegano|à_base_de_plantas vegana|à_base_de_plantas vegetariano|sem_carne saudável|nutritivo|fit saudáveis|nutritivas|fit
treino|exercício|exercícios|musculação exercício|exercícios|treino dieta|alimentação|nutrição
emagrecer|perder_peso|emagrecimento médico|doutor remédio|medicamento|fármaco doença|enfermidade sintomas|sinais
tratamento|terapia ansiedade|estresse dormir|sono|insônia bebê|recém-nascido crianças|infantil|criança
criança|crianças|infantil cachorro|cão|cães gato|gatos|felino filme|filmes|cinema filmes|filme|cinema
série|séries|seriado música|músicas|canção|som disco|álbum violão|guitarra show|concerto|apresentação
livro|livros|leitura livros|livro|leitura romance|ficção artigo|artigos|publicação artigos|artigo|publicações
notícias|notícia|novidades|manchetes pesquisa|estudo|estudos científico|acadêmico científicos|acadêmicos
avaliação|resenha|análise|review comparação|comparativo|versus guia|tutorial|passo_a_passo|manual
tutorial|tutoriais|guia|passo_a_passo curso|cursos|aula|aulas aula|aulas|curso iniciante|iniciantes|básico|introdução
iniciantes|iniciante|básico|introdução avançado|especialista exemplo|exemplos|modelo vídeo|vídeos|vídeo_aula
vídeos|vídeo|vídeo_aulas foto|fotos|imagem|fotografia baixar|download|descarregar programa|software|aplicativo|app
aplicativo|aplicativos|app|programa biblioteca|pacote|framework código|código_fonte|programação erro|bug|falha|problema
consertar|corrigir|reparar|resolver instalar|instalação|configuração configurar|configuração|ajustes
desempenho|performance|velocidade teste|testes|testar banco_de_dados|database|sql programação|programar|desenvolvimento
programador|desenvolvedor|dev segurança|cibersegurança|proteção criptografia|encriptação inteligência_artificial|ia
aprendizado_de_máquina|machine_learning dados|informações preço|preços|valor|custo desconto|promoção|oferta|cupom
promoção|promoções|oferta|desconto comprar|compra|adquirir vender|venda loja|lojas|varejo emprego|empregos|vaga|trabalho
vaga|vagas|emprego salário|remuneração currículo|cv empresa|empresas|negócio|companhia imposto|impostos|tributo
empréstimo|crédito|financiamento investimento|investimentos|investir|aplicação ações|bolsa|bolsa_de_valores
seguro|seguros lei|leis|legislação eleição|eleições|votação clima|mudança_climática|aquecimento_global
energia|eletricidade solar|fotovoltaica renovável|limpa|sustentável bateria|baterias elétrico|elétricos
elétrica|elétricas espaço|astronomia planeta|planetas história|histórico guerra|conflito museu|museus|exposição
praia|praias|litoral montanha|montanhas|serra trilha|trilhas|caminhada jardim|jardinagem planta|plantas móveis|mobília
limpeza|limpar cozinha|culinária café|espresso vinho|vinhos cerveja|cervejas jogo|jogos|game jogos|jogo|games
brinquedo|brinquedos presente|presentes|lembrança casamento|matrimônio aniversário|festa escola|colégio|educação
faculdade|universidade estudante|estudantes|aluno professor|docente idioma|língua tradução|traduzir matemática|cálculo
física|ciência estatística|análise_de_dados gráfico|gráficos mapa|mapas tempo|previsão relaxante|calma|tranquila
documentário|documentários comédia|engraçado|humor terror|horror|assustador suspense|thriller leve|portátil
sem_fio|bluetooth|wireless usado|seminovo|segunda_mão oficial|verificado recente|novo|atual|atualizado
recentes|novos|atuais|atualizados próximo|perto remoto|home_office|teletrabalho silencioso|quieto pequeno|compacto|mini
grande|amplo resistente|durável benefícios|vantagens riscos|perigos|efeitos_colaterais causas|motivos
dicas|conselhos|truques ideias|inspiração|dicas lista|relação modelo|modelos|template reunião|conferência
tela|monitor|display teclado|teclados impressora|impressoras roteador|wi-fi|wifi jovens|adolescentes
idosos|terceira_idade mulheres|feminino homens|masculino dor|dores costas|coluna|lombar cabelo|cabelos pele|dermatologia
inglês|língua_inglesa
"""

SYNONYMS = table(_GROUPS)
