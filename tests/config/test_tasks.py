"""`[tasks.NAME]`: tasks of one's own and changes to the seven, where each came from, and what is wrong with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.config.catalog import Catalog, Task
from llm_pool.config.load import ConfigError, Loaded, load
from llm_pool.config.prompts import BUILT_IN
from llm_pool.config.report import report

if TYPE_CHECKING:
    from pathlib import Path

A = '[[providers]]\nname = "a"\ndriver = "sim"\nmodel = "m"\n'
B = A.replace('"a"', '"b"')
LAST = A.replace('"a"', '"last"') + "fallback = true\n"
PROMPT = "+++\nmax_tokens = 64\ntemperature = 0.5\n+++\nYou do it.\n"


def loaded(directory: Path, toml: str, files: dict[str, str] | None = None, **environ: str) -> Loaded:
    for name, text in (files or {}).items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    (directory / "llm-pool.toml").write_text(toml)
    return load(directory / "llm-pool.toml", environ)


def task(it: Loaded, name: str = "mine") -> Task:
    return Catalog.of(it.settings, it.prompts).tasks[name]


def problem(directory: Path, toml: str, files: dict[str, str] | None = None, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(directory, toml, files, **environ)
    [only] = caught.value.problems
    return only


# --- A task of one's own ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["texts/it.md", "it.txt", "../beside.md", "{home}/absolute.md"])
def test_a_prompt_file_is_looked_for_from_the_directory_of_the_configuration(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "conf"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    name = name.format(home=home)
    it = loaded(home, f'[tasks.mine]\nprompt = "{name}"\n{A}', {name: PROMPT})
    assert task(it).system == "You do it."
    assert (task(it).sampling.max_tokens, task(it).sampling.temperature, task(it).spec) == (64, 0.5, None)
    assert home / name in it.files


def test_a_prompt_of_the_tasks_name_needs_no_mention(tmp_path: Path) -> None:
    """In a table of its own, among a provider's tasks or the strategies: the file is found by the name."""
    files = {f"prompts/{name}.md": f"You do {name}." for name in ("one", "two", "three", "unused")}
    toml = f'[ensemble.strategy_by_task]\nthree = "judge"\n[tasks.one]\n{A}tasks = ["two"]\n'
    it = loaded(tmp_path, toml, files)
    assert {name: task(it, name).system for name in ("one", "two", "three")} == {
        "one": "You do one.", "two": "You do two.", "three": "You do three.",
    }  # fmt: skip
    assert "unused" not in Catalog.of(it.settings, it.prompts).tasks


def test_a_task_may_have_a_schema_in_its_table_and_no_prompt(tmp_path: Path) -> None:
    it = loaded(tmp_path, f'[tasks.mine.schema]\ntype = "object"\nrequired = ["a"]\n{A}')
    mine = task(it)
    assert mine.system == ""
    assert mine.spec is not None
    assert mine.spec.problem({"a": 1}) == ""
    assert mine.spec.problem({}) == '"a" is a required property'
    assert mine.spec.schema == {"type": "object", "required": ["a"]}


def test_a_schema_in_the_table_takes_the_place_of_the_prompts_and_of_its_ids(tmp_path: Path) -> None:
    it = loaded(tmp_path, f'[tasks.judge]\nschema = {{ type = "array" }}\n{A}')
    judge = task(it, "judge")
    assert judge.spec is not None
    assert judge.spec.schema == {"type": "array"}
    assert (judge.ids.one, judge.ids.each) == (None, None)
    assert judge.system.startswith("You choose the candidate")


def test_a_prompt_beside_the_configuration_takes_the_place_of_the_packaged_one(tmp_path: Path) -> None:
    it = loaded(tmp_path, A, {"prompts/judge.md": "You judge by luck.", "prompts/rerank.md": "You sort by luck."})
    assert (task(it, "judge").system, task(it, "judge").spec) == ("You judge by luck.", None)
    assert (task(it, "rerank_candidates").system, task(it, "rerank_candidates").spec) == ("You sort by luck.", None)
    packaged = [name for name in BUILT_IN if name not in {"judge", "rerank_candidates", "chat"}]
    assert all(task(it, name).spec is not None for name in packaged)


def test_a_named_file_takes_the_place_of_both(tmp_path: Path) -> None:
    files = {"prompts/judge.md": "You judge by luck.", "other.md": "You judge by age."}
    it = loaded(tmp_path, f'[tasks.judge]\nprompt = "other.md"\n{A}', files)
    assert task(it, "judge").system == "You judge by age."


def test_an_empty_name_of_a_file_is_no_prompt(tmp_path: Path) -> None:
    it = loaded(tmp_path, f'[tasks.judge]\nprompt = ""\n[tasks.mine]\nprompt = ""\n{A}', {"prompts/mine.md": PROMPT})
    for name in ("judge", "mine"):
        assert (task(it, name).system, task(it, name).spec, task(it, name).sampling.max_tokens) == ("", None, 256)


