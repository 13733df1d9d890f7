"""driftline topics."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from stream.cli.options import config, settings_of


@click.group
def topics() -> None:
    """Create and check Driftline's topics."""


@topics.command
@config()
def create(path: Path | None) -> None:
    """Create what is missing with the right partitions and retention; check what exists.

    Example: driftline topics create -c driftline.yaml
    """
    from stream.app import connection_of
    from stream.bus.connection import check_reachable
    from stream.bus.topics import create_missing, plans

    settings = settings_of(path)
    connection, bus = connection_of(settings), settings.bus

    async def work() -> None:
        await check_reachable(connection)
        report = await create_missing(
            connection, plans(bus.topics, bus.partitions, bus.replication)
        )
        for name in report.created:
            click.echo(f"created {name}")
        for name in report.exists:
            click.echo(f"exists  {name}")
        for line in report.differs:
            click.echo(f"differs {line}")

    asyncio.run(work())
