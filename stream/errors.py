"""Errors: every one this project raises on purpose.

DriftlineError                 one line for the user: what, where, what would be accepted
├── ConfigError                the configuration is unreadable or wrong         exit code 2
├── UsageError                 an argument or file is wrong                     exit code 2
├── SetupError                 Java, Maven or another tool is missing           exit code 1
├── BusError                   the broker or a topic is not there               exit code 1
│   ├── RebalanceError         partitions cannot be taken over                  exit code 3
│   ├── StalledError           there is something to read and nothing moves     exit code 4
│   └── SendError              nothing is acknowledged any more                 exit code 5
└── FormatError                bytes of ours that cannot be read (partial, reference)
"""

from __future__ import annotations


class DriftlineError(Exception):
    """Base of all errors; `exit_code` is what the command line returns."""

    exit_code = 1


class ConfigError(DriftlineError):
    """A configuration that cannot be used; `mistakes` lists all of them, each with its place."""

    exit_code = 2

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class UsageError(DriftlineError):
    """An argument or an input file that cannot be used."""

    exit_code = 2


class SetupError(DriftlineError):
    """A tool this command needs is not installed."""


class BusError(DriftlineError):
    """The broker is not reachable, or a topic is missing or not ours to create."""


class RebalanceError(BusError):
    """A worker that cannot take over, or keep, the partitions it was given."""

    exit_code = 3


class StalledError(BusError):
    """A worker that has work and does not get on with it."""

    exit_code = 4


class SendError(BusError):
    """A worker whose records the broker does not acknowledge."""

    exit_code = 5


class FormatError(DriftlineError):
    """Bytes of Driftline's own formats that cannot be read."""
