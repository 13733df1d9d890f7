"""Is every event counted once when connections hang, break, or carry one direction only?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.broker import EmbeddedBroker, free_port
from tests.system.arena import Arena, pause
from tests.system.feed import Feed
from tests.system.proxy import Proxy

pytestmark = [pytest.mark.kafka, pytest.mark.faults]


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    """Of the proxy, and of the listener behind it."""
    return free_port(), free_port()


@pytest.fixture(scope="module")
def mine(ports: tuple[int, int]) -> Iterator[EmbeddedBroker]:
    """A broker with a second listener that clients only find through the proxy."""
    front, behind = ports
    settings = {
        "listeners": f"PROXIED://127.0.0.1:{behind}",
        "advertised.listeners": f"PROXIED://127.0.0.1:{front}",
        "listener.security.protocol.map": "PROXIED:PLAINTEXT",
    }
    with EmbeddedBroker(settings=settings) as broker:
        yield broker


@pytest.fixture
def proxy(ports: tuple[int, int]) -> Iterator[Proxy]:
    """The way to the broker that can be spoiled."""
    with Proxy(*ports) as made:
        yield made


@pytest.fixture
def arena(tmp_path: Path, mine: EmbeddedBroker, topic_prefix: str) -> Arena:
    """Topics of this test's own; the feed and the oracle use the direct way."""
    return Arena(tmp_path, mine.bootstrap, topic_prefix)


def spoiled(arena: Arena, feed: Feed, proxy: Proxy, mode: str, seconds: float) -> None:
    """A worker whose only way to the broker is spoiled for a while, and stays."""
    path = arena.config("proxied", bootstrap=f"127.0.0.1:{proxy.port}")
    with arena.worker("stays", path=path) as worker:
        worker.wait_ready()
        with arena.flow(feed):
            pause(3)
            proxy.set(mode)
            pause(seconds)
            proxy.set("ok")
            pause(1)
        arena.finish(feed, what=f"{mode} for {seconds:g} s")
        assert worker.stop() == 0


@pytest.mark.parametrize(("mode", "seconds"), [("reset", 0.1), ("blackhole", 4)])
def test_a_link_that_breaks(
    arena: Arena, feed: Feed, proxy: Proxy, mode: str, seconds: float
) -> None:
    spoiled(arena, feed, proxy, mode, seconds)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("mode", "seconds"),
    [("blackhole", 20), ("blackhole", 60), ("refuse", 15), ("no_answers", 20),
     ("no_requests", 20), ("slow", 15)],
)  # fmt: skip
def test_a_link_that_is_spoiled(
    arena: Arena, feed: Feed, proxy: Proxy, mode: str, seconds: float
) -> None:
    spoiled(arena, feed, proxy, mode, seconds)


@pytest.mark.chaos
def test_a_link_that_is_cut_again_and_again(arena: Arena, feed: Feed, proxy: Proxy) -> None:
    path = arena.config("proxied", bootstrap=f"127.0.0.1:{proxy.port}")
    with arena.worker("stays", path=path) as worker:
        worker.wait_ready()
        with arena.flow(feed):
            for _ in range(20):
                pause(0.7)
                proxy.set("reset")
                proxy.set("ok")
        arena.finish(feed, what="20 cuts")


@pytest.mark.chaos
@pytest.mark.parametrize("mode", ["blackhole", "no_answers"])
def test_one_of_two_workers_loses_its_link(
    arena: Arena, feed: Feed, proxy: Proxy, mode: str
) -> None:
    path = arena.config("proxied", bootstrap=f"127.0.0.1:{proxy.port}")
    with arena.worker("cut-off", path=path) as cut_off, arena.worker("direct") as direct:
        cut_off.wait_ready()
        direct.wait_ready()
        with arena.flow(feed):
            pause(3)
            proxy.set(mode)
            pause(20)
            proxy.set("ok")
            pause(3)
        arena.finish(feed, what=f"one of two: {mode} for 20 s")
