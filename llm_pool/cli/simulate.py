"""`llm-pool simulate`: what a configuration would have done with requests that are made up, or were recorded."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_pool.cli import codes
from llm_pool.cli.environment import merged
from llm_pool.config.catalog import Catalog
from llm_pool.config.load import ConfigError, Loaded, load
from llm_pool.core.errors import StartRefused, UnknownTask, nearest, shown
from llm_pool.simulate.plot import Curve, plot
from llm_pool.simulate.recorded import Recorded
from llm_pool.simulate.replay import replayed, unknown
from llm_pool.simulate.report import as_json, report, table
from llm_pool.simulate.scenarios import RATE, REQUESTS, SCENARIOS, Synthetic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from llm_pool.cli.output import Screen
    from llm_pool.simulate.calls import World
    from llm_pool.simulate.replay import Outcome


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be replayed: a scenario with its size, or a trace. `task`, `requests` and `rate`: None for usual."""

    scenario: str | None
    trace: Path | None
    seed: int
    requests: int | None
    rate: float | None  # per second
    task: str | None


def listed(screen: Screen) -> int:
    """The scenarios there are. Gives the exit code."""
    width = max(map(len, SCENARIOS))
    for name, scenario in SCENARIOS.items():
        screen.line(f"{name.ljust(width)}  {scenario.tells}")
    return codes.OK


def simulate(
    asked: Asked,
    screen: Screen,
    *,
    config: Path | None,
    compare: Path | None,
    env_file: Path | None,
    plot_file: Path | None,
    json: bool,
) -> int:
    """Replay it with each configuration, print what they did, and draw it. Gives the exit code."""
    # What a server would log is told by the figures.
    logging.getLogger("llm_pool").addHandler(logging.NullHandler())
    if plot_file is not None and plot_file.suffix.lower() != ".svg":
        screen.fail(f"--plot draws SVG: name a file that ends in .svg, not {shown(plot_file.name)}")
        return codes.REFUSED
    try:
        environ = merged(env_file)
        configurations = _named([load(path, environ) for path in (config, *([compare] if compare else []))])
        world, what = _world(asked, configurations, screen)
    except (ConfigError, StartRefused) as error:
        for line in error.problems if isinstance(error, ConfigError) else [str(error)]:
            screen.fail(line)
        return codes.REFUSED
    outcomes = {name: _run(world, name, loaded, asked.seed, screen) for name, loaded in configurations.items()}
    reports = [
        report(name, outcomes[name], deployments=[table.name for table in loaded.settings.providers])
        for name, loaded in configurations.items()
    ]
    if json:
        screen.json({**what, "configurations": [as_json(each) for each in reports]}, indent=2)
    else:
        screen.line(table(reports))
    return codes.OK if plot_file is None else _drawn(plot_file, what, outcomes, screen)


def _named(configurations: Sequence[Loaded]) -> Mapping[str, Loaded]:
    """By the shortest of their files' names that tells them apart."""
    names = [loaded.path.name for loaded in configurations]
    if len(set(names)) < len(names):
        names = [str(loaded.path) for loaded in configurations]
    if len(set(names)) < len(names):
        raise StartRefused(f"{names[0]} is compared with itself: name another file with --compare")
    return {shown(name, 200): loaded for name, loaded in zip(names, configurations, strict=True)}


# --- The world ------------------------------------------------------------------------------------------------------


def _world(asked: Asked, configurations: Mapping[str, Loaded], screen: Screen) -> tuple[World, dict[str, Any]]:
    """The world, and how it is called in JSON. Raises StartRefused."""
    match asked:
        case Asked(scenario=str(name), trace=None):
            return _synthetic(name, asked, configurations)
        case Asked(scenario=None, trace=None):
            raise StartRefused("nothing to replay: name a --scenario (--list shows them) or a --trace")
        case Asked(scenario=str()):
            raise StartRefused("either a --scenario or a --trace is replayed, not both")
        case Asked(requests=None, rate=None, task=None, trace=path) if path is not None:
            return _recorded(path, asked.seed, configurations, screen)
        case _:
            raise StartRefused("--requests, --rate and --task are for a --scenario: a --trace says that itself")


