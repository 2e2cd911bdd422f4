"""The line of a key is found whichever way TOML lets one write it."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.config.locate import absurd, lines

if TYPE_CHECKING:
    from llm_pool.config.locate import KeyPath

TEXT = """\
top = 1                      # line 1
server.http_addr = "x"
server.deep.er = 1

[qos]  # [not.a.table]
text = "a # b [c] = { \\" "
literal = 'C:\\path # ['
"quoted key" = 1
'literal.key' = 2
many = \"\"\"
[fake]
fake = 1 \\\"\"\" still
\"\"\"
after = 1
list = [
  1, # one ]
  "two, ]",
  [3, 4],
  { five = 5, six.seven = 6 },
]
inline = { a = 1, "b" = { c = 2 }, d.e = [ { f = 1 }, { f = 2 } ] }

[[providers]]
name = "one"

[[providers]]
name = "two"
weight = 1.5
[providers.sim]
seed = 3
[providers.sim."first token"]
median_ms = 4

[[providers.replies]]
text = "a"
[[providers.replies]]
text = "b"

[ a . b ]
c = 1979-05-27T07:32:00.5Z
[a]
last = 1"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 1),
        (("server",), 2),
        (("server", "http_addr"), 2),
        (("server", "deep", "er"), 3),
        (("qos",), 5),
        (("qos", "text"), 6),
        (("qos", "literal"), 7),
        (("qos", "quoted key"), 8),
        (("qos", "literal.key"), 9),
        (("qos", "many"), 10),
        (("qos", "after"), 14),
        (("qos", "list"), 15),
        (("qos", "list", 1), 17),
        (("qos", "list", 2), 18),
        (("qos", "list", 3, "six", "seven"), 19),
        (("qos", "inline", "b", "c"), 21),
        (("qos", "inline", "d", "e", 1, "f"), 21),
        (("providers",), 23),
        (("providers", 0), 23),
        (("providers", 0, "name"), 24),
        (("providers", 1), 26),
        (("providers", 1, "weight"), 28),
        (("providers", 1, "sim"), 29),
        (("providers", 1, "sim", "seed"), 30),
        (("providers", 1, "sim", "first token", "median_ms"), 32),
        (("providers", 1, "replies", 1, "text"), 37),
        (("a", "b", "c"), 40),
        (("a",), 41),
        (("a", "last"), 42),
    ],
)
def test_every_way_to_write_a_key_is_found(path: KeyPath, line: int) -> None:
    tomllib.loads(TEXT)
    assert lines(TEXT).of(path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("qos", "missing"), 5),
        (("providers", 1, "missing", "deeper"), 26),
        (("providers", 1, "sim", "missing"), 29),
        (("nowhere", "at all"), 1),
        ((), 1),
    ],
)
def test_what_is_not_there_has_the_line_of_the_table_around_it(path: KeyPath, line: int) -> None:
    assert lines(TEXT).of(path) == line


def test_windows_line_ends_and_escaped_keys() -> None:
    assert lines('a = 1\r\n["\\u0062"]\r\nc = 1\r\n').of(("b", "c")) == 3


def test_a_value_that_looks_like_a_key_is_not_one() -> None:
    assert ("qos", "fake") not in lines(TEXT)
    assert ("fake",) not in lines(TEXT)


# --- Any document: made together with the line where each key was put --------------------------------------------

_KEYS = st.sampled_from(["a", "b-c", "d_1", '"e f"', '"g.h"', "'i]#'", '"j\\"k"', "7"])
_VALUES = st.sampled_from([
    "1", "-2.5e3", "true", "1979-05-27", '"plain"', '"# [x] = { \\" \\\\"', "'#[{'", "[]", "{}", "[1, [2.5]]",
    '"""\n[x]\n# "" \\""" \ny = 1\n"""',
    "'''\n[[x]]\n'' = \n'''", '[\n "a,]", # ]\n\n {n = 1}\n]', "{ n = [ { m = 1 } ] }",
])  # fmt: skip
_BLANKS = st.sampled_from(["", "\n", "# [comment] = 1\n", "\n  \t\n"])


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[KeyPath, int]]:
    text = ""
    expected: dict[KeyPath, int] = {}
    arrays: dict[str, int] = {}
    for table in draw(st.lists(st.sampled_from(["", "one", "two", "many"]), unique=False, max_size=6)):
        path: KeyPath = ()
        text += draw(_BLANKS)
        if not text.strip() and not table:
            pass
        elif table == "many":
            position = arrays.get(table, -1) + 1
            arrays[table] = position
            path = (table, position)
            expected[path] = text.count("\n") + 1
            text += "[[many]]  # ]]\n"
        elif table and (table,) not in expected:
            path = (table,)
            expected[path] = text.count("\n") + 1
            text += f"[ {table} ]\n"
        else:
            continue
        for key in draw(st.lists(_KEYS, unique=True, max_size=4)):
            named = (*path, next(iter(tomllib.loads(f"{key} = 1"))))
            if named in expected:
                continue
            text += draw(_BLANKS)
            below = draw(st.sampled_from([".sub", ' . "s.b" ', ""]))
            expected[named] = text.count("\n") + 1
            text += f"{key}{below} = {draw(_VALUES)} # end\n"
    return text, expected


@given(documents())
def test_each_key_of_any_document_is_on_its_line(document: tuple[str, dict[KeyPath, int]]) -> None:
    text, expected = document
    tomllib.loads(text)
    found = lines(text)
    assert {path: found.of(path) for path in expected} == expected
    assert absurd(text) is None


@given(st.text(alphabet="ab.=[]{}\"'#\\\n, 1", max_size=60))
def test_any_text_at_all_is_read_to_its_end(text: str) -> None:
    """Where TOML takes it, every key that it has is found as well."""
    found = lines(text)
    absurd(text)
    try:
        parsed = tomllib.loads(text)
    except ValueError:
        return
    for path in _paths(parsed, ()):
        assert path in found
        assert found.of(path) <= text.count("\n") + 1


def _paths(value: Any, above: KeyPath) -> list[KeyPath]:
    match value:
        case dict():
            return [path for key, one in value.items() for path in ((*above, key), *_paths(one, (*above, key)))]
        case list():
            return [path for i, one in enumerate(value) for path in ((*above, i), *_paths(one, (*above, i)))]
        case _:
            return []


@pytest.mark.parametrize(
    "text",
    [
        "a = 1\n" + ".".join("a" * 20_000) + " = 1",
        "a = 1\n[" + ".".join("a" * 20_000) + "]",
        "a = 1\nx = {" + " . ".join(['"a.b"'] * 20_000) + " = 1}",
    ],
)
def test_a_dotted_key_that_would_keep_the_parser_busy_is_refused(text: str) -> None:
    assert absurd(text) == (2, "a key of more than 33 parts")


@pytest.mark.parametrize("opening", ["[", "{a = "])
def test_deep_nesting_is_refused(opening: str) -> None:
    assert absurd("\nx = " + opening * 40) == (2, "brackets nested more than 32 deep")


def test_dots_and_brackets_within_texts_and_lists_are_no_reason() -> None:
    assert absurd('a = "' + "." * 100 + "[" * 100 + '"\n') is None
    assert absurd("a = [" + "1.5, " * 100 + "]\n# " + "." * 100) is None
