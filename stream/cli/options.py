"""Options: arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stream.settings import Settings, load

Command = Callable[..., Any]

FILE = click.Path(path_type=Path, dir_okay=False)


def config(*, required: bool = False) -> Callable[[Command], Command]:
    """-c FILE."""
    text = "Configuration, YAML." if required else "Configuration, YAML; defaults without it."
    return click.option(
        "-c", "--config", "path", required=required, help=text, type=FILE, metavar="FILE"
    )


def settings_of(path: Path | None) -> Settings:
    """The settings in a file, or the defaults. Raises ConfigError with all mistakes."""
    return Settings() if path is None else load(path)


def sources(command: Command) -> Command:
    """SOURCE… --mapping FILE --where NAME=VALUE."""
    path = click.Path(path_type=Path)
    for option in (
        click.argument("sources", nargs=-1, required=True, type=path, metavar="SOURCE..."),
        click.option("--mapping", type=path, metavar="FILE", help="Columns of a Parquet file."),
        click.option("--where", multiple=True, metavar="NAME=VALUE", help="Only these rows."),
    ):
        command = option(command)
    return command