def test_a_task_that_comes_along_is_offered_where_somebody_serves_it_or_it_is_named(tmp_path: Path) -> None:
    it = loaded(tmp_path, f'[tasks.recovery_plan]\nproviders = ["a"]\n{A}tasks = ["judge", "mine"]\n')
    assert set(Catalog.of(it.settings, it.prompts).tasks) == {"chat", "judge", "mine", "recovery_plan"}
    assert task(it, "chat").providers == ()


# --- What holds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "front", "max_tokens", "temperature"),
    [
        ("", "", 256, None),
        ("", "max_tokens = 64\ntemperature = 0.5", 64, 0.5),
        ("max_tokens = 7\ntemperature = 0.0", "max_tokens = 64\ntemperature = 0.5", 7, 0.0),
        ("temperature = 1", "max_tokens = 64", 64, 1.0),
        ("max_tokens = 7", "temperature = 0.0", 7, 0.0),
    ],
)
def test_the_table_wins_over_the_prompt_and_the_prompt_over_the_defaults(
    tmp_path: Path, table: str, front: str, max_tokens: int, temperature: float | None
) -> None:
    it = loaded(tmp_path, f"[tasks.mine]\n{table}\n{A}", {"prompts/mine.md": f"+++\n{front}\n+++\nx"})
    assert (task(it).sampling.max_tokens, task(it).sampling.temperature) == (max_tokens, temperature)
    it = loaded(tmp_path, f"[qos]\nmax_tokens_default = 99\n[tasks.mine]\n{A}", {"prompts/mine.md": "x"})
    assert task(it).sampling.max_tokens == 99


@pytest.mark.parametrize(
    ("toml", "strategy"),
    [
        ("[tasks.mine]\n", "fastest"),
        ('[ensemble]\ndefault_strategy = "Voting"\n[tasks.mine]\n', "voting"),
        ('[ensemble]\ndefault_strategy = "Voting"\n[tasks.mine]\nstrategy = "JUDGE"\n', "judge"),
        ('[ensemble.strategy_by_task]\nmine = "council"\n[tasks.mine]\n', "council"),
        ('[ensemble.strategy_by_task]\nmine = "Council"\n[tasks.mine]\nstrategy = "council"\n', "council"),
    ],
)
def test_the_strategy_of_a_task(tmp_path: Path, toml: str, strategy: str) -> None:
    assert task(loaded(tmp_path, toml + A)).strategy == strategy


@pytest.mark.parametrize(
    ("providers", "tasks", "serve"),
    [
        ("", ("", "", ""), "a b last"),
        ("", ('["chat"]', "", ""), "b last"),
        ("", ('["mine"]', '["chat"]', '["chat"]'), "a"),
        ('["a"]', ("", "", ""), "a last"),
        ('["a"]', ('["chat"]', '["mine"]', ""), "a last"),  # the task's own word counts
        ('["a"]', ("", "", '["chat"]'), "a"),  # a fallback that is for something else
        ('["a"]', ("", "", '["mine"]'), "a last"),
        ('["a", "last"]', ("", "", '["chat"]'), "a last"),  # named, so it is meant
        ('["last"]', ("", "", ""), "last"),
    ],
)
def test_who_serves_a_task(tmp_path: Path, providers: str, tasks: tuple[str, str, str], serve: str) -> None:
    """The task names its providers, or else the providers their tasks; the fallback tier stands behind both."""
    tables = [table + (f"tasks = {said}\n" if said else "") for table, said in zip((A, B, LAST), tasks, strict=True)]
    it = loaded(tmp_path, "[tasks.mine]\n" + (f"providers = {providers}\n" if providers else "") + "".join(tables))
    assert " ".join(task(it).providers) == serve


def test_the_version_changes_with_a_prompt_and_with_nothing_else(tmp_path: Path) -> None:
    files = {"prompts/judge.md": "one", "prompts/unused.md": "one"}
    first = loaded(tmp_path, A, files).version
    assert loaded(tmp_path, A, {"prompts/unused.md": "two", "notes.txt": "x"}).version == first
    assert loaded(tmp_path, A, MAX_RETRIES="1").version == first
    second = loaded(tmp_path, A, {"prompts/judge.md": "two"}).version
    third = loaded(tmp_path, A, {"prompts/chat.md": "two"}).version
    assert len({first, second, third}) == 3
    (tmp_path / "prompts" / "chat.md").unlink()
    assert loaded(tmp_path, A, {"prompts/judge.md": "one"}).version == first
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert loaded(elsewhere, A, files).version == first


# --- Where it came from -----------------------------------------------------------------------------------------


def test_every_key_has_its_origin_and_the_report_shows_what_is_set(tmp_path: Path) -> None:
    mine = '[tasks.mine]\nmax_tokens = 7\nproviders = ["a"]\nstrategy = "Judge"\nschema.type = "object"\n'
    it = loaded(tmp_path, A + mine)
    assert it.origins["tasks.mine.max_tokens"] == "llm-pool.toml:6"
    assert it.origins["tasks.mine.schema"] == "llm-pool.toml:9"
    assert it.origins["tasks.mine.temperature"] == "default"
    assert it.pending == (("tasks.mine.strategy", "llm-pool.toml:8"),)
    shown = report(it, {})
    assert '[tasks.mine]\nschema     = {"type": "object"}' in shown
    assert 'strategy   = "judge"             # llm-pool.toml:8\n' in shown
    assert "max_tokens = 7                   # llm-pool.toml:6\n" in shown
    assert "answered by fastest until it is built:\n  tasks.mine.strategy  # llm-pool.toml:8" in shown


