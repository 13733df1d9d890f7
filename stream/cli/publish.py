"""driftline publish."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from stream.cli.options import config, settings_of, sources


@click.command
@sources
@config()
@click.option("--topic", help="Instead of the configuration's topic of predictions.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="R",
              help="Messages per second; as fast as the broker takes them without it.")  # fmt: skip
def publish(
    sources: Sequence[Path],
    mapping: Path | None,
    where: Sequence[str],
    path: Path | None,
    topic: str | None,
    rate: float | None,
) -> None:
    """Publish files of events: JSON lines, gzip or not, or Parquet with a mapping.

    Example: driftline publish examples/flights/flights.parquet --rate 20000
    """
    from stream.app import connection_of
    from stream.bus.bulk import BulkPublisher
    from stream.bus.connection import check_reachable
    from stream.clock import SystemClock
    from stream.replay.sources import Source, open_source, parse_where

    settings, chosen = settings_of(path), parse_where(where)
    opened = [open_source(source, mapping, chosen) for source in sources]
    connection = connection_of(settings)
    clock = SystemClock()

    async def work() -> int:
        await check_reachable(connection)
        sent, started_ms = 0, clock.monotonic_ms()
        name = topic or settings.bus.topics["predictions"]
        async with BulkPublisher(connection, name) as publisher:
            for source in opened:
                sent += await one(source, publisher, sent, started_ms)
        return sent

    async def one(source: Source, publisher: BulkPublisher, before: int, started_ms: int) -> int:
        sent, at = 0, 0
        with click.progressbar(length=source.size or 0, label=source.name) as bar:
            for chunk in source:
                await publisher.publish((m.key, m.value) for m in chunk)
                sent += len(chunk)
                bar.update((source.done or 0) - at)
                at = source.done or 0
                if rate:
                    due_ms = started_ms + 1000 * (before + sent) / rate
                    await publisher.flush()
                    await asyncio.sleep(max(0.0, due_ms - clock.monotonic_ms()) / 1000)
        return sent

    started_ms = clock.monotonic_ms()
    sent = asyncio.run(work())
    took_s = max(clock.monotonic_ms() - started_ms, 1) / 1000
    click.echo(f"published {sent} messages in {took_s:.1f} s ({sent / took_s:,.0f} per second)")
