"""What a request becomes on Ollama's wire, and what of it cannot be said there."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.config.schemas import narrowed, spec_of
from llm_pool.core.errors import ProviderRefused, Unsupported
from llm_pool.core.trace import Trace
from llm_pool.core.types import (
    Image,
    Message,
    Part,
    Reasoning,
    Request,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    replace,
)
from llm_pool.providers.ollama.wire_out import embed_wire, load_wire, to_wire
from llm_pool.providers.translating import Asked

WHO = "Ollama (one)"


def request(*messages: Message, model: str | None = "llama3", sampling: Sampling | None = None) -> Request:
    return Request("r", messages, 60.0, Trace(0.0), model=model, sampling=sampling or Sampling())


def asked(request: Request, *, num_ctx: int | None = None, keep_alive: str | None = None) -> Asked:
    return to_wire(request, who=WHO, provider="mine", num_ctx=num_ctx, keep_alive=keep_alive)


def wire(request: Request, **settings: Any) -> dict[str, Any]:
    """What the other side reads."""
    body: dict[str, Any] = orjson.loads(orjson.dumps(asked(request, **settings).body))
    return body


def test_a_request_goes_out_whole_and_always_as_a_stream() -> None:
    question = request(
        Message.of("system", "Be brief."),
        Message("user", (Text("one "), Text("two"))),
        Message.of("assistant", "three"),
        sampling=Sampling(max_tokens=64, temperature=0.0),
    )
    assert asked(question, num_ctx=8192, keep_alive="10m") == Asked(
        "/api/chat",
        {
            "model": "llama3",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "one two"},
                {"role": "assistant", "content": "three"},
            ],
            "stream": True,
            "truncate": False,
            "options": {"num_predict": 64, "temperature": 0.0, "num_ctx": 8192},
            "keep_alive": "10m",
        },
        "llama3",
    )


def test_what_nobody_set_is_left_to_the_model() -> None:
    assert wire(request(Message.of("user", "hi"))).keys() == {"model", "messages", "stream", "truncate"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("-1", -1), ("0", 0), (" 300 ", 300), ("1.5", 1.5), ("10m", "10m"), ("-1m", "-1m"), ("1h30m", "1h30m")],
)
def test_a_bare_number_of_keep_alive_goes_out_as_a_json_number(text: str, value: object) -> None:
    sent = wire(request(), keep_alive=text)["keep_alive"]
    assert (sent, type(sent)) == (value, type(value))


def test_a_preload_asks_for_the_context_window_that_the_chats_will_ask_for() -> None:
    assert load_wire("m", num_ctx=8192, keep_alive="-1") == {
        "model": "m",
        "stream": False,
        "options": {"num_ctx": 8192},
        "keep_alive": -1,
    }
    assert load_wire("m", num_ctx=None, keep_alive=None) == {"model": "m", "stream": False}


def test_a_request_without_a_model_is_refused() -> None:
    with pytest.raises(ProviderRefused):
        asked(request(model=None))


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text()), max_size=5))
def test_no_text_is_changed_on_its_way_out(turns: list[tuple[Any, str]]) -> None:
    sent = wire(request(*(Message.of(role, text) for role, text in turns)))
    assert [(message["role"], message["content"]) for message in sent["messages"]] == turns


def test_all_that_is_said_about_drawing_goes_out_as_options() -> None:
    sampling = Sampling(
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop=("END", "\n"),
        seed=7,
        frequency_penalty=0.25,
        presence_penalty=-0.25,
        logprobs=3,
    )
    sent = wire(request(Message.of("user", "hi"), sampling=sampling))
    assert sent["options"] == {
        "num_predict": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "stop": ["END", "\n"],
        "seed": 7,
        "frequency_penalty": 0.25,
        "presence_penalty": -0.25,
    }
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 3)
    assert asked(request(sampling=sampling)).warnings == ()


# --- Schemas ----------------------------------------------------------------------------------------------------


def test_the_schema_of_an_answer_goes_out_as_its_format() -> None:
    """The server then lets the model write nothing else. Narrowed, it holds the ids of this one question."""
    schema = {"type": "object", "properties": {"winner": {"type": ["string", "null"]}}, "required": ["winner"]}
    for each in (schema, narrowed(schema, ["a", 2], each=None, one="winner")):
        sent = wire(replace(request(Message.of("user", "hi")), spec=spec_of(each)))
        assert sent.keys() == {"model", "messages", "stream", "truncate", "format"}
        assert sent["format"] == each
    assert sent["format"]["properties"] == {"winner": {"enum": ["a", 2, None]}}


def test_beside_tools_a_schema_stays_here_or_none_would_be_called() -> None:
    """The server's grammar leaves the model nothing but the answer; what it answers is held to the schema anyway."""
    both = replace(request(Message.of("user", "hi")), spec=spec_of({"type": "object"}), tools=(Tool("f"),))
    assert wire(both).keys() == {"model", "messages", "stream", "truncate", "tools"}
    assert words(both) == ["the schema of the answer, beside tools,"]
    without = replace(both, tool_choice=ToolChoice("none"))
    assert wire(without).keys() == {"model", "messages", "stream", "truncate", "format"}
    assert words(without) == []


