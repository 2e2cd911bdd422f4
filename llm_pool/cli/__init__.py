"""The command line: `llm-pool serve` and `llm-pool check-config`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from llm_pool.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_pool.config.load import Loaded

OK, REFUSED, INTERRUPTED = 0, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 2 with what is wrong on standard error, a line each."""
    try:
        _open_standard_streams()
        return _run(_parser().parse_args(arguments))
    except KeyboardInterrupt:  # before the server listens to signals
        return INTERRUPTED
    except BrokenPipeError:  # `llm-pool check-config | head`: who read us has gone, and so has standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:  # of standard output: what else can fail is told by those who try it
        print(f"llm-pool: cannot write: {(error.strerror or '').lower()}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED


def _open_standard_streams() -> None:
    """Somebody may have closed them (`>&-`); the next file or socket to be opened would then be taken for one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for as long as we run
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


def _run(options: argparse.Namespace) -> int:
    # Here, and not above, so that Ctrl-C during the half second of imports is a Ctrl-C like any other.
    from llm_pool.config.load import ConfigError, load  # noqa: PLC0415
    from llm_pool.core.errors import StartRefused  # noqa: PLC0415

    checking = options.command == "check-config"
    try:
        environ = _environ(options.env_file)
        loaded = load(options.config, environ)
        if checking:
            return _check_config(loaded, environ)
        from llm_pool.serve import serve  # noqa: PLC0415

        serve(loaded, environ)
    except ConfigError as error:
        for line in error.problems if checking else [str(error)]:
            print(f"llm-pool: {line}", file=sys.stderr)
        return REFUSED
    except StartRefused as error:
        print(f"llm-pool: {error}", file=sys.stderr)
        return REFUSED
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-pool",
        description="Many models behind one door: gRPC on :7070, HTTP on :7071.",
        epilog="examples:\n  llm-pool serve\n  llm-pool serve --config /etc/llm-pool.toml --env-file .env\n"
        "  llm-pool check-config\n\nWithout --config: LLM_POOL_CONFIG, ./llm-pool.toml, or the built-in default.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"llm-pool {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="start the server", description="Serve until SIGTERM or Ctrl-C.")
    serve.add_argument("--config", type=Path, metavar="FILE", help="configuration file")
    check = commands.add_parser(
        "check-config",
        help="check a configuration and show what it means",
        description="Print every value with its origin, and what is not active yet. Exits 2 where the file is refused.",
    )
    check.add_argument("config", type=Path, nargs="?", metavar="FILE", help="configuration file")
    check.add_argument("--config", type=Path, metavar="FILE", dest="config", default=argparse.SUPPRESS, help="the same")
    for command in (serve, check):
        command.add_argument("--env-file", type=Path, metavar="FILE", help="read environment variables from a file")
    return parser


def _environ(env_file: Path | None) -> Mapping[str, str]:
    """The environment; of a file, those names that it does not have already. Raises ConfigError."""
    if env_file is None:
        return os.environ
    from dotenv import dotenv_values  # noqa: PLC0415 - only where it is asked for

    from llm_pool.config.load import ConfigError  # noqa: PLC0415

    if not env_file.exists():
        raise ConfigError(f"{env_file}: no such file")
    if not env_file.is_file():
        raise ConfigError(f"{env_file}: is not a file")
    try:
        given = dotenv_values(env_file, interpolate=False)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{env_file}: cannot be read: {why}") from None
    return {**{name: value for name, value in given.items() if value is not None}, **os.environ}


def _check_config(loaded: Loaded, environ: Mapping[str, str]) -> int:
    """Everything that `serve` would refuse, short of the ports, is refused here too."""
    from llm_pool.app import providers  # noqa: PLC0415
    from llm_pool.config.report import report  # noqa: PLC0415
    from llm_pool.serve import refuse_unsafe  # noqa: PLC0415

    refuse_unsafe(loaded.settings)
    providers(loaded.settings, environ)
    print(report(loaded), flush=True)
    return OK
