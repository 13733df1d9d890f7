"""Reference store: which reference is in force for which pane, from the records of the topic."""

from __future__ import annotations

import orjson

from stream.bus.connection import Connection
from stream.bus.reference_store import KEPT_BEFORE, ReferenceStore, to_bytes
from stream.detect.references import Reference
from stream.detect.specs import TimeSpec
from tests.builders import at, event, reference

TIME = TimeSpec(pane_ms=60_000, max_ahead_ms=300_000)
KEY = orjson.dumps(["m", "1"])


def store() -> ReferenceStore:
    return ReferenceStore(Connection("nowhere:1"), "references", TIME)


def trained(k: int) -> Reference:
    return reference([event(i, {"x": i % k}) for i in range(20)])


def in_force(made: ReferenceStore, second: float) -> str:
    found = made.get("m", "1")
    assert found is not None
    return found.at(at(second)).id


def test_the_first_reference_is_in_force_for_all_panes() -> None:
    made, only = store(), trained(2)
    made.take(KEY, to_bytes(only), at(1_000))
    assert [in_force(made, s) for s in (-10_000, 0, 10_000)] == [only.id] * 3


def test_one_that_replaces_another_is_in_force_from_a_border_after_max_ahead() -> None:
    #   written at 1000 s; 1000 + 300 = 1300 lies in the pane [1260, 1320)
    made, old, new = store(), trained(2), trained(3)
    made.take(KEY, to_bytes(old), at(0))
    made.take(KEY, to_bytes(new), at(1_000))
    assert [in_force(made, s) for s in (0, 1_260, 1_320, 9_999)] == [old.id, old.id, new.id, new.id]


def test_workers_that_read_the_record_at_different_moments_agree() -> None:
    records = [(to_bytes(trained(k)), at(400 * k)) for k in (2, 3, 4)]
    early, late = store(), store()
    for value, written_ms in records:
        early.take(KEY, value, written_ms)
    for value, written_ms in [*records, records[-1]]:  # the last one is read twice
        late.take(KEY, value, written_ms)
    panes = range(0, 3_000, 60)
    assert [in_force(early, s) for s in panes] == [in_force(late, s) for s in panes]
    assert len({in_force(early, s) for s in panes}) == 3


def test_a_reference_that_is_taken_back_is_gone_at_once() -> None:
    made = store()
    made.take(KEY, to_bytes(trained(2)), at(0))
    made.take(KEY, None, at(1))
    assert made.get("m", "1") is None


def test_what_was_in_force_long_ago_is_forgotten() -> None:
    made = store()
    for k in range(2, 2 + 3 * KEPT_BEFORE):
        made.take(KEY, to_bytes(trained(k)), at(1_000 * k))
    found, length = made.get("m", "1"), 0
    while found is not None:
        found, length = found.before, length + 1
    assert length == 1 + KEPT_BEFORE


def test_a_record_that_cannot_be_read_changes_nothing() -> None:
    made, only = store(), trained(2)
    made.take(KEY, to_bytes(only), at(0))
    made.take(KEY, b"{", at(1))
    made.take(b"{", to_bytes(trained(3)), at(2))
    assert in_force(made, 9_999) == only.id
