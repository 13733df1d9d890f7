"""driftline alerts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import orjson

from stream.cli.options import config, settings_of

COLOURS = {"critical": "red", "warning": "yellow", "info": "blue"}


@click.command
@config()
@click.option("--follow", is_flag=True, help="Go on with new alerts until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event per line.")
def alerts(path: Path | None, follow: bool, as_json: bool) -> None:
    """Read the alerts topic.

    Example: driftline alerts --follow -c driftline.yaml
    """
    from stream.app import connection_of
    from stream.bus.connection import check_reachable
    from stream.bus.tail import read_topic

    settings = settings_of(path)
    connection = connection_of(settings)

    async def work() -> None:
        await check_reachable(connection)
        topic = settings.bus.topics["alerts"]
        values: AsyncIterator[bytes] = read_topic(connection, topic, follow=follow)
        async for value in values:
            click.echo(value.decode() if as_json else line(orjson.loads(value)))

    asyncio.run(work())


def line(alert: dict[str, Any]) -> str:
    """An alert as one line for people."""
    data = alert["data"]
    if data["state"] == "resolved":
        return f"{click.style(data['reason'].upper(), fg='green'):<9} {data['summary']}"
    severity = click.style(data["severity"].upper(), fg=COLOURS.get(data["severity"]))
    return f"{severity:<9} {data['summary']} [{data['owner']}]"
