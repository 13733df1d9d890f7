"""Does `driftline config` check first, say from when, and refuse what cannot change?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stream.broker import EmbeddedBroker
from stream.cli import main
from stream.settings import load
from tests.system.arena import Arena

pytestmark = pytest.mark.kafka

BODY: dict[str, Any] = {"window": {"length": "10m", "pane": "1m"}, "models": {"m": {"rules": []}}}
Say = pytest.CaptureFixture[str]


def run(say: Say, *words: str) -> tuple[int, str]:
    """Exit code and everything that was said."""
    with pytest.raises(SystemExit) as end:
        main(["config", *words])
    said = say.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, said.out + said.err


@pytest.fixture
def arena(tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str) -> Arena:
    return Arena(tmp_path, broker.bootstrap, topic_prefix, body=BODY)


def changed(arena: Arena, name: str, **body: Any) -> str:
    return str(arena.config(name, body=BODY | body))


def test_a_change_is_announced_listed_and_shown(arena: Arena, capsys: Say) -> None:
    first, where = arena.settings.detector.config_hash, str(arena.path)
    assert run(capsys, "list", "-c", where) == (
        0,
        "nothing was announced yet: workers count under their own files\n",
    )
    assert run(capsys, "publish", "-c", where) == (
        0,
        f"configuration {first} counts and judges panes from every pane\n",
    )
    code, said = run(capsys, "publish", "-c", where)
    assert (code, said.split(":")[0]) == (0, "nothing to do")
    rules = [{"name": "slow", "objective": "latency_p95_ms", "above": 50}]
    path = changed(arena, "rules", models={"m": {"rules": rules}})
    code, said = run(capsys, "publish", "-c", path)
    second = load(Path(path)).detector.config_hash
    lines = said.splitlines()
    assert code == 0
    assert lines[0].startswith(f"configuration {second} counts and judges panes from 20")
    assert lines[1:3] == [
        f"against {first} it differs in",
        '  models.m.rules[0]: none → {"above": 50, "name": "slow", "objective": "latency_p95_ms"}',
    ]
    code, said = run(capsys, "list", "-c", where)
    assert [line.split() for line in said.splitlines()] == [
        [first, "from", "the", "beginning", "in", "force"],
        [second, "from", lines[0].split()[-2], "to", "come"],
    ]
    assert f"# configuration {second}\n" in run(capsys, "show", "-c", where)[1]
    assert "latency_p95_ms" not in run(capsys, "show", "-c", where, "--hash", first)[1]


def test_one_that_is_taken_back_never_counts(arena: Arena, capsys: Say) -> None:
    run(capsys, "publish", "-c", str(arena.path))
    path = changed(arena, "owner", defaults={"owner": "somebody"})
    run(capsys, "publish", "-c", path)
    gone = load(Path(path)).detector.config_hash
    code, said = run(capsys, "publish", "-c", str(arena.path))
    assert code == 0
    assert f"it replaces {gone}, which will not come into force\n" in said


def test_where_windows_change_it_says_which_border_that_is(arena: Arena, capsys: Say) -> None:
    run(capsys, "publish", "-c", str(arena.path))
    path = changed(arena, "hours", models={"m": {"window": {"length": "1h"}, "rules": []}})
    code, said = run(capsys, "publish", "-c", path)
    assert code == 0
    assert ":00:00Z on\n" in said
    assert "windows of m change: that is the next border of all of 10m, 1h\n" in said


def test_what_cannot_change_is_refused_all_at_once(arena: Arena, capsys: Say) -> None:
    run(capsys, "publish", "-c", str(arena.path))
    path = changed(
        arena,
        "cut",
        window={"length": "10m", "pane": "30s", "grace": "1s"},
        limits={"max_text": 99},
    )
    code, said = run(capsys, "publish", "-c", path)
    assert code == 2
    assert [line.split(": ")[1] for line in said.splitlines()] == [
        "limits.max_text",
        "window.grace",
        "window.pane",
    ]
    assert "driftline config publish --at-rest -c FILE" in said
    assert run(capsys, "publish", "--at-rest", "-c", path)[0] == 0
    only = load(Path(path)).detector.config_hash
    assert run(capsys, "list", "-c", path) == (0, f"{only}  from the beginning  in force\n")


def test_nothing_is_announced_of_a_file_with_mistakes(arena: Arena, capsys: Say) -> None:
    path = changed(arena, "wrong", models={"m": {"rules": [{"name": "r", "measure": "ps1"}]}})
    code, said = run(capsys, "publish", "-c", path)
    assert code == 2
    assert "nearest: psi" in said
    assert asyncio.run(arena.reader("configurations").read()) == []


def test_rest_is_not_taken_on_trust(arena: Arena, capsys: Say) -> None:
    with arena.worker("runs") as worker:
        worker.wait_ready()
        code, said = run(capsys, "publish", "--at-rest", "-c", changed(arena, "x", models={}))
        assert code == 2
        assert "stop all workers first" in said
    assert worker.log().count("configuration") == 0
