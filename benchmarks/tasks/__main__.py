"""`python -m benchmarks.tasks`: ask each model of a pool every labelled example, and compare."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, TCPConnector

from benchmarks.tasks import client, examples, report, server
from benchmarks.tasks.client import NotMeasured
from benchmarks.tasks.run import ROUTED, ask_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.tasks.client import Reply
    from benchmarks.tasks.examples import Example
    from benchmarks.tasks.run import Outcome

OK, MISSED, CANNOT = 0, 1, 2
MOST_AT_A_TIME = 256
LONGEST = 600.0  # seconds that a deadline may be


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    outcomes: list[Outcome] = []
    stopped = False
    try:
        asyncio.run(_measure(options, outcomes))
    except (KeyboardInterrupt, asyncio.CancelledError):
        stopped = True
    except (NotMeasured, OSError) as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        if not outcomes:
            return CANNOT
        stopped = True
    return _told(options, outcomes, stopped=stopped)


async def _measure(options: argparse.Namespace, outcomes: list[Outcome]) -> None:
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    tasks = [examples.of_task(task) for task in dict.fromkeys(options.task or examples.TASKS)]
    async with _asked_pool(options.url) as session:
        models = await chosen_models(session, options.model)
        _tell(f"{len(models)} x {sum(map(len, tasks))} questions: {', '.join(models)}")

        async def ask(example: Example, model: str) -> Reply:
            named = None if model == ROUTED else model
            return await client.ask(session, example.task, example.prompt, model=named, deadline=options.deadline)

        await ask_all(ask, models, tasks, into=outcomes, concurrency=options.concurrency, tell=_tell)


async def chosen_models(session: ClientSession, named: Sequence[str] | None) -> list[str]:
    """Those that were named, or all that are usable; always the embedded engine where there is one, and the pool."""
    usable = await client.usable_models(session)
    embedded = [report.BUILTIN] if report.BUILTIN in usable else []
    return list(dict.fromkeys([*embedded, *(named or usable), ROUTED]))


@asynccontextmanager
async def _asked_pool(url: str | None) -> AsyncIterator[ClientSession]:
    if url is None:
        async with server.pool() as own, _asked_pool(own) as session:
            yield session
        return
    async with ClientSession(url, connector=TCPConnector(limit=0)) as session:
        yield session


def _told(options: argparse.Namespace, outcomes: Sequence[Outcome], *, stopped: bool) -> int:
    """Print and write what there is. The exit code."""
    print(report.table(report.rows(outcomes)))
    for trouble in report.troubles(outcomes):
        print(f"TROUBLE {trouble}")
    embedded = [one for one in outcomes if one.asked == report.BUILTIN]
    promises = report.promises(embedded)
    if promises:
        print(f"\n{report.BUILTIN} and its limits\n{report.promise_table(promises)}")
    if options.json:
        _write(options.json, outcomes, promises)
    if stopped:
        print("stopped before the end: nothing is said about limits", file=sys.stderr)
        return CANNOT
    if not any(one.score for one in outcomes):
        print("cannot measure: there is not one valid answer", file=sys.stderr)
        return CANNOT
    if not promises:
        print(f"{report.BUILTIN} is not in this pool, so no limits apply")
    missed = [f"{each.task}: {each.what}" for each in promises if not each.kept]
    if missed:
        print(f"missed: {'; '.join(missed)}")
    return MISSED if missed else OK


def _write(path: Path, outcomes: Sequence[Outcome], promises: Sequence[report.Promise]) -> None:
    told = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": [asdict(each) for each in report.rows(outcomes)],
        "limits": [{**asdict(each), "kept": each.kept} for each in promises],
        "answers": [_answer(one) for one in outcomes],
    }
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _answer(one: Outcome) -> dict[str, Any]:
    return {
        "asked": one.asked,
        "model": one.reply.model,
        "task": one.example.task,
        "example": one.example.id,
        "score": one.score.value if one.score else None,
        "failed": list(one.score.failed) if one.score else [],
        "ms": round(one.reply.ms, 3),
        "degraded": one.reply.degraded,
        "error": one.error,
        "content": one.reply.content,
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tasks", description=__doc__)
    parser.add_argument("--url", type=_url, help="a running pool, such as http://127.0.0.1:7071 (default: start one)")
    parser.add_argument("--model", action="append", metavar="ID", help="only this one, such as ollama/phi3:mini; again")
    parser.add_argument("--task", action="append", choices=examples.TASKS, help="only this task; may be given again")
    parser.add_argument("--concurrency", type=_count, default=1, help="questions at a time (default 1)")
    parser.add_argument("--deadline", type=_seconds, default=60.0, metavar="S", help="seconds for each (default 60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every answer there")
    return parser.parse_args(arguments)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise argparse.ArgumentTypeError("must be like http://host:port")
    return f"{parts.scheme}://{parts.netloc}"


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_AT_A_TIME:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MOST_AT_A_TIME}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1.0 <= value <= LONGEST:
        raise argparse.ArgumentTypeError(f"must be from 1 to {LONGEST:.0f}")
    return value


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
