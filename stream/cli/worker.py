"""driftline worker and driftline broker."""

from __future__ import annotations

from pathlib import Path

import click

from stream.cli.options import config, settings_of


@click.command
@config(required=True)
@click.option("--loglevel", default="warn", show_default=True, help="debug, info, warn, error.")
@click.option("--web-port", type=int, help="Overrides web.port; 0 is any free port.")
def worker(path: Path, loglevel: str, web_port: int | None) -> int:
    """Run one worker; start more of them to scale out.

    Example: driftline worker -c driftline.yaml
    """
    from stream.heap import keep_one_heap

    keep_one_heap()  # before anything that starts threads is imported
    from dataclasses import replace

    from stream.app import run

    settings = settings_of(path)
    if web_port is not None:
        settings = replace(settings, web=replace(settings.web, port=web_port))
    return run(settings, loglevel=loglevel, say=click.echo)


@click.command
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Keeps the topics; a temporary folder without it.")  # fmt: skip
@click.option("--port", type=int, default=9092, show_default=True)
def broker(data: Path | None, port: int) -> None:
    """Run the embedded Kafka in the foreground and print its address.

    Example: driftline broker --data kafka-data
    """
    from stream.broker import run_foreground

    run_foreground(data, port, click.echo)
