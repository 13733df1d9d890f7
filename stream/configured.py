"""Configured: a worker's file and announcements in, what it counts and judges under out.

In    settings; announcements as they stand on the topic
Out   `Configurations`; what to announce; what an operator should know of the difference
Not   the topic itself (bus/configuration_log.py), commands (cli/config.py)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stream.bus import configuration_log as log
from stream.bus.configuration_log import Announcement, ReadSpec
from stream.detect.configurations import Configurations
from stream.detect.specs import DetectorSpec
from stream.errors import ConfigError, UsageError
from stream.settings import Settings
from stream.settings.announced import differences, digest_of, spec_of

MOST_DIFFERENCES = 10  # that are named


def own(settings: Settings, kind: str = log.STARTED) -> Announcement:
    """What a file announces."""
    spec = settings.detector
    return Announcement(kind, settings.document, spec.config_hash, digest_of(spec.hash_secret))


def reader(settings: Settings) -> ReadSpec:
    """How a worker with these settings reads announcements."""
    secret = settings.detector.hash_secret

    def read_spec(one: Announcement) -> DetectorSpec:
        if one.key_digest != digest_of(secret):
            raise UsageError(
                f"configuration {one.config_hash} was announced with another limits.hash_key than "
                "this file has; accepted: the same for all workers and commands"
            )
        try:
            return spec_of(one.document, one.config_hash, secret)
        except ConfigError as error:
            raise UsageError(
                f"this release does not accept a configuration that was announced: {error}"
            ) from None

    return read_spec


def configurations(settings: Settings, announcements: Sequence[Announcement]) -> Configurations:
    """What a worker counts and judges under: the log's, or its file's as long as none decides."""
    if log.is_settled(announcements):
        found = log.in_force(announcements, reader(settings))
        if found is not None:
            return found
    return Configurations(settings.detector)


def notes(settings: Settings, announcements: Sequence[Announcement]) -> Iterator[str]:
    """What somebody who started a worker should know."""
    last = latest(announcements)
    if last is None or last.config_hash == settings.detector.config_hash:
        return
    yield (
        f"{settings.path or 'the default configuration'} is not what was announced last "
        f"(configuration {last.config_hash}), which counts: a file cannot tell the other workers. "
        "`driftline config publish -c FILE` announces it; it differs in"
    )
    yield from named(differences(last.document, settings.document))


def latest(announcements: Sequence[Announcement]) -> Announcement | None:
    """What was announced last, if the log decides."""
    found = [one for one in announcements if one.kind != log.STARTED]
    return found[-1] if found else None


def named(lines: Iterator[str]) -> Iterator[str]:
    """The first of many differences, one per line."""
    found = list(lines)
    yield from (f"  {line}" for line in found[:MOST_DIFFERENCES])
    if len(found) > MOST_DIFFERENCES:
        yield f"  … and {len(found) - MOST_DIFFERENCES} more"
