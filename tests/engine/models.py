"""Tiny language models with a known answer, made from nothing: each a GGUF file of a megabyte or less.

A model that always says the same is a chain of tokens: attention and feed-forward layers are all zeros, so that what
comes in at a position goes out unchanged; the embedding of a token is its own number as a one-hot vector, and the
output matrix is a table that says for each token which one comes next. After the marker that ends a prompt comes the
first piece of the answer, after that the second, and after the last the end. Hence no piece may occur twice.

The other kind has random weights: real arithmetic, and gibberish without end.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np
from gguf import TokenType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

TEMPLATE = Path(__file__).with_name("chat.jinja")
THOUGHTS = """\
{%- if message['reasoning_content'] %}
{{- '<think>\\n' + message['reasoning_content'] + '\\n</think>\\n\\n' }}
{%- endif %}"""

# What ends a prompt: a question was asked, or the result of a tool call was told.
ASKED = "<|assistant|>"
TOLD = "<|answer|>"
MARKERS = ("<|system|>", "<|user|>", ASKED, TOLD, "<|tool|>", "<|end|>")

CONTEXT = 4096  # tokens
CERTAIN = 20.0  # a logit that leaves the others no chance, at any temperature that is used
CHARACTERS = 95  # the printable ones of ASCII
BLANK = "▁"  # how this kind of vocabulary writes a space
END = 2


@dataclass(frozen=True, slots=True)
class Model:
    """`says`: the answer after each marker; empty: gibberish. `thinks`: its template has a place for thoughts, and the
    engine then lets it think before an answer that has to fit a schema, too.
    """

    name: str
    says: Mapping[str, str]
    thinks: bool = False


def _call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


TEXT = "Small models answer quickly and always the same."
SUM = "Together that makes five."
THOUGHT = "Adding needs a tool."
ADD = '{"a": 2, "b": 3}'
MULTIPLY = '{"x": 4, "y": 6}'

CHAIN = Model("chain", {ASKED: TEXT})
TOOL = Model("tool", {ASKED: _call("add", ADD), TOLD: SUM})
TOOLS = Model("tools", {ASKED: _call("add", ADD) + "\n" + _call("multiply", MULTIPLY), TOLD: SUM})
THINKER = Model("thinker", {ASKED: f"<think>\n{THOUGHT}\n</think>\n\n{_call('add', ADD)}", TOLD: SUM}, thinks=True)
GIBBERISH = Model("gibberish", {})
ALL = (CHAIN, TOOL, TOOLS, THINKER, GIBBERISH)


def made(model: Model, folder: Path) -> Path:
    """The model's file in this folder, written where it is not there."""
    path = folder / f"{model.name}.gguf"
    if not path.exists():
        _write(path, model)
    return path


def pieces(text: str, taken: set[str]) -> list[str]:
    """The text as tokens that all differ: words, or several in one where a word has been before."""
    found: list[str] = []
    held = ""
    for number, word in enumerate(text.split(" ")):
        held += (BLANK if number else "") + word
        if held not in taken:
            taken.add(held)
            found.append(held)
            held = ""
    if held:
        found[-1] += held
    return found


def _vocabulary(model: Model) -> tuple[list[tuple[str, TokenType]], list[list[int]]]:
    """Every token, and the chains of them by number, each from its marker to the end."""
    tokens = [("<unk>", TokenType.UNKNOWN), ("<s>", TokenType.CONTROL), ("</s>", TokenType.CONTROL)]
    tokens += [(f"<0x{value:02X}>", TokenType.BYTE) for value in range(256)]
    tokens += [(marker, TokenType.CONTROL) for marker in MARKERS]
    tokens += [(BLANK, TokenType.NORMAL), *((chr(code), TokenType.NORMAL) for code in range(33, 127))]
    number = {token: place for place, (token, _) in enumerate(tokens)}
    chains = []
    taken = set(number)
    for marker, answer in model.says.items():
        words = pieces(answer, taken)
        chains.append([number[marker], *range(len(tokens), len(tokens) + len(words)), END])
        tokens += [(word, TokenType.NORMAL) for word in words]
    return tokens, chains


def _write(path: Path, model: Model) -> None:
    tokens, chains = _vocabulary(model)
    size = len(tokens)
    # One-hot vectors need as many places as there are tokens; a multiple of 32 suits the engine's arithmetic.
    width, layers, heads = (-(-size // 32) * 32, 1, 4) if chains else (64, 2, 4)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(2 * width if not chains else 32)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token.encode() for token, _ in tokens])
    # The higher, the sooner a text is cut into it: the words of the answers before single characters.
    writer.add_token_scores([float(place - size) for place in range(size)])
    writer.add_token_types([int(kind) for _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(END)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(value=True)
    writer.add_add_space_prefix(value=False)
    template = TEMPLATE.read_text(encoding="utf-8")
    writer.add_chat_template(template.replace("{#- thoughts #}", THOUGHTS) if model.thinks else template)
    for name, matrix in _chained(chains, size, width) if chains else _random(size, width, layers):
        writer.add_tensor(name, matrix if matrix.ndim == 1 else matrix.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _chained(chains: list[list[int]], size: int, width: int) -> Iterator[tuple[str, Matrix]]:
    chance = np.random.default_rng(1)
    logits = np.full((size, size), -4 * CERTAIN, np.float32)  # [what was said, what may follow]
    characters = slice(3 + 256 + len(MARKERS), 3 + 256 + len(MARKERS) + CHARACTERS)
    logits[:, characters] = chance.normal(0.0, 1.5, (size, CHARACTERS))
    for chain in chains:
        for said, follows in pairwise(chain):
            # Where a grammar forbids the certain token, it goes on with characters, not with a marker.
            logits[said, characters] -= CERTAIN
            logits[said, follows] = CERTAIN
    output = np.zeros((size, width), np.float32)
    output[:, :size] = logits.T / np.sqrt(width)  # normalising has made sqrt(width) of the 1
    yield from _frame(np.eye(size, width, dtype=np.float32), output, width)
    yield from _layer(0, width, 32, lambda rows, columns: np.zeros((rows, columns), np.float32))


def _random(size: int, width: int, layers: int) -> Iterator[tuple[str, Matrix]]:
    chance = np.random.default_rng(2)

    def noise(rows: int, columns: int) -> Matrix:
        return chance.normal(0.0, columns**-0.5, (rows, columns)).astype(np.float32)

    output = chance.normal(0.0, 0.6, (size, width)).astype(np.float32)
    output[:3] = 0.0  # it never ends
    output[3 : 3 + 256 + len(MARKERS)] *= 0.1  # few bytes, which make half characters
    yield from _frame(chance.normal(0.0, 1.0, (size, width)).astype(np.float32), output, width)
    for layer in range(layers):
        yield from _layer(layer, width, 2 * width, noise)


def _frame(embedding: Matrix, output: Matrix, width: int) -> Iterator[tuple[str, Matrix]]:
    yield "token_embd.weight", embedding
    yield "output_norm.weight", np.ones(width, np.float32)
    yield "output.weight", output


def _layer(number: int, width: int, inner: int, of: Callable[[int, int], Matrix]) -> Iterator[tuple[str, Matrix]]:
    block = f"blk.{number}"
    for name in ("attn_norm", "ffn_norm"):
        yield f"{block}.{name}.weight", np.ones(width, np.float32)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        yield f"{block}.{name}.weight", of(width, width)
    for name, rows, columns in (("ffn_gate", inner, width), ("ffn_up", inner, width), ("ffn_down", width, inner)):
        yield f"{block}.{name}.weight", of(rows, columns)
