"""check-config shows every value with its origin and no secret; the reference page is up to date."""

from __future__ import annotations

import re
from pathlib import Path

from llm_pool.config.load import load
from llm_pool.config.reference import markdown
from llm_pool.config.report import report

REPOSITORY = Path(__file__).parents[2]


def test_the_default_file_is_reported_with_origins_and_fits_a_terminal() -> None:
    text = report(load(REPOSITORY / "llm-pool.toml", {"LLM_POOL_PORT": "tcp://10.0.0.1:1", "MAX_RETRIES": "4"}), {})
    assert 'http_addr       = "127.0.0.1:7071"  # llm-pool.toml:' in text
    assert "enable_http     = true              # default" in text
    assert re.search(r'base_url += "http://127.0.0.1:11434" +# default', text)
    assert "max_retries             = 4           # environment MAX_RETRIES" in text
    assert "answered by fastest until it is built:\n  tasks.site_tactics.strategy" in text
    judge = "judge              judge of llama, gemma, builtin  # prompts/judge.md\n"
    assert f"  {judge}                     Choose the best of several candidates, or none\n" in text
    assert text.endswith("environment variables left alone:\n  LLM_POOL_PORT\n")
    assert max(map(len, text.split("\npath")[0].splitlines()[2:])) <= 100


def test_an_empty_task_table_is_reported_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "llm-pool.toml"
    path.write_text('[tasks.mine]\n[[providers]]\nname = "a"\ndriver = "sim"\nmodel = "m"\n')
    text = report(load(path, {}), {})
    assert "[tasks.mine]\n" in text
    assert "  mine               fastest of a  # no prompt\n" in text


def test_keys_are_references_and_headers_are_masked(tmp_path: Path) -> None:
    path = tmp_path / "llm-pool.toml"
    path.write_text(
        '[[providers]]\nname = "a.b"\ndriver = "sim"\nmodel = "x"\napi_key = "env:KEY"\n'
        'extra_headers = { X-Team = "canary", accuracy = "canary" }\n[providers.sim]\nanswers = ["'
        + "long "
        * 20
        + '", "b"]\n'
        'json_schema = { type = "object" }\n'
    )
    it = load(path, {"KEY": "canary"})
    assert it.pending == ()
    text = report(it, {})
    assert '"env:KEY"' in text
    assert 'extra_headers.X-Team      = "***"' in text
    assert 'sim.json_schema           = {"type": "object"}' in text
    assert "canary" not in text


def test_the_reference_page_is_what_the_settings_say() -> None:
    """To update it: python -m llm_pool.config.reference > docs/configuration.md"""
    assert (REPOSITORY / "docs" / "configuration.md").read_text() == markdown()
