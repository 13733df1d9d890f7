"""Bus and web: the sections for Kafka and HTTP in, frozen settings out.

In    `bus:` and `web:` of the file
Out   `BusSettings`, `WebSettings`
Not   opening connections (stream/bus/); the detector's part (models.py)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stream.settings.mistakes import Checked, Mistakes
from stream.settings.sections import (
    TOPICS,
    BusSection,
    SecuritySection,
    TopicsSection,
    WebSection,
)
from stream.settings.units import shown, written

_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_NAME_HINT = "accepted: letters, digits, . _ -"
SHORTEST_SESSION_MS = 1_000
_GROUP = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    """How the link to Kafka is protected. File names are resolved; no secret is held here."""

    protocol: str = "SSL"  # or SASL_SSL
    ca_file: Path | None = None  # None = the authorities this machine trusts
    cert_file: Path | None = None
    key_file: Path | None = None
    mechanism: str = "SCRAM-SHA-512"  # this and the following are for SASL_SSL
    username: str | None = None
    password_file: Path | None = None  # one of these two
    password_env: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSettings:
    """Where Kafka is and how the topics are called."""

    bootstrap: str = "localhost:9092"
    topics: Mapping[str, str] = field(default_factory=lambda: {name: name for name in TOPICS})
    partitions: int = 4  # of a topic that is created here
    replication: int = 1
    group_prefix: str = "driftline"  # the consumer groups' names begin with it
    group_instance_id: str | None = None  # static membership; one worker at a time may have it
    session_timeout_ms: int = 10_000  # of silence, then others take a worker's partitions
    exit_after_ms: int | None = 600_000  # without progress; None = never
    security: SecuritySettings | None = None  # None = plain text


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Where the worker answers HTTP. Nothing asks for a password: open it to others with care."""

    bind: str = "127.0.0.1"
    port: int = 6066  # 0 = any free port


def bus_settings(raw: object, folder: Path, mistakes: Mistakes) -> BusSettings:
    """Check `bus:`; relative file names are taken from `folder`."""
    checked = mistakes.section(BusSection, raw, ("bus",))
    section = checked.section
    _check_addresses(checked, mistakes)
    if not _GROUP.fullmatch(section.group_prefix):
        text = f"{shown(section.group_prefix)} is not a group name; {_NAME_HINT}"
        mistakes.add(("bus", "group_prefix"), text)
    if section.group_instance_id is not None and not _GROUP.fullmatch(section.group_instance_id):
        text = f"{shown(section.group_instance_id)} is not an instance id; {_NAME_HINT}"
        mistakes.add(("bus", "group_instance_id"), text)
    if section.session_timeout < SHORTEST_SESSION_MS:
        text = f"{written(section.session_timeout)} is too short; accepted: 1s or longer"
        mistakes.add(("bus", "session_timeout"), text)
    return BusSettings(
        bootstrap=section.bootstrap.replace(" ", ""),
        topics=_topics(section.topics, mistakes),
        partitions=section.partitions,
        replication=section.replication,
        group_prefix=section.group_prefix,
        group_instance_id=section.group_instance_id,
        session_timeout_ms=section.session_timeout,
        exit_after_ms=section.exit_after or None,
        security=_security(section.security, folder, mistakes),
    )


def web_settings(raw: object, mistakes: Mistakes) -> WebSettings:
    """Check `web:`."""
    section = mistakes.section(WebSection, raw, ("web",)).section
    return WebSettings(bind=section.bind, port=section.port)


def _check_addresses(checked: Checked[BusSection], mistakes: Mistakes) -> None:
    for address in checked.section.bootstrap.replace(" ", "").split(","):
        found = _ADDRESS.fullmatch(address)
        if found is None or not 1 <= int(found[1]) <= 65_535:
            text = f"{shown(address)} is not an address; accepted: host:port, more with commas"
            mistakes.add(("bus", "bootstrap"), text)


def _topics(raw: object, mistakes: Mistakes) -> dict[str, str]:
    section = mistakes.section(TopicsSection, raw, ("bus", "topics")).section
    names: dict[str, str] = section.model_dump(by_alias=True)
    taken: dict[str, str] = {}
    for logical, name in names.items():
        place = ("bus", "topics", logical)
        if not _TOPIC.fullmatch(name) or name in {".", ".."}:
            mistakes.add(place, f"{shown(name)} is not a topic name; {_NAME_HINT}")
        if name in taken:
            text = f"{shown(name)} is already the topic of {taken[name]}"
            mistakes.add(place, f"{text}; accepted: a name of its own")
        taken.setdefault(name, logical)
    return names


def _security(raw: object, folder: Path, mistakes: Mistakes) -> SecuritySettings | None:
    if raw is None:
        return None
    place = ("bus", "security")
    checked = mistakes.section(SecuritySection, raw, place)
    section = checked.section
    if section.protocol == "PLAINTEXT":
        for key in sorted(checked.given - {"protocol"}):
            mistakes.add(
                (*place, key), "PLAINTEXT protects nothing; accepted: protocol SSL, SASL_SSL"
            )
        return None
    if section.protocol == "SASL_SSL" and checked.sound("protocol"):
        _check_login(checked, mistakes)
    if (section.cert_file is None) != (section.key_file is None):
        mistakes.add(place, "only one of cert_file and key_file is given; accepted: both or none")
    files = {
        key: _file(getattr(section, key), key, folder, mistakes)
        for key in ("ca_file", "cert_file", "key_file", "password_file")
    }
    return SecuritySettings(
        protocol=section.protocol,
        mechanism=section.mechanism,
        username=section.username,
        password_env=section.password_env,
        **files,
    )


def _check_login(checked: Checked[SecuritySection], mistakes: Mistakes) -> None:
    if "username" not in checked.given:
        text = "SASL_SSL needs a username; accepted: username: and a name"
        mistakes.add(checked.place, text)
    if len(checked.given & {"password_file", "password_env"}) != 1:
        text = "SASL_SSL needs one place of the password; accepted: password_file or password_env"
        mistakes.add(checked.place, text)


def _file(name: str | None, key: str, folder: Path, mistakes: Mistakes) -> Path | None:
    if name is None:
        return None
    path = (folder / name).resolve()
    if not path.is_file():
        text = f"{shown(name)} is not there; accepted: a file, relative to this configuration"
        mistakes.add(("bus", "security", key), text)
    return path