# --- What is wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[tasks.x]\npromt = 'a'\n", '2: unknown key "promt" in [tasks.x]; did you mean "prompt"?'),
        ("[tasks.x]\nshema = {}\n", '2: unknown key "shema" in [tasks.x]; did you mean "schema"?'),
        ("[tasks.x]\nanswer = {}\n", '2: unknown key "answer" in [tasks.x]'),
        ("[tasks]\nx = 3\n", "2: tasks.x: must be a table (got 3)"),
        ("tasks = 3\n", "1: tasks: must be a table (got 3)"),
        ("[task.x]\n", "1: unknown section [task]; did you mean [tasks]?"),
        ("[[tasks]]\n", "1: tasks: must be a table"),
        ('[tasks."a b"]\n', "1: tasks.a b: must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit"),
        ("[tasks.x]\nprompt = 3\n", "2: tasks.x.prompt: must be a string (got 3)"),
        ("[tasks.x]\nproviders = []\n", "2: tasks.x.providers: must be not empty"),
        ("[tasks.x]\nmax_tokens = 0\n", "2: tasks.x.max_tokens: must be 1 or more (got 0)"),
        ("[tasks.x]\ntemperature = 3\n", "2: tasks.x.temperature: must be 2 or less (got 3)"),
        ("[tasks.x]\nschema = 'object'\n", '2: tasks.x.schema: must be a table (got "object")'),
        ("[tasks.x]\nstrategy = 'juge'\n", '2: tasks.x.strategy: unknown strategy "juge"; did you mean "judge"?'),
        ("[tasks.x]\nprompt = 'none.md'\n", "2: tasks.x.prompt: none.md: no such file"),
        ("[tasks.x]\nprompt = '.'\n", "2: tasks.x.prompt: .: no such file"),
        ("[tasks.x]\n[tasks.x.schema]\ntype = 'objekt'\n", "3: tasks.x.schema.type: is no JSON Schema: "),
        ("[tasks.x]\n\nschema.const = 2020-01-02\n", "3: tasks.x.schema: holds a value that JSON cannot express"),
        ("[tasks.x.schema]\n'$ref' = 'http://127.0.0.1:9/s'\n", "1: tasks.x.schema: is no JSON Schema: "),
        (
            '[tasks.x]\nproviders = ["a",\n"ab"]\n',
            '3: tasks.x.providers names no [[providers]] table: "ab"; did you mean "a"?',
        ),
        (
            '[ensemble.strategy_by_task]\nx = "judge"\n[tasks.x]\nstrategy = "voting"\n',
            '4: ensemble.strategy_by_task says "judge" for x, tasks.x says "voting"',
        ),
    ],
)
def test_a_mistake_has_its_line_and_the_nearest_name(tmp_path: Path, toml: str, says: str) -> None:
    assert problem(tmp_path, toml + A).startswith(f"llm-pool.toml:{says}")


def test_a_mistake_in_a_prompt_is_named_as_seen_from_the_configuration(tmp_path: Path) -> None:
    wrong = {"prompts/judge.md": "+++\n\nmax_tokns = 1\n+++\n"}
    assert problem(tmp_path, A, wrong) == ('prompts/judge.md:3: unknown key "max_tokns"; did you mean "max_tokens"?')
    outside = tmp_path / "outside.md"
    outside.write_text("+++\nmax_tokens = 0\n+++\n")
    home = tmp_path / "conf"
    home.mkdir()
    said = problem(home, f'[tasks.mine]\nprompt = "{outside}"\n{A}')
    assert said == f"{outside}:2: max_tokens: input should be greater than or equal to 1"


@pytest.mark.parametrize(
    "variable", ["LLM_POOL_TASKS_MINE_PROMPT", "LLM_POOL_TASKS_JUDGE_MAX_TOKENS", "LLM_POOL_TASKS_X"]
)
def test_tasks_are_set_in_the_file_only(tmp_path: Path, variable: str) -> None:
    told = problem(tmp_path, f"[tasks.mine]\n{A}", None, **{variable: "5"})
    assert told == f"environment {variable}: [tasks.NAME] are set in the file only"


def test_what_kubernetes_sets_for_a_service_called_tasks_is_left_alone(tmp_path: Path) -> None:
    names: dict[str, Any] = {"LLM_POOL_TASKS_SERVICE_HOST": "10.0.0.1", "LLM_POOL_TASKS_PORT": "tcp://10.0.0.1:1"}
    assert loaded(tmp_path, A, None, **names).ignored == tuple(sorted(names))


def test_a_provider_may_name_a_task_as_nobody_would_name_a_file(tmp_path: Path) -> None:
    it = loaded(tmp_path, f"{A}tasks = ['{'x' * 5000}', 'a/../../b', 'chat']\n")
    assert task(it, "a/../../b").system == ""
