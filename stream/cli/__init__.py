"""Command line: words in, work done, an exit code out.

0 done · 1 failed · 2 wrong use or configuration. An error is one line on standard error that says
what, where and what is accepted; a stack trace only with --debug.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from stream.errors import ConfigError, DriftlineError


class _Commands(click.Group):
    """Commands in order, loaded when called: `check` need not wait for numba."""

    modules = {  # noqa: RUF012
        "demo": "demo", "worker": "worker", "broker": "worker", "topics": "topics",
        "publish": "publish", "replay": "replay", "reference": "reference", "alerts": "alerts",
        "check": "check", "config": "config",
    }  # fmt: skip

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = self.modules.get(cmd_name)
        if module is None:
            return None
        imported = __import__(f"stream.cli.{module}", fromlist=[cmd_name])
        command: click.Command = getattr(imported, cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a stack trace when something fails.")
@click.version_option(package_name="driftline")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Driftline watches models in production from the message bus.

    Start with `driftline demo`.
    """
    ctx.obj = {"debug": debug}


def main(arguments: list[str] | None = None) -> None:
    """Run a command; exits."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code: Any = cli.main(words, prog_name="driftline", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(1)
    except ConfigError as error:
        if "--debug" in words:
            raise
        for mistake in error.mistakes:
            click.echo(mistake, err=True)
        sys.exit(error.exit_code)
    except DriftlineError as error:
        if "--debug" in words:
            raise
        click.echo(f"driftline: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
