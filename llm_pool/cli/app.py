"""The commands, their options and their help. Typer only parses here: what it parsed is run by `run`, outside of it.

So Ctrl-C, a pipe that closed and exit codes are ours alone. Each command imports what it needs when it is called, which
keeps `serve`, `--help` and completion quick.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from llm_pool.cli import codes
from llm_pool.core.errors import StartRefused
from llm_pool.version import __version__

Work: TypeAlias = Callable[[], int]

_URL = "http://127.0.0.1:7071"
_UsageError: Any = typer.BadParameter.__base__  # typer moved it from click into itself; this name has stayed

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration file; else the one that LLM_POOL_CONFIG names, the one in this directory, or the default.",
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", metavar="FILE", help="Read environment variables from a file; those set already win."),
]
Url = Annotated[
    str, typer.Option("--url", metavar="URL", envvar="LLM_POOL_URL", help="Address of the pool's HTTP door.")
]
Model = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Who answers, such as ollama/phi3:mini; else the pool.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", metavar="N", min=1, help="How long an answer may be.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say who answered even where no terminal reads it.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors beside the answer.")]


def _settings(*examples: str, after: str = "") -> dict[str, Any]:
    """What every command has: plain help that ends with examples, whose lines stay as they are."""
    blocks = ["examples:\n" + "\n".join(f"  {example}" for example in examples), *([after] if after else [])]
    return {
        "epilog": "\n\n".join(f"\b\n{block}" for block in blocks),
        "context_settings": {"help_option_names": ["-h", "--help"]},
    }


app = typer.Typer(
    help="Many models behind one door: gRPC on :7070, HTTP on :7071.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    **_settings(
        "llm-pool init                       begin a configuration",
        "llm-pool models pull                fetch its models into Ollama",
        "llm-pool serve                      start the pool",
        'llm-pool infer chat "Say hello"     ask it',
        "llm-pool chat                       talk with it",
        after=codes.TEXT,
    ),
)
models_app = typer.Typer(
    help="See what the pool serves; fetch models into Ollama.",
    rich_markup_mode=None,
    **_settings("llm-pool models list", "llm-pool models pull phi3:mini"),
)
app.add_typer(models_app, name="models")


def run(arguments: Sequence[str] | None) -> int:
    """Parse, then do it. Gives the exit code."""
    try:
        work = app(args=arguments, prog_name="llm-pool", standalone_mode=False)
        return work() if callable(work) else int(work or codes.OK)
    except typer.Abort:  # Ctrl-C while it parsed
        return codes.INTERRUPTED
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else "llm-pool"
        text = " ".join(error.format_message().split())
        print(f"llm-pool: {text[:1].lower()}{text[1:].rstrip('.')}; see {command} --help", file=sys.stderr)
        return codes.REFUSED
    except StartRefused as error:
        print(f"llm-pool: {error}", file=sys.stderr)
        return codes.REFUSED


def _tasks(incomplete: str) -> list[str]:
    """For the shell: the tasks that are always there."""
    from llm_pool.config.prompts import BUILT_IN

    return [task for task in BUILT_IN if task.startswith(incomplete)]


def _scenarios(incomplete: str) -> list[str]:
    """For the shell."""
    from llm_pool.simulate.scenarios import SCENARIOS

    return [scenario for scenario in SCENARIOS if scenario.startswith(incomplete)]


def _show_version(asked: bool) -> None:
    if asked:
        print(f"llm-pool {__version__}")
        raise typer.Exit


def _help_if_nothing(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    _help_if_nothing(context)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    _help_if_nothing(context)


@app.command(**_settings("llm-pool serve", "llm-pool serve --config /etc/llm-pool.toml --env-file .env"))
def serve(config: Config = None, env_file: EnvFile = None) -> Work:
    """Start the server.

    It runs until SIGTERM or Ctrl-C, and then lets answers under way end.
    """
    from llm_pool.cli.serve import serve

    return partial(serve, config, env_file)


@app.command(
    **_settings(
        'llm-pool infer chat "Say hello"',
        "llm-pool infer chat - < question.txt",
        'llm-pool infer judge "..." --json | jq .decision',
        'llm-pool infer chat "Tell a story" --stream --max-tokens 1000',
        after=codes.TEXT,
    )
)
def infer(  # noqa: PLR0917 - typer calls by keyword
    task: Annotated[
        str,
        typer.Argument(metavar="TASK", help="What kind of question it is: chat, judge, ...", autocompletion=_tasks),
    ],
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="The question; - reads it from standard input.")],
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer as it comes.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of the answer as JSON; with --stream an event a line.")
    ] = False,
    model: Model = None,
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="NAME", help="How the answer is found, such as fastest.")
    ] = None,
    max_tokens: MaxTokens = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", metavar="T", min=0, max=2, help="0: steady, 2: wild.")
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option("--deadline", metavar="SECONDS", min=0.001, max=86_400, help="How long all of it may take."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 4 where the answer is degraded.")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    url: Url = _URL,
) -> Work:
    """Ask one question.

    The answer goes to standard output and nothing else does; who answered is told on standard error, where a
    terminal reads that.
    """
    from llm_pool.cli import ask
    from llm_pool.cli.output import Screen

    question = ask.Question(
        task=task,
        model=model,
        strategy=strategy,
        max_tokens=max_tokens,
        temperature=temperature,
        deadline=deadline,
    )
    screen = Screen(verbose=verbose, quiet=quiet)
    return partial(ask.infer, question, prompt, screen, url=url, stream=stream, as_json=as_json, strict=strict)


@app.command(
    **_settings("llm-pool chat", 'llm-pool chat --model ollama/llama3.1:8b --system "Answer in one sentence."')
)
def chat(  # noqa: PLR0917 - typer calls by keyword
    model: Model = None,
    task: Annotated[str, typer.Option("--task", metavar="TASK", help="What kind of conversation it is.")] = "chat",
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="What the models are told before all else.")
    ] = None,
    max_tokens: MaxTokens = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    url: Url = _URL,
) -> Work:
    """Talk with the pool.

    Ctrl-C stops an answer; Ctrl-D, or Ctrl-C at the prompt, leaves. Where standard input is no terminal, each of its
    lines is a question.
    """
    from llm_pool.cli.chat import Chat
    from llm_pool.cli.output import Screen

    screen = Screen(verbose=verbose, quiet=quiet)
    return Chat(url, screen, task=task, model=model, system=system, max_tokens=max_tokens).run


@models_app.command("list", **_settings("llm-pool models list", "llm-pool models list --json"))
def models_list(as_json: AsJson = False, url: Url = _URL) -> Work:
    """Show what the pool serves, and how it is.

    A table at a terminal; in a pipe, plain names that may be given as --model, one a line.
    """
    from llm_pool.cli.models import listed
    from llm_pool.cli.output import Screen

    return partial(listed, Screen(), url=url, as_json=as_json)


@models_app.command(
    "pull",
    **_settings(
        "llm-pool models pull", "llm-pool models pull phi3:mini", "llm-pool models pull --host 10.0.0.5 llama3.1:8b"
    ),
)
def models_pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME", help="Ollama's names. Without one: all models of the configuration that are missing."
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="HOST", help="Where Ollama listens. Else OLLAMA_HOST, or the configuration."),
    ] = None,
    config: Config = None,
    env_file: EnvFile = None,
    quiet: Quiet = False,
) -> Work:
    """Fetch models into Ollama.

    What has been fetched when it is stopped need not be fetched again.
    """
    from llm_pool.cli.output import Screen
    from llm_pool.cli.pull import pull

    return partial(pull, names or [], Screen(quiet=quiet), host=host, config=config, env_file=env_file)


@app.command(
    "check-config",
    **_settings("llm-pool check-config", "llm-pool check-config my.toml && llm-pool serve --config my.toml"),
)
def check_config(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Configuration file.")] = None,
    config: Config = None,
    env_file: EnvFile = None,
) -> Work:
    """Check a configuration and show what it means.

    Prints every value with its origin, and what is not active yet. Exits with 2 where serve would refuse it; only the
    ports and the log file are not tried.
    """
    from llm_pool.cli.config import check

    return partial(check, file if config is None else config, env_file)


@app.command(**_settings("llm-pool init", "llm-pool init --prompts /etc/llm-pool/llm-pool.toml"))
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write.")] = Path("llm-pool.toml"),
    prompts: Annotated[
        bool, typer.Option("--prompts", help="Also those default prompts that the folder beside it lacks.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> Work:
    """Write a configuration to begin with.

    It is the built-in default, with every key explained.
    """
    from llm_pool.cli.config import init

    return partial(init, file, prompts=prompts, force=force)


@app.command(
    **_settings(
        "llm-pool simulate --scenario outage",
        "llm-pool simulate --scenario heavy --compare other.toml --plot heavy.svg",
        "llm-pool simulate --trace trace.jsonl --config new.toml --json",
        after="scenarios:\n  steady  heavy  drift  incident  outage  brownout  overload  ratelimits",
    )
)
def simulate(  # noqa: PLR0917 - typer calls by keyword
    scenario: Annotated[
        str | None,
        typer.Option("--scenario", metavar="NAME", help="What happens; --list explains.", autocompletion=_scenarios),
    ] = None,
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="FILE", help="What [telemetry] trace_file has recorded.")
    ] = None,
    config: Config = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="FILE", help="A second configuration, side by side.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.svg", help="Draw it over time, as an SVG file.")
    ] = None,
    requests: Annotated[
        int | None, typer.Option("--requests", metavar="N", min=1, max=1_000_000, help="How many; else 6000.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="R", min=0.001, max=10_000, help="Requests per second; else 5.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="What they are for; else chat.", autocompletion=_tasks)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Equal seeds give equal figures.")] = 0,
    listing: Annotated[bool, typer.Option("--list", help="Show the scenarios and exit.")] = False,
    as_json: AsJson = False,
    env_file: EnvFile = None,
    quiet: Quiet = False,
) -> Work:
    """Show what a configuration would have done.

    Its dispatch is asked on a clock that jumps, with providers that take as long and fail as a scenario says, or a
    trace that was recorded. No model is asked.
    """
    from llm_pool.cli import simulate
    from llm_pool.cli.output import Screen

    screen = Screen(quiet=quiet)
    if listing:
        return partial(simulate.listed, screen)
    asked = simulate.Asked(scenario, trace, seed=seed, requests=requests, rate=rate, task=task)
    return partial(
        simulate.simulate,
        asked,
        screen,
        config=config,
        compare=compare,
        env_file=env_file,
        plot_file=plot,
        json=as_json,
    )