# --- Tools ------------------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def test_tools_go_out_with_their_schemas_and_those_without_arguments_with_an_empty_one() -> None:
    offered = (Tool("weather", "Of a city.", SCHEMA), Tool("now"))
    assert wire(replace(request(Message.of("user", "hi")), tools=offered))["tools"] == [
        {"type": "function", "function": {"name": "weather", "description": "Of a city.", "parameters": SCHEMA}},
        {
            "type": "function",
            "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}},
        },
    ]


@pytest.mark.parametrize(
    ("choice", "offered", "warned"),
    [
        (ToolChoice(), True, []),
        (ToolChoice(parallel=True), True, []),
        (ToolChoice("none"), False, []),
        (ToolChoice("required"), True, ["tool_choice"]),
        (ToolChoice("named", "f"), True, ["tool_choice"]),
        (ToolChoice(parallel=False), True, ["parallel_tool_calls"]),
    ],
)
def test_a_choice_of_tools_is_kept_or_warned_of(choice: ToolChoice, *, offered: bool, warned: list[str]) -> None:
    question = replace(request(Message.of("user", "hi")), tools=(Tool("f"),), tool_choice=choice)
    assert ("tools" in wire(question), words(question)) == (offered, warned)


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "f")])
def test_a_call_that_is_a_must_is_unsupported_where_no_tool_is_offered(choice: ToolChoice) -> None:
    with pytest.raises(Unsupported, match="offered"):
        asked(replace(request(Message.of("user", "hi")), tool_choice=choice))


