"""Follow the files of the configuration: a sound change is applied, any other refused whole, and either is told."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING

from llm_pool.config.problems import ConfigError
from llm_pool.config.watch import changes
from llm_pool.core.errors import StartRefused
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_pool.app import Alive
    from llm_pool.config.load import Loaded
    from llm_pool.config.settings import Settings
    from llm_pool.pool import Pool

log = logging.getLogger(__name__)

# What the process was started with: sockets are bound, the log is open.
AT_START = ("server", "auth", "telemetry")


async def follow(
    alive: Alive, loaded: Loaded, environ: Mapping[str, str], *, check: Callable[[Settings], None]
) -> None:
    """Runs until it is cancelled. `loaded` is what the pool was started with; `check` raises StartRefused for settings
    that it could not be started with again.
    """
    pool = alive.pool
    refused = ("", "")  # the version that could not be begun, and why: it is told of at every look
    async with aclosing(changes(loaded, environ, in_use=lambda: pool.version)) as found:
        async for change in found:
            if isinstance(change, ConfigError):
                _refuse(pool, str(change).replace(f"{loaded.path.parent}/", ""))  # callers see it: no paths of ours
            elif change.version != pool.version:
                try:
                    check(change.settings)
                    await apply(alive, change)
                except Exception as error:  # noqa: BLE001 - a bug met in one state must not end the following of others
                    bug = None if isinstance(error, StartRefused) else error
                    why = "unexpected error" if bug else str(error)
                    if refused != (change.version, why) or pool.config_error != why:
                        refused = (change.version, why)
                        _refuse(pool, why, bug=bug)
            elif pool.config_error is not None:  # it was refused meanwhile, and is again what it was
                pool.config_error = None
                log.info("the configuration is sound again", extra=fields(config_version=pool.version))


async def apply(alive: Alive, loaded: Loaded) -> None:
    """Change over to this configuration. Raises StartRefused, and then nothing has changed."""
    pool = alive.pool
    started = pool.settings
    waiting = _waiting(started, loaded.settings)
    await alive.apply(loaded.keeping({section: getattr(started, section) for section in AT_START}))
    pool.config_error = None
    pool.metrics.reloads("applied").inc()
    log.info("configuration changed", extra=fields(config_version=pool.version))
    if waiting:
        log.warning("takes effect after restart", extra=fields(keys=waiting))


def _refuse(pool: Pool, why: str, *, bug: Exception | None = None) -> None:
    pool.config_error = why
    pool.metrics.reloads("refused").inc()
    log.error(
        "changed configuration refused, the one before stays",
        extra=fields(why=why, config_version=pool.version),
        exc_info=bug,
    )


def _waiting(now: Settings, wanted: Settings) -> list[str]:
    """The keys that a restart would change."""
    return [
        f"{section}.{key}"
        for section in AT_START
        for key in type(getattr(now, section)).model_fields
        if getattr(getattr(now, section), key) != getattr(getattr(wanted, section), key)
    ]
