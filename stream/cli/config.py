"""driftline config."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream.cli.options import config as option
from stream.cli.options import settings_of
from stream.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from stream.bus.configuration_log import Announced, Announcement
    from stream.detect.configurations import Configurations, InForce
    from stream.settings import Settings


@click.group
def config() -> None:
    """Change what counts and judges while workers run, and look at it."""


@config.command
@option(required=True)
@click.option("--at-rest", is_flag=True, help="No worker runs: anything may change.")
def publish(path: Path, at_rest: bool) -> None:
    """Announce a configuration to all workers; none has to be started again.

    It counts and judges from one border of panes on, in event time, which is printed. Everything is
    checked first: all mistakes at once, exit code 2.

    Example: driftline config publish -c driftline.yaml
    """
    from stream import configured
    from stream.bus.configuration_log import CHANGED, RESTARTED

    settings = settings_of(path)
    before = _read(settings)
    known = _in_force(settings, before)
    if at_rest:
        asyncio.run(_refuse_running(settings))
    elif known is not None:
        _refuse_fixed(settings, before, known)
    if known is not None and known.known[-1].spec.config_hash == settings.detector.config_hash:
        click.echo(f"nothing to do: {known.known[-1].said()}")
        return
    asyncio.run(_send(settings, configured.own(settings, RESTARTED if at_rest else CHANGED)))
    _tell(settings, known, before, _read(settings))


@config.command(name="list")
@option()
def list_(path: Path | None) -> None:
    """List the configurations that are, were or will be in force.

    Example: driftline config list -c driftline.yaml
    """
    from stream.clock import SystemClock
    from stream.detect.times import NEVER_MS, rfc3339

    settings = settings_of(path)
    found = _in_force(settings, _read(settings))
    now_ms = SystemClock().now_ms()
    if found is None:
        click.echo("nothing was announced yet: workers count under their own files")
        return
    known = found.known
    today = max((one.from_ms for one in known if one.from_ms <= now_ms), default=NEVER_MS)
    for from_ms, spec in known:
        since = "the beginning" if from_ms == NEVER_MS else rfc3339(from_ms)
        state = "in force" if from_ms == today else "to come" if from_ms > today else "was in force"
        click.echo(f"{spec.config_hash}  from {since}  {state}")


@config.command
@option()
@click.option("--hash", "config_hash", metavar="HASH", help="Another than the last one.")
def show(path: Path | None, config_hash: str | None) -> None:
    """Show what was announced, as YAML.

    Example: driftline config show -c driftline.yaml
    """
    import yaml

    found = _read(settings_of(path)).found
    chosen = [one for one in found if config_hash in (None, one.config_hash)]
    if not chosen:
        raise UsageError(
            "no such configuration was announced; `driftline config list` shows those there are"
        )
    click.echo(f"# configuration {chosen[-1].config_hash}")
    click.echo(yaml.safe_dump(dict(chosen[-1].document), sort_keys=False, allow_unicode=True))


def _read(settings: Settings) -> Announced:
    from stream.app import connection_of
    from stream.bus.configuration_log import read_topic
    from stream.bus.connection import check_reachable
    from stream.bus.topics import plans, require

    connection, bus = connection_of(settings), settings.bus

    async def work() -> Announced:
        await check_reachable(connection)
        await require(connection, plans(bus.topics, bus.partitions, bus.replication))
        return await read_topic(connection, bus.topics["configurations"])

    return asyncio.run(work())


def _in_force(settings: Settings, announced: Announced) -> Configurations | None:
    from stream.bus.configuration_log import in_force
    from stream.configured import reader

    return in_force(announced.found, reader(settings))


def _refuse_fixed(settings: Settings, announced: Announced, known: Configurations) -> None:
    """Raise ConfigError if something differs that cannot change while workers run."""
    from stream.settings.announced import refuse_fixed
    from stream.settings.document import read_document
    from stream.settings.mistakes import Mistakes

    assert settings.path is not None  # publish needs a file
    mistakes = Mistakes(read_document(settings.path))
    spec = known.known[-1].spec
    documents = _document(announced.found, spec.config_hash), settings.document
    refuse_fixed(spec, settings.detector, documents, mistakes)
    mistakes.raise_all()


async def _refuse_running(settings: Settings) -> None:
    from stream.app import connection_of
    from stream.bus.topics import members

    prefix = settings.bus.group_prefix
    groups = [f"{prefix}-ingest", f"{prefix}-judge"]
    if running := await members(connection_of(settings), groups):
        raise ConfigError(
            [f"{running} members of {' and '.join(groups)} run: stop all workers first"]
        )


async def _send(settings: Settings, announcement: Announcement) -> None:
    from stream.app import connection_of
    from stream.bus.configuration_log import record_of
    from stream.bus.producer import Producer
    from stream.clock import SystemClock

    producer = Producer(connection_of(settings), SystemClock(), patience_s=30)
    await producer.start()
    try:
        await producer.send([record_of(announcement, settings.bus.topics["configurations"])])
    finally:
        await producer.stop()


def _tell(
    settings: Settings, known: Configurations | None, before: Announced, after: Announced
) -> None:
    """What came of it, as workers read it."""
    from stream.configured import named
    from stream.detect.configurations import changed_lengths
    from stream.settings.announced import differences
    from stream.settings.units import written

    now, own_hash = _in_force(settings, after), settings.detector.config_hash
    if now is None or now.known[-1].spec.config_hash != own_hash:
        raise UsageError("somebody else published at the same time; see `driftline config list`")
    click.echo(now.known[-1].said())
    if known is None:
        return
    for gone in _replaced(known, now):
        click.echo(f"it replaces {gone.spec.config_hash}, which will not come into force")
    last = now.known[-2].spec if len(now.known) > 1 else known.known[-1].spec
    for model, lengths in changed_lengths(last, settings.detector).items():
        shown = ", ".join(map(written, lengths))
        click.echo(f"windows of {model} change: that is the next border of all of {shown}")
    click.echo(f"against {last.config_hash} it differs in")
    for line in named(differences(_document(before.found, last.config_hash), settings.document)):
        click.echo(line)


def _replaced(before: Configurations, after: Configurations) -> Sequence[InForce]:
    kept = {one.from_ms for one in after.known[:-1]}
    return [one for one in before.known if one.from_ms not in kept and len(after.known) > 1]


def _document(found: Sequence[Announcement], config_hash: str) -> object:
    return next((o.document for o in reversed(found) if o.config_hash == config_hash), {})
