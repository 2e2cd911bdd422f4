"""What every command that talks to a pool shares: one client, one loop, one way to tell its errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llm_pool.cli import codes
from llm_pool.client import Client, ClientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llm_pool.cli.output import Screen


def called(url: str, screen: Screen, work: Callable[[Client], Awaitable[int]]) -> int:
    """Do it with an open client; errors are told. Gives the exit code. Ctrl-C hangs up and is a KeyboardInterrupt."""
    try:
        client = Client(url)
    except ValueError as error:
        screen.fail(str(error))
        return codes.REFUSED
    try:
        return asyncio.run(_called(client, work))
    except ClientError as error:
        return screen.failed(error)


async def _called(client: Client, work: Callable[[Client], Awaitable[int]]) -> int:
    async with client:
        return await work(client)