def test_calls_and_their_results_go_back_so_that_each_result_says_whose_it_is() -> None:
    question = request(
        Message.of("user", "hi"),
        Message("assistant", (Text("Wait."), ToolCall("1", "weather", '{"city": "é"}'), ToolCall("2", "now", ""))),
        Message("tool", (ToolResult("1", (Text("warm "), Text("and dry"))), ToolResult("2", (Text("noon"),)))),
        Message("user", (ToolResult("3", (Text("?"),)), Text("go on"))),
    )
    assert wire(question)["messages"][1:] == [
        {
            "role": "assistant",
            "content": "Wait.",
            "tool_calls": [
                {"id": "1", "function": {"index": 0, "name": "weather", "arguments": {"city": "é"}}},
                {"id": "2", "function": {"index": 1, "name": "now", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "warm and dry", "tool_call_id": "1", "tool_name": "weather"},
        {"role": "tool", "content": "noon", "tool_call_id": "2", "tool_name": "now"},
        {"role": "tool", "content": "?", "tool_call_id": "3"},
        {"role": "user", "content": "go on"},
    ]
    assert words(question) == []


@pytest.mark.parametrize("arguments", ["{", "[]", "7", '"text"', "null"])
def test_a_call_whose_arguments_are_no_object_is_unsupported(arguments: str) -> None:
    with pytest.raises(Unsupported, match="JSON object"):
        asked(request(Message("assistant", (ToolCall("1", "f", arguments),))))


# --- Images -----------------------------------------------------------------------------------------------------


def test_images_go_out_beside_the_text_of_their_message_and_of_a_result() -> None:
    question = request(
        Message("user", (Text("see: "), Image("image/png", b"\x89PNG\xff"), Text("there"), Image("image/jpeg", b"2"))),
        Message("tool", (ToolResult("1", (Text("seen"), Image("image/png", b"3"))),)),
    )
    first, second = wire(question)["messages"]
    assert (first["content"], [b64decode(image) for image in first["images"]]) == (
        "see: there",
        [b"\x89PNG\xff", b"2"],
    )
    assert (second["content"], [b64decode(image) for image in second["images"]]) == ("seen", [b"3"])


def test_an_image_by_its_address_alone_is_unsupported_for_nothing_is_fetched() -> None:
    with pytest.raises(Unsupported, match="image"):
        asked(request(Message("user", (Image("", url="http://127.0.0.1/secret.png"),))))


# --- Thinking ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampling", "think", "warned"),
    [
        (Sampling(), None, []),
        (Sampling(effort="none"), False, []),
        (Sampling(effort="minimal"), "low", []),
        (Sampling(effort="low"), "low", []),
        (Sampling(effort="medium"), "medium", []),
        (Sampling(effort="high"), "high", []),
        (Sampling(effort="max"), "max", []),
        (Sampling(effort="a bit"), None, ["effort"]),
        (Sampling(thinking_tokens=0), False, []),
        (Sampling(effort="high", thinking_tokens=0), False, []),
        (Sampling(thinking_tokens=2048), True, ["thinking_tokens"]),
        (Sampling(effort="low", thinking_tokens=2048), "low", ["thinking_tokens"]),
    ],
)
def test_how_much_to_think_is_said_in_its_words(sampling: Sampling, think: object, warned: list[str]) -> None:
    question = request(Message.of("user", "hi"), sampling=sampling)
    sent = wire(question).get("think")
    assert (sent, type(sent), words(question)) == (think, type(think), warned)


def test_its_own_reasoning_goes_back_and_that_of_others_is_dropped_with_one_warning() -> None:
    question = request(
        Message(
            "assistant",
            (
                Reasoning("my own, ", provider="mine"),
                Reasoning("foreign", "signature", provider="other"),
                Reasoning("nobody's"),
                Reasoning("", "sealed", redacted=True, provider="other"),
                Text("say"),
            ),
        ),
        Message("assistant", (Reasoning("foreign", provider="other"),)),
    )
    assert wire(question)["messages"] == [
        {"role": "assistant", "content": "say", "thinking": "my own, nobody's"},
        {"role": "assistant", "content": ""},
    ]
    (warning,) = asked(question).warnings
    assert (warning.code, WHO in warning.message) == ("reasoning_dropped", True)


# --- What it cannot be told -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "word"),
    [
        (request(Message("user", (Text("a", keep="5m"),))), "cache control"),
        (request(Message("user", (Image("image/png", b"x", keep="1h"),))), "cache control"),
        (request(Message("assistant", (ToolCall("1", "f", "{}", keep="5m"),))), "cache control"),
        (request(Message("tool", (ToolResult("1", (), keep="5m"),))), "cache control"),
        (request(Message("tool", (ToolResult("1", (Text("a", keep="5m"),)),))), "cache control"),
        (replace(request(), tools=(Tool("f", keep="5m"), Tool("g", keep="5m"))), "cache control"),
        (replace(request(), tools=(Tool("f", strict=True), Tool("g", strict=True))), "strict"),
        (request(Message("tool", (ToolResult("1", (Text("no"),), is_error=True),))), "is_error"),
        (request(Message("user", (Image("image/png", b"x", detail="low"),))), "detail"),
        (replace(request(), betas=("one-2026-01-01", "two-2026-01-01")), "anthropic-beta"),
    ],
)
def test_what_only_makes_an_answer_less_exact_is_left_out_with_one_warning(question: Request, word: str) -> None:
    (warning,) = asked(question).warnings
    assert warning.code == "parameter_ignored"
    assert warning.message.startswith(word)
    assert WHO in warning.message


def words(question: Request) -> list[str]:
    """What its warnings name."""
    warnings = asked(question).warnings
    assert {warning.code for warning in warnings} <= {"parameter_ignored"}
    return [warning.message.partition(" cannot be told")[0] for warning in warnings]


# --- Vectors ----------------------------------------------------------------------------------------------------


def embedding(*inputs: str | tuple[int, ...], dimensions: int | None = None) -> Asked:
    question = replace(request(), operation="embed", inputs=inputs, dimensions=dimensions)
    return embed_wire(question, who=WHO, num_ctx=512, keep_alive="10m")


def test_texts_to_embed_go_out_in_their_order_and_are_never_cut_in_silence() -> None:
    assert embedding("one", "two", dimensions=3) == Asked(
        "/api/embed",
        {
            "model": "llama3",
            "input": ["one", "two"],
            "truncate": False,
            "dimensions": 3,
            "options": {"num_ctx": 512},
            "keep_alive": "10m",
        },
        "llama3",
    )
    assert "dimensions" not in embedding("one").body


def test_tokens_to_embed_are_unsupported() -> None:
    with pytest.raises(Unsupported, match="texts only"):
        embedding("one", (1, 2))


@given(st.lists(st.sampled_from([Text("t"), Image("image/png", b"i"), ToolCall("1", "f", "{}"), Reasoning("r")])))
def test_no_part_of_a_turn_is_lost(parts: list[Part]) -> None:
    (turn,) = wire(request(Message("assistant", tuple(parts))))["messages"]
    counts = [parts.count(part) for part in (Text("t"), Reasoning("r"), Image("image/png", b"i"))]
    assert [turn["content"], turn.get("thinking", ""), turn.get("images", [])] == [
        "t" * counts[0],
        "r" * counts[1],
        ["aQ=="] * counts[2],
    ]
    assert len(turn.get("tool_calls", [])) == len(parts) - sum(counts)
