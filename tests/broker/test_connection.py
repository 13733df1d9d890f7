"""The link to Kafka: plain, over TLS with a login, and refused; no secret is ever shown."""

from __future__ import annotations

import asyncio
import logging
import selectors
import subprocess
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from stream.broker import EmbeddedBroker, free_port
from stream.bus.connection import Connection, Security, check_reachable, client_arguments
from stream.bus.topics import TopicPlan, create_missing, require
from stream.errors import BusError, ConfigError
from stream.kafka.install import find_java

PASSWORD = "canary-correct-horse"
STORE = "keystore-secret"
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


@dataclass(frozen=True)
class Connections:
    """Two ways to one broker."""

    ours: Connection
    alice: Connection


def keytool(folder: Path, *arguments: str) -> None:
    tool = Path(find_java()).resolve().parent / "keytool"
    store = ["-keystore", str(folder / "store.p12"), "-storepass", STORE, "-alias", "kafka"]
    subprocess.run([str(tool), *arguments, *store], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a self-signed certificate of 127.0.0.1: `store.p12` and `ca.pem`."""
    folder = tmp_path_factory.mktemp("tls")
    names = ["-dname", "CN=kafka", "-ext", "san=ip:127.0.0.1", "-validity", "2"]
    keytool(folder, "-genkeypair", "-keyalg", "RSA", "-storetype", "PKCS12", *names)
    keytool(folder, "-exportcert", "-rfc", "-file", str(folder / "ca.pem"))
    return folder


@pytest.fixture(scope="module")
def guarded(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connections]:
    """A broker that lets alice in over TLS and grants her nothing; nobody else but us may act."""
    port, prefix = free_port(), "listener.name.guarded"
    password_file = tmp_path_factory.mktemp("secret") / "password"
    password_file.write_text(PASSWORD + "\n")
    settings = {
        "listeners": f"GUARDED://127.0.0.1:{port}",
        "advertised.listeners": f"GUARDED://127.0.0.1:{port}",
        "listener.security.protocol.map": "GUARDED:SASL_SSL",
        f"{prefix}.ssl.keystore.location": str(certificate / "store.p12"),
        f"{prefix}.ssl.keystore.password": STORE,
        f"{prefix}.ssl.key.password": STORE,
        f"{prefix}.sasl.enabled.mechanisms": "PLAIN",
        f"{prefix}.plain.sasl.jaas.config": f'{LOGIN} required user_alice="{PASSWORD}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    security = Security(
        protocol="SASL_SSL",
        mechanism="PLAIN",
        ca_file=certificate / "ca.pem",
        username="alice",
        password_file=password_file,
    )
    with EmbeddedBroker(settings=settings) as broker:
        yield Connections(
            ours=Connection(broker.bootstrap), alice=Connection(f"127.0.0.1:{port}", security)
        )


def with_security(connection: Connection, **changes: object) -> Connection:
    assert connection.security is not None
    return Connection(connection.bootstrap, replace(connection.security, **changes))


def run(work: Coroutine[Any, Any, None]) -> None:
    """As `asyncio.run`, but until the last socket is closed.

    aiokafka does not wait for the end of a TLS link it closes; the warning that the loop was
    closed too early would hit whatever test comes next.
    """
    selector = selectors.DefaultSelector()

    async def until_closed() -> None:
        try:
            await work
        finally:
            async with asyncio.timeout(10):
                while len(selector.get_map()) > 1:  # noqa: ASYNC110 - one is the loop's own
                    await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(until_closed())


def login(**changes: object) -> Security:
    given = {"protocol": "SASL_SSL", "username": "alice", "password_env": "KAFKA_PASSWORD"}
    return Security(**given | changes)


def test_without_security_the_link_is_plain():
    assert client_arguments(Connection("a:1,b:2")) == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "PLAINTEXT",
    }


def test_tls_checks_the_certificate_and_the_name():
    context = client_arguments(Connection("a:1", Security()))["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert context.minimum_version.name == "TLSv1_2"


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "PLAINTEXT", "ssl"])
def test_a_protocol_without_tls_is_refused(protocol: str):
    with pytest.raises(ConfigError, match="protocol must be one of SSL, SASL_SSL"):
        login(protocol=protocol)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mechanism": "GSSAPI"}, "mechanism must be one of PLAIN"),
        ({"username": None}, "username is missing"),
        ({"password_env": None}, "either password_file or password_env"),
        ({"password_file": Path("p")}, "either password_file or password_env"),
        ({"cert_file": Path("c")}, "cert_file and key_file belong together"),
    ],
)
def test_security_that_does_not_fit_together_is_refused(changes: dict[str, object], said: str):
    with pytest.raises(ConfigError, match=said):
        login(**changes)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ConfigError) as refused:
        login(mechanism="GSSAPI", username=None, password_env=None)
    assert len(refused.value.mistakes) == 3


def test_the_password_comes_from_the_environment_and_is_never_shown(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    connection = Connection("a:1", login())
    assert client_arguments(connection)["sasl_plain_password"] == PASSWORD
    assert PASSWORD not in repr(connection)


def test_a_password_file_may_end_in_a_line_break(tmp_path: Path):
    (tmp_path / "password").write_text(" with spaces \r\n")
    security = login(password_env=None, password_file=tmp_path / "password")
    assert client_arguments(Connection("a:1", security))["sasl_plain_password"] == " with spaces "


@pytest.mark.parametrize(
    "place", [{"password_env": "NOT_SET"}, {"password_env": None, "password_file": Path("none")}]
)
def test_a_password_that_is_not_there_is_told_with_its_place(place: dict[str, object]):
    with pytest.raises(ConfigError, match=r"NOT_SET is empty|No such file.*none"):
        client_arguments(Connection("a:1", login(**place)))


def test_a_certificate_that_is_not_there_is_told_with_its_name():
    with pytest.raises(ConfigError, match=r"cannot use none\.pem"):
        client_arguments(Connection("a:1", Security(ca_file=Path("none.pem"))))


def test_nobody_answering_is_one_line_with_both_ways_out(caplog: pytest.LogCaptureFixture):
    port = free_port()
    with pytest.raises(BusError) as refused, caplog.at_level(logging.DEBUG):
        asyncio.run(check_reachable(Connection(f"127.0.0.1:{port}"), 5.0))
    said = str(refused.value)
    assert said.startswith(f"no Kafka broker answers at 127.0.0.1:{port} (")
    assert "`driftline broker`" in said
    assert "`docker compose -f docker-compose.kafka.yml up -d`" in said
    assert "\n" not in said
    assert not [record for record in caplog.records if record.name.startswith("aiokafka")]


def test_the_clients_are_heard_again_after_the_check():
    with pytest.raises(BusError):
        asyncio.run(check_reachable(Connection(f"127.0.0.1:{free_port()}"), 5.0))
    assert not logging.getLogger("aiokafka").filters


@pytest.mark.kafka
def test_every_client_gets_in_with_the_same_arguments(guarded: Connections):
    arguments = client_arguments(guarded.alice)

    async def start_all() -> None:
        async with AIOKafkaProducer(**arguments), AIOKafkaConsumer(**arguments):
            admin = AIOKafkaAdminClient(**arguments)
            await admin.start()
            await admin.close()

    run(start_all())
    run(check_reachable(guarded.alice))


@pytest.mark.kafka
def test_a_wrong_password_is_a_refused_login(guarded: Connections, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WRONG", "canary-wrong")
    wrong = with_security(guarded.alice, password_file=None, password_env="WRONG")
    with pytest.raises(BusError, match=r"refuses the login .*check bus.security") as refused:
        run(check_reachable(wrong))
    assert "canary" not in str(refused.value)


@pytest.mark.kafka
def test_a_certificate_nobody_vouches_for_is_refused(guarded: Connections):
    stranger = with_security(guarded.alice, ca_file=None)
    with pytest.raises(BusError, match=r"TLS link to Kafka at .* fails"):
        run(check_reachable(stranger))


@pytest.mark.kafka
def test_a_certificate_of_another_host_is_refused(guarded: Connections):
    port = guarded.alice.bootstrap.rpartition(":")[2]
    elsewhere = Connection(f"localhost:{port}", guarded.alice.security)
    with pytest.raises(BusError, match=r"TLS link to Kafka at localhost.* fails"):
        run(check_reachable(elsewhere))


@pytest.mark.kafka
@pytest.mark.parametrize("ask", [require, create_missing])
def test_a_missing_right_is_named(guarded: Connections, ask):
    plan = TopicPlan("secret", 1)
    run(create_missing(guarded.ours, [plan]))
    with pytest.raises(BusError, match="lacks the right Describe on topic secret"):
        run(ask(guarded.alice, [plan]))
