"""How every process of ours begins and ends: with three standard streams, and an exit code whatever happens.

It imports nothing of weight: what a command needs is imported inside of it, where Ctrl-C is a Ctrl-C like any other.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

OK, REFUSED, INTERRUPTED = 0, 2, 130


def ended(command: Callable[[], int]) -> int:
    """Run it; the exit code is its own, or what its end by Ctrl-C or by standard output comes to."""
    try:
        _open_standard_streams()
        code = command()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `llm-pool check-config | head`: who read us has gone, and so has standard output
        _silence()
        return OK
    except OSError as error:  # of standard output: what else can fail is told by those who try it
        print(f"llm-pool: cannot write: {(error.strerror or '').lower()}", file=sys.stderr)  # noqa: T201
        _silence()
        return REFUSED


def hold_interrupts() -> None:
    """Keep a Ctrl-C for the program that replaces this one, until it calls `allow_interrupts`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def allow_interrupts() -> None:
    """From here on a Ctrl-C is heard, and one that was held back is heard now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _open_standard_streams() -> None:
    """Somebody may have closed them (`>&-`); the next file or socket to be opened would then be taken for one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(number, True)  # for a program that replaces this one, too
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for as long as we run
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


def _silence() -> None:
    """What is still to be written goes nowhere, and Python does not complain about it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
