"""Connection: an address and its protection in, the arguments of every Kafka client out.

In    bootstrap addresses; files of certificates, the *place* of a password, never the password
Out   keyword arguments that consumer, producer, admin and plain client of aiokafka take alike;
      one plain sentence when nobody answers
Not   reading the configuration (settings/bus.py); topics (topics.py)
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from stream.errors import BusError, ConfigError

PROTOCOLS = ("SSL", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LOGIN_ERRORS = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
START_ONE = (
    "start one with `driftline broker` or `docker compose -f docker-compose.kafka.yml up -d`, "
    "or set bus.bootstrap"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """How the link is protected; holds no secret, only where one is, so that it may be shown.

    Raises ConfigError, with all mistakes, when made with values that do not fit together.
    """

    protocol: str = "SSL"  # or SASL_SSL; plain text is `Connection(bootstrap)`
    ca_file: Path | None = None  # None = the authorities this machine trusts
    cert_file: Path | None = None  # our own certificate, if brokers ask for one
    key_file: Path | None = None
    mechanism: str = "SCRAM-SHA-512"  # this and the following are for SASL_SSL
    username: str | None = None
    password_file: Path | None = None  # one of these two
    password_env: str | None = None

    def __post_init__(self) -> None:
        mistakes = list(_mistakes(self))
        if mistakes:
            raise ConfigError([f"bus.security: {mistake}" for mistake in mistakes])


@dataclass(frozen=True, slots=True)
class Connection:
    """Where Kafka is; without `security` the link is plain text."""

    bootstrap: str  # host:port, more with commas
    security: Security | None = None


def client_arguments(connection: Connection) -> dict[str, Any]:
    """Keyword arguments of `AIOKafkaConsumer`, `…Producer`, `…AdminClient` and `…Client`.

    Raises ConfigError if a certificate or the password cannot be read.
    """
    safety = connection.security
    if safety is None:
        return {"bootstrap_servers": connection.bootstrap, "security_protocol": "PLAINTEXT"}
    arguments: dict[str, Any] = {
        "bootstrap_servers": connection.bootstrap,
        "security_protocol": safety.protocol,
        "ssl_context": _tls(safety),
    }
    if safety.protocol == "SASL_SSL":
        arguments |= {
            "sasl_mechanism": safety.mechanism,
            "sasl_plain_username": safety.username,
            "sasl_plain_password": _password(safety),
        }
    return arguments


async def check_reachable(connection: Connection, timeout_s: float = 5.0) -> None:
    """Return if a broker answers and lets us in.

    Raises BusError: nobody answers in time, or the link or the login is refused.
    """
    async with plain_client(connection, timeout_s):
        pass


@asynccontextmanager
async def plain_client(
    connection: Connection, timeout_s: float = 5.0
) -> AsyncIterator[AIOKafkaClient]:
    """A client that has reached a broker; closed at the end.

    Raises BusError as `check_reachable` does.
    """
    arguments = client_arguments(connection)
    client = AIOKafkaClient(**arguments, request_timeout_ms=int(timeout_s * 1000))
    try:
        with _Notes() as notes:
            try:
                async with asyncio.timeout(timeout_s):
                    await client.bootstrap()
            except (KafkaError, OSError) as error:  # TimeoutError is an OSError
                raise _unreachable(connection, notes.last_error or error, timeout_s) from None
        yield client
    finally:
        await client.close()


class _Notes(logging.Filter):
    """Keeps what aiokafka has to say on failing to connect out of the log, and its last reason.

    aiokafka logs one error per address and then raises an error that gives no reason.
    """

    names = ("aiokafka", "aiokafka.conn")  # a filter does not see records of child loggers

    def __init__(self) -> None:
        super().__init__()
        self.last_error: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        for value in record.args if isinstance(record.args, tuple) else ():
            if isinstance(value, BaseException):
                self.last_error = value
        return False

    def __enter__(self) -> _Notes:
        for name in self.names:
            logging.getLogger(name).addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            logging.getLogger(name).removeFilter(self)


def _unreachable(connection: Connection, error: BaseException, timeout_s: float) -> BusError:
    reason = " ".join(str(error).split()) or f"no answer within {timeout_s:g} s"
    where = connection.bootstrap
    if isinstance(error, ssl.SSLError):
        return BusError(f"the TLS link to Kafka at {where} fails ({reason}): check bus.security")
    if isinstance(error, LOGIN_ERRORS):
        return BusError(f"Kafka at {where} refuses the login ({reason}): check bus.security")
    return BusError(f"no Kafka broker answers at {where} ({reason}): {START_ONE}")


def _mistakes(safety: Security) -> Iterator[str]:
    if safety.protocol not in PROTOCOLS:
        why = "a login without TLS can be read on the way; " if "SASL" in safety.protocol else ""
        yield f"{why}protocol must be one of {', '.join(PROTOCOLS)}, got {safety.protocol!r}"
    if (safety.cert_file is None) != (safety.key_file is None):
        yield "cert_file and key_file belong together: give both or none"
    if not safety.protocol.startswith("SASL"):
        return
    if safety.mechanism not in MECHANISMS:
        yield f"mechanism must be one of {', '.join(MECHANISMS)}, got {safety.mechanism!r}"
    if not safety.username:
        yield "username is missing"
    if (safety.password_file is None) == (safety.password_env is None):
        yield "give either password_file or password_env (the variable's name)"


def _tls(safety: Security) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=safety.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if safety.cert_file is not None:
            context.load_cert_chain(safety.cert_file, safety.key_file)
    except OSError as error:  # SSLError is one
        files = [str(path) for path in (safety.ca_file, safety.cert_file, safety.key_file) if path]
        raise ConfigError([f"bus.security: cannot use {', '.join(files)}: {error}"]) from None
    return context


def _password(safety: Security) -> str:
    if safety.password_env is not None:
        password = os.environ.get(safety.password_env, "")
        place = f"the environment variable {safety.password_env}"
    else:
        assert safety.password_file is not None
        place = str(safety.password_file)
        try:
            password = safety.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"bus.security: cannot read the password: {error}"]) from None
    if not password:
        raise ConfigError([f"bus.security: the password is missing: {place} is empty"])
    return password
