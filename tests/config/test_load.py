"""What the file says becomes settings with their origins, or one line that says what is wrong and where."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from llm_pool.config.load import ConfigError, Loaded, choose, load

REPOSITORY = Path(__file__).parents[2]
PROVIDER = '[[providers]]\nname = "phi3"\ndriver = "ollama"\nmodel = "phi3:mini"\n'
LEVELS = '"debug" or "info" or "warning" or "error"'
CANARY = "sk-do-not-print-me"


def loaded(directory: Path, text: str, environ: dict[str, str] | None = None) -> Loaded:
    path = directory / "llm-pool.toml"
    path.write_text(text)
    return load(path, environ or {})


def problems(directory: Path, text: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(directory, text, environ)
    assert str(caught.value).isprintable()
    assert CANARY not in str(caught.value.problems)
    return caught.value.problems


def test_the_default_file_loads_and_says_what_is_not_active_yet() -> None:
    it = load(REPOSITORY / "llm-pool.toml", {})
    assert [table.name for table in it.settings.providers] == ["phi3", "llama", "gemma", "builtin"]
    assert [key for key, _ in it.pending] == [
        "tasks.site_tactics.strategy",
        "tasks.rerank_candidates.strategy",
        "tasks.judge.strategy",
    ]
    assert it.ignored == ()


def test_the_default_file_with_every_comment_taken_away_changes_no_default(tmp_path: Path) -> None:
    """What stands behind a `#` is a default, but for examples: [auth], a task, an alias, the judge and providers."""
    text = (REPOSITORY / "llm-pool.toml").read_text()
    commented = r"^# (\[[a-z.]+\]$|\[\[providers\]\]|\"[^\"]+\" = |[a-z_]+ = )"
    bare, count = re.subn(commented, r"\1", text, flags=re.MULTILINE)
    assert count > 30
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "summarise.md").write_text("Summarise.")
    stated = loaded(tmp_path, bare).settings
    plain = load(REPOSITORY / "llm-pool.toml", {}).settings
    examples = {"auth": plain.auth, "tasks": plain.tasks, "providers": plain.providers, "models": plain.models}
    assert stated.judge.model_provider in {table.name for table in plain.providers}
    judge = stated.judge.model_copy(update={"model_provider": ""})
    assert stated.model_copy(update={**examples, "judge": judge}) == plain


def test_version_path_and_origins(tmp_path: Path) -> None:
    text = 'server.http_addr = "127.0.0.1:1"\n' + PROVIDER + "accuracy = 0.5\n"
    it = loaded(tmp_path, text)
    assert re.fullmatch("[0-9a-f]{12}", it.version)
    assert loaded(tmp_path, text).version == it.version != loaded(tmp_path, text + "\n").version
    assert it.path == tmp_path / "llm-pool.toml"
    assert it.origins["server.http_addr"] == "llm-pool.toml:1"
    assert it.origins["server.grpc_addr"] == "default"
    assert it.origins["providers.phi3.model"] == "llm-pool.toml:5"
    assert it.origins["providers.phi3.sim.first_token.median_ms"] == "default"
    assert it.pending == (("providers.phi3.accuracy", "llm-pool.toml:6"),)


def test_what_is_set_and_not_active_yet_is_listed(tmp_path: Path) -> None:
    text = '[ensemble]\ndefault_strategy = "JUDGE"\n[cache]\nenabled = true\n' + PROVIDER
    it = loaded(tmp_path, text)
    assert it.pending == (
        ("ensemble.default_strategy", "llm-pool.toml:2"),
        ("cache.enabled", "llm-pool.toml:4"),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[server]\nprot = 1\n", '2: unknown key "prot" in [server]'),
        ("[server]\nhttp_adr = 1\n", '2: unknown key "http_adr" in [server]; did you mean "http_addr"?'),
        ("[server]\nlog_level = 1\n", '2: unknown key "log_level" in [server]; it belongs in [telemetry]'),
        ("log_level = 1\n", '1: unknown key "log_level"; it belongs in [telemetry]'),
        ("[sever]\n", "1: unknown section [sever]; did you mean [server]?"),
        ("[[provider]]\n", "1: unknown section [provider]; did you mean [[providers]]?"),
        ("server = 1\n", "1: server: must be a table (got 1)"),
        ("[qos]\n\nmax_deadline_ms = 0\n", "3: qos.max_deadline_ms: must be 1 or more (got 0)"),
        ("[qos]\nmax_deadline_ms = true\n", "2: qos.max_deadline_ms: must be a whole number (got true)"),
        ("[qos]\nmax_retries = 1.5\n", "2: qos.max_retries: must be a whole number (got 1.5)"),
        ("[qos]\nmax_retries = 11\n", "2: qos.max_retries: must be 10 or less (got 11)"),
        ("[qos]\nmax_retries = 0x" + "f" * 9999, "2: qos.max_retries: must be 10 or less (got a huge number)"),
        ("[breaker]\nfail_rate = 1.5\n", "2: breaker.fail_rate: must be 1 or less (got 1.5)"),
        ("[breaker]\nfail_rate = nan\n", "2: breaker.fail_rate: must be a finite number (got nan)"),
        ("[server]\nhttp_addr = 7071\n", "2: server.http_addr: must be a string (got 7071)"),
        ('[server]\nhttp_addr = "7071"\n', '2: server.http_addr: "7071" must look like 127.0.0.1:7071'),
        ("[server]\nenable_http = 1\n", "2: server.enable_http: must be true or false (got 1)"),
        ("[server]\nworkers = 2\n", "2: server.workers: more than one worker is not possible yet"),
        ('[server]\nallowed_hosts = "a"\n', '2: server.allowed_hosts: must be a list (got "a")'),
        ('[server]\nallowed_hosts = [\n"a",\n2]\n', "4: server.allowed_hosts item 2: must be a string (got 2)"),
        (
            "[server]\nenable_http = false\nenable_grpc = false\n",
            "3: server: enable_grpc and enable_http are both false: nothing would be served",
        ),
        (
            "[qos]\nmax_deadline_ms = 500\n",
            "2: qos: default_deadline_ms (30000) is larger than max_deadline_ms (500)",
        ),
        (
            '[telemetry]\nlog_level = "INFO"\n',
            f'2: telemetry.log_level: must be {LEVELS} (got "INFO"); did you mean "info"?',
        ),
        (
            '[ensemble.strategy_by_task]\nchat = "fastest"\nx = "judg"\n',
            '3: ensemble.strategy_by_task.x: unknown strategy "judg"; did you mean "judge"?',
        ),
        ('[judge]\nmodel_provider = "phi"\n' + PROVIDER,
         '2: judge.model_provider names no [[providers]] table: "phi"; did you mean "phi3"?'),
        ("[auth]\nmode = 1979-05-27\n", '2: auth.mode: must be "auto" or "off"'),
        ("[qos]\n", "1: no [[providers]] table: nobody could answer"),
        ("[providers]\nname = 1\n", "1: providers: must be [[providers]] tables, with two brackets"),
        (PROVIDER + "wieght = 1\n", '5: unknown key "wieght" in [[providers]] "phi3"; did you mean "weight"?'),
        (PROVIDER + "weight = 0\n", "5: providers.phi3.weight: must be above 0 (got 0)"),
        (PROVIDER + "[[providers]]\ndriver = 'sim'\nmodel = 'x'\n", "5: [[providers]] number 2 has no name"),
        (PROVIDER + '[[providers]]\nname = 1\ndriver = "sim"\nmodel = "x"\n',
         "6: [[providers]] number 2, name: must be a string (got 1)"),
        (PROVIDER + PROVIDER, '6: two [[providers]] tables are named "phi3"'),
        (PROVIDER + 'models = ["a"]\n', "4: providers.phi3: needs either model or models"),
        (PROVIDER + "[providers.sim]\nsed = 1\n",
         '6: unknown key "sed" in [providers.sim] of [[providers]] "phi3"; did you mean "seed"?'),
        (
            PROVIDER + "[providers.sim.first_token]\nmedian_ms = 5\np99_ms = 1\n",
            "7: providers.phi3.sim.first_token: p99_ms must not be below median_ms, and median_ms must be above 0",
        ),
        ('[[providers]]\nname = "a b"\ndriver = "olama"\nmodel = "x"\n',
         '2: providers.a b.name: must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit (got "a b")'),
        ("[server]\nhttp_addr = \n", "2: not TOML: invalid value (column 13)"),
        ('[server]\n\nhttp_addr = """\n', "3: not TOML: unterminated string (end of file)"),
        ("a = 1\na = 2\n", "2: not TOML: cannot overwrite a value (column 6)"),
        ("a = " + "9" * 5000, "1: holds a value that cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    if "[[" not in text and "no [[providers]]" not in problem and not text.startswith("[providers]"):
        text += "\n" * (not text.endswith("\n")) + (PROVIDER if "not TOML" not in problem else "")
    assert problems(tmp_path, text)[0] == f"llm-pool.toml:{problem}"


def test_several_mistakes_are_all_kept_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = PROVIDER + "weight = 0\n[qos]\nmax_retries = 11\n[server]\nfoo = 1\n"
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, {"LLM_POOL_QOS_MAX_DEADLINE_MS": "0", "LLM_POOL_QOS_HEDGE_AFTER_MS": "x"})
    assert str(caught.value) == (
        "llm-pool.toml:5: providers.phi3.weight: must be above 0 (got 0) (and 4 more: see check-config)"
    )
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [
        "llm-pool.toml:5", "llm-pool.toml:7", "llm-pool.toml:9",
        "environment LLM_POOL_QOS_MAX_DEADLINE_MS", "environment LLM_POOL_QOS_HEDGE_AFTER_MS",
    ]  # fmt: skip


def test_thousands_of_mistakes_are_cut_short(tmp_path: Path) -> None:
    found = problems(tmp_path, "".join(f"key{number} = 1\n" for number in range(5000)) + PROVIDER)
    assert len(found) == 101
    assert found[-1] == "llm-pool.toml: 4900 more problems"


@pytest.mark.parametrize(
    "line",
    [
        f'api_key = "{CANARY}"',
        f'api_key = ["{CANARY}"]',
        f'extra_headers = "{CANARY}"',
        f'extra_headers = {{ Authorization = ["{CANARY}"] }}',
        f'extra_headers = {{ Authorization = "{CANARY}\\n" }}',
        f'base_url = "http://user:{CANARY}@host"',
        f'apikey = "{CANARY}"',
        f'sim = "{CANARY}',
        f"{CANARY}",
    ],
)
def test_no_message_shows_a_secret(tmp_path: Path, line: str) -> None:
    """`problems` looks for it in every line."""
    assert problems(tmp_path, PROVIDER + line + "\n")[0].startswith("llm-pool.toml:5: ")


def test_a_key_in_place_of_a_reference_is_refused_without_showing_it(tmp_path: Path) -> None:
    assert problems(tmp_path, PROVIDER + f'api_key = "{CANARY}"\n') == (
        "llm-pool.toml:5: providers.phi3.api_key: must be a reference, env:NAME or file:PATH, never the key itself",
    )


def test_whole_numbers_are_taken_for_fractions_and_a_byte_order_mark_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "llm-pool.toml"
    path.write_bytes(b"\xef\xbb\xbf" + PROVIDER.replace("\n", "\r\n").encode() + b"weight = 2\r\n")
    it = load(path, {})
    assert it.settings.providers[0].weight == 2.0
    assert it.origins["providers.phi3.weight"] == "llm-pool.toml:5"


def test_files_that_are_none(tmp_path: Path) -> None:
    def said(path: Path, environ: dict[str, str] | None = None) -> str:
        with pytest.raises(ConfigError) as caught:
            load(path if environ is None else None, environ or {})
        return str(caught.value).replace(str(tmp_path), "DIR")

    assert said(tmp_path / "none.toml") == "DIR/none.toml: no such file"
    assert said(tmp_path) == "DIR: is not a file"
    assert said(Path("a\nb")) == "a?b: no such file"
    named = {"LLM_POOL_CONFIG": str(tmp_path / "none.toml")}
    assert said(tmp_path, named) == "environment LLM_POOL_CONFIG: DIR/none.toml: no such file"
    path = tmp_path / "llm-pool.toml"
    path.write_bytes(b"# \n# \xff\n")
    assert said(path) == "llm-pool.toml:2: is not UTF-8"
    path.write_bytes(b"#" * (256 * 1024 + 1))
    assert said(path) == "DIR/llm-pool.toml: larger than 256 KB"


def test_a_key_of_twenty_thousand_parts_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "llm-pool.toml"
    path.write_text("[server]\n" + ".".join("a" * 20_000) + " = 1\n")
    begun = time.monotonic()
    with pytest.raises(ConfigError, match=r"llm-pool\.toml:2: a key of more than 33 parts"):
        load(path, {})
    assert time.monotonic() - begun < 1.0  # about 1 ms; tomllib would take ten seconds


def test_which_file_is_loaded(tmp_path: Path) -> None:
    """The one named on the command line, by the environment, the one in this directory, the packaged one."""
    packaged = tmp_path / "package" / "llm-pool.toml"
    packaged.parent.mkdir()
    named = {"LLM_POOL_CONFIG": "other.toml"}
    with pytest.raises(ConfigError, match=r"no llm-pool\.toml in this directory"):
        choose(None, {}, here=tmp_path, packaged=(packaged,))
    packaged.write_text(PROVIDER)
    assert choose(None, {}, here=tmp_path, packaged=(packaged.parent / "absent", packaged)) == (packaged, "")
    (tmp_path / "llm-pool.toml").write_text(PROVIDER)
    assert choose(None, {}, here=tmp_path, packaged=(packaged,)) == (tmp_path / "llm-pool.toml", "")
    assert choose(None, {"LLM_POOL_CONFIG": " "}, here=tmp_path)[0] == tmp_path / "llm-pool.toml"
    assert choose(None, named, here=tmp_path) == (tmp_path / "other.toml", "LLM_POOL_CONFIG")
    assert choose(Path("mine.toml"), named, here=tmp_path) == (Path("mine.toml"), "")


def test_two_edges_cannot_listen_on_one_address(tmp_path: Path) -> None:
    file = tmp_path / "llm-pool.toml"
    table = '[[providers]]\nname = "a"\ndriver = "sim"\nmodel = "m"\n'
    file.write_text(f'[server]\ngrpc_addr = "127.0.0.1:7000"\nhttp_addr = "127.0.0.1:7000"\n{table}')
    with pytest.raises(ConfigError, match=r"llm-pool\.toml:3: .*the same"):
        load(file, {})