def _synthetic(name: str, asked: Asked, configurations: Mapping[str, Loaded]) -> tuple[World, dict[str, Any]]:
    if name not in SCENARIOS:
        near = nearest(name, SCENARIOS)
        hint = f'did you mean "{near}"?' if near else f"there are: {', '.join(SCENARIOS)}"
        raise StartRefused(f'unknown scenario "{shown(name)}"; {hint}')
    task, requests, rate = asked.task or "chat", asked.requests or REQUESTS, asked.rate or RATE
    first, *_ = [_serving(task, called, loaded) for called, loaded in configurations.items()]
    world = Synthetic(name, first, seed=asked.seed, requests=requests, rate=rate, task=task)
    return world, {"scenario": name, "seed": asked.seed, "requests": requests, "rate": rate, "task": task}


def _serving(task: str, name: str, loaded: Loaded) -> list[str]:
    """Those that are balanced over for this task, by name. Raises StartRefused where nobody is there for it."""
    tasks = Catalog.of(loaded.settings, loaded.prompts).tasks
    if task not in tasks:
        raise StartRefused(f"{name}: {UnknownTask('task', task, tasks).message}")
    if not tasks[task].providers:
        raise StartRefused(f"{name}: no provider is there for the task {task}; name another with --task")
    return [
        table.name for table in loaded.settings.providers if table.name in tasks[task].providers and not table.fallback
    ]


def _recorded(
    path: Path, seed: int, configurations: Mapping[str, Loaded], screen: Screen
) -> tuple[World, dict[str, Any]]:
    world = Recorded(path)
    for name, loaded in configurations.items():
        settings = loaded.settings
        models = [table for table in settings.providers if table.driver != "builtin"]
        if models and not world.deployments.intersection(table.name for table in models):
            recorded = ", ".join(sorted(world.deployments)) or "none"
            raise StartRefused(f"{name}: none of its providers is in the trace; recorded are: {shown(recorded, 200)}")
        if missing := unknown(world, settings):
            screen.warn(f"{name}: nothing is recorded of {', '.join(missing)}: asked last, and then it fails")
        if gone := world.deployments - {table.name for table in settings.providers}:
            screen.warn(f"{name}: recorded, but not configured there: {shown(', '.join(sorted(gone)), 200)}")
        if tasks := world.tasks - Catalog.of(settings, loaded.prompts).tasks.keys():
            screen.warn(f"{name}: does not know these tasks of the trace: {shown(', '.join(sorted(tasks)), 200)}")
    return world, {"trace": shown(str(path), 200), "seed": seed, "requests": len(world.arrivals)}


# --- Running and drawing --------------------------------------------------------------------------------------------


def _run(world: World, name: str, loaded: Loaded, seed: int, screen: Screen) -> Outcome:
    with _progress(name, len(world.arrivals), screen) as told:
        return replayed(world, loaded, seed=seed, progress=told)


@contextmanager
def _progress(name: str, requests: int, screen: Screen) -> Iterator[Callable[[int], None] | None]:
    """A bar, where somebody looks."""
    if not screen.animated:
        yield None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn  # noqa: PLC0415 - only at a terminal

    columns = TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), TaskProgressColumn()
    with Progress(*columns, console=screen.err, transient=True) as progress:
        bar = progress.add_task(name, total=requests)
        yield lambda done: progress.update(bar, completed=done)


def _drawn(path: Path, what: Mapping[str, Any], outcomes: Mapping[str, Outcome], screen: Screen) -> int:
    title = f"llm-pool simulate: {what.get('scenario') or what['trace']}, {what['requests']} requests"
    text = plot(title, [Curve(name, outcome.done, outcome.openings) for name, outcome in outcomes.items()])
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:  # a NUL in the name
        why = error.strerror if isinstance(error, OSError) else None
        screen.fail(f"{shown(str(path), 200)}: cannot be written: {(why or 'no such name').lower()}")
        return codes.REFUSED
    screen.note(f"wrote {path}")
    return codes.OK
