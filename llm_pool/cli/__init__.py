"""The command line: `llm-pool serve` and `llm-pool check-config`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from llm_pool.config.load import ConfigError, Loaded, load
from llm_pool.core.errors import StartRefused
from llm_pool.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OK, REFUSED, INTERRUPTED = 0, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 2 with one line on standard error."""
    options = _parser().parse_args(arguments)
    try:
        environ = _environ(options.env_file)
        if options.command == "check-config":
            return _check_config(load(options.config, environ), environ)
        from llm_pool.serve import serve  # noqa: PLC0415 - the server's imports take half a second

        serve(load(options.config, environ), environ)
    except (ConfigError, StartRefused) as error:
        print(f"llm-pool: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:  # before the server listens to signals
        return INTERRUPTED
    except BrokenPipeError:  # `llm-pool check-config | head`: who read us has gone, and so has standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
    for command in (serve, check):
        command.add_argument("--env-file", type=Path, metavar="FILE", help="read environment variables from a file")
    return parser


def _environ(env_file: Path | None) -> Mapping[str, str]:
    """The environment; of a file, those names that it does not have already. Raises ConfigError."""
    if env_file is None:
        return os.environ
    from dotenv import dotenv_values  # noqa: PLC0415 - only where it is asked for

    if not env_file.is_file():
        raise ConfigError(f"{env_file}: no such file")
    given = dotenv_values(env_file, interpolate=False)
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
