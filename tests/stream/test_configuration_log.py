"""Configuration log: what follows from the announcements on a topic, whoever reads it and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream import configured
from stream.bus.configuration_log import (
    CHANGED,
    RESTARTED,
    STARTED,
    Announcement,
    follow,
    in_force,
    read,
    record_of,
)
from stream.errors import ConfigError, FormatError, UsageError
from stream.settings import Settings, load
from stream.settings.announced import differences, document_of, refuse_fixed, spec_of
from stream.settings.document import read_document
from stream.settings.mistakes import Mistakes

HOUR_MS = 1_700_000_000_000 // 3_600_000 * 3_600_000
PLAIN = "window: {length: 5m, pane: 1m}\nmodels: {m: {rules: []}}\n"


def settings(tmp_path: Path, text: str = PLAIN, name: str = "driftline.yaml") -> Settings:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load(path)


def announced(own: Settings, kind: str = CHANGED, written_ms: int = HOUR_MS) -> Announcement:
    """As it is read back from the topic."""
    value = record_of(configured.own(own, kind), "configurations").value
    assert value is not None
    return read(value, written_ms)


def hashes(tmp_path: Path, log: list[Announcement]) -> list[str]:
    """Of what is in force one after another, as a worker with the plain file finds it."""
    own = settings(tmp_path)
    return [one.spec.config_hash for one in configured.configurations(own, log).known]


@pytest.fixture
def three(tmp_path: Path) -> list[Settings]:
    """Three configurations that may follow one another; the first is the plain one."""
    texts = [PLAIN, PLAIN.replace("m:", "n:"), PLAIN.replace("m:", "o:")]
    return [settings(tmp_path, text, f"{at}.yaml") for at, text in enumerate(texts)]


def test_what_is_announced_says_what_the_file_says(tmp_path: Path) -> None:
    text = (
        "limits: {hash_key: secret, max_ids: 7}\n"
        "models: {m: {segments: [s], rules: [{name: r, measure: psi, above: 5%, for: 2 windows}]}}"
    )
    own = settings(tmp_path, text)
    one = announced(own)
    assert "secret" not in str(one)
    assert configured.reader(own)(one) == own.detector


def test_until_something_is_published_a_file_decides(tmp_path: Path, three: list[Settings]) -> None:
    own = three[0].detector.config_hash
    assert hashes(tmp_path, []) == [own]
    assert hashes(tmp_path, [announced(three[1], STARTED)]) == [own]


def test_from_then_on_the_topic_decides_for_earlier_panes_too(
    tmp_path: Path, three: list[Settings]
) -> None:
    log = [announced(three[1], STARTED), announced(three[2])]
    assert hashes(tmp_path, log) == [three[1].detector.config_hash, three[2].detector.config_hash]
    log.append(announced(three[0], STARTED))  # by a worker that did not see the change yet
    assert hashes(tmp_path, log) == [three[1].detector.config_hash, three[2].detector.config_hash]


def test_the_first_that_is_published_before_any_worker_starts_counts_every_pane(
    tmp_path: Path, three: list[Settings]
) -> None:
    assert hashes(tmp_path, [announced(three[1])]) == [three[1].detector.config_hash]


def test_what_is_published_at_rest_begins_anew(tmp_path: Path, three: list[Settings]) -> None:
    log = [announced(three[0], STARTED), announced(three[1]), announced(three[2], RESTARTED)]
    assert hashes(tmp_path, log) == [three[2].detector.config_hash]


def test_the_same_again_changes_nothing(tmp_path: Path, three: list[Settings]) -> None:
    log = [announced(three[0], STARTED), announced(three[1])]
    later = [*log, announced(three[1], written_ms=2 * HOUR_MS)]
    assert hashes(tmp_path, later) == hashes(tmp_path, log)


def test_a_worker_that_runs_follows_as_one_that_starts(
    tmp_path: Path, three: list[Settings]
) -> None:
    first = announced(three[0], STARTED)
    log = [announced(three[1]), announced(three[2], written_ms=2 * HOUR_MS)]
    read_spec = configured.reader(three[0])
    runs = configured.configurations(three[0], [first])
    for one in log:
        follow(runs, one, read_spec)
    starts = in_force([first, *log], read_spec)
    assert starts is not None
    assert runs.known == starts.known


def test_a_worker_that_runs_is_not_told_at_rest(three: list[Settings]) -> None:
    configs = configured.configurations(three[0], [])
    with pytest.raises(UsageError, match="published with --at-rest while this worker ran"):
        follow(configs, announced(three[1], RESTARTED), configured.reader(three[0]))


def test_what_cannot_change_is_refused_by_workers_too(
    tmp_path: Path, three: list[Settings]
) -> None:
    other = settings(tmp_path, PLAIN.replace("pane: 1m", "pane: 30s"), "other.yaml")
    log = [announced(three[0], STARTED), announced(other)]
    assert hashes(tmp_path, log) == [three[0].detector.config_hash]


def test_another_hash_key_is_refused(tmp_path: Path, three: list[Settings]) -> None:
    other = settings(tmp_path, PLAIN + "limits: {hash_key: other}\n", "other.yaml")
    with pytest.raises(UsageError, match=r"with another limits\.hash_key"):
        configured.configurations(other, [announced(three[1])])


def test_one_that_this_release_does_not_accept_is_refused_if_it_is_the_last(
    tmp_path: Path, three: list[Settings]
) -> None:
    newer = announced(three[1])._replace(document={"models": {"m": {"fancy": 1}}})
    first = announced(three[0], STARTED)
    for log in ([first, newer], [first, newer, announced(three[1], STARTED)]):
        with pytest.raises(UsageError, match="fancy"):
            hashes(tmp_path, log)
    after = [three[0].detector.config_hash, three[2].detector.config_hash]
    assert hashes(tmp_path, [first, newer, announced(three[2])]) == after


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b"{}", b'{"format": "driftline.configuration/1", "kind": "x"}']
)
def test_a_record_that_is_no_announcement_is_refused(value: bytes) -> None:
    with pytest.raises(FormatError, match="not an announced configuration"):
        read(value, 0)


def test_a_newer_format_ends_the_worker() -> None:
    with pytest.raises(UsageError, match="a newer release announced a configuration"):
        read(b'{"format": "driftline.configuration/2"}', 0)


def test_a_worker_says_how_its_file_differs(tmp_path: Path, three: list[Settings]) -> None:
    log = [announced(three[0], STARTED), announced(three[1])]
    first, *others = configured.notes(three[2], log)
    assert "2.yaml is not what was announced last" in first
    assert others == [
        '  models.n: {"rules": []} → none',
        '  models.o: none → {"rules": []}',
    ]
    assert list(configured.notes(three[1], log)) == []
    assert list(configured.notes(three[1], log[:1])) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2, "c": [1]}}, ["a.b: 1 → 2", "a.c: none → [1]"]),
        ({"a": [{"n": "x"}, {"n": "y"}]}, {"a": [{"n": "x"}]}, ['a[1]: {"n": "y"} → none']),
        ({"a": "1"}, {"a": 1}, ['a: "1" → 1']),
    ],
)
def test_differences_name_their_place(before: Any, after: Any, said: list[str]) -> None:
    assert list(differences(before, after)) == said


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("window: {length: 5m, pane: 30s}", "window.pane: 30s cannot replace 1m"),
        ("window: {length: 5m, grace: 1s}", "window.grace: 1s cannot replace 30s"),
        ("limits: {max_text: 99}", "limits.max_text: 99 cannot replace 256"),
        ("models: {m: {reference: {training: a.json}}}", 'models.m.reference.training: "a.json"'),
    ],
)
def test_what_cannot_change_says_what_to_do_instead(tmp_path: Path, text: str, place: str) -> None:
    before = settings(tmp_path)
    after = settings(tmp_path, text, "after.yaml")
    mistakes = Mistakes(read_document(tmp_path / "after.yaml"))
    refuse_fixed(before.detector, after.detector, (before.document, after.document), mistakes)
    with pytest.raises(ConfigError) as refused:
        mistakes.raise_all()
    (mistake,) = refused.value.mistakes
    assert place in mistake
    assert "driftline " in mistake


def test_bus_web_and_the_hash_key_are_nobody_elses() -> None:
    data = {"bus": {}, "web": {}, "limits": {"hash_key": "x", "max_ids": 1}, "models": None}
    assert document_of(data) == {"limits": {"max_ids": 1}}


def test_a_document_is_checked_when_it_is_read() -> None:
    with pytest.raises(ConfigError, match=r"configuration c1:1: models: .* is not a mapping"):
        spec_of({"models": 7}, "c1", "secret")
