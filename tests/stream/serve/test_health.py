"""Does /health tell a worker that hangs from one that has nothing to do?"""

from __future__ import annotations

from typing import Any

import pytest

from stream.serve.health import CANNOT_SEND, STALLED, Health, SendingFacts, StageFacts


def stage(**facts: Any) -> StageFacts:
    """A stage that has read everything, unless facts say other."""
    usual: dict[str, Any] = {"topic": "predictions", "lags": {0: 0}, "stalled_ms": 0, "busy_ms": 0,
                             "unanswered_ms": 100, "committed_ms": 500}  # fmt: skip
    return StageFacts(**{**usual, **facts})


def health(
    *stages: StageFacts,
    sending: tuple[SendingFacts, ...] = (),
    loop_lag_ms: int = 0,
    exit_after_ms: int | None = 600_000,
) -> Health:
    """The health of a worker of which these are the facts."""
    made = Health(exit_after_ms)
    made.update(list(stages), list(sending), loop_lag_ms)
    return made


def test_a_worker_with_nothing_to_do_is_well() -> None:
    is_well, body = health(stage(lags={0: 0, 1: 0})).probe()
    assert is_well
    assert body["status"] == "ok"
    assert body["why"] == []
    assert body["stages"]["predictions"]["assigned"] == [0, 1]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"lags": {0: 7, 1: 5}, "stalled_ms": 75_000},
         "predictions: 12 messages to read and none read for 75 s"),
        ({"busy_ms": 61_000}, "predictions: at one event for 61 s"),
        ({"unanswered_ms": 90_000}, "predictions: the broker has answered no fetch for 90 s"),
    ],
)  # fmt: skip
def test_a_stage_that_hangs_is_named_with_the_reason(facts: dict[str, Any], why: str) -> None:
    is_well, body = health(stage(topic="partials"), stage(**facts)).probe()
    assert not is_well
    assert body["status"] == "failing"
    assert body["why"] == [why]


def test_a_stage_that_waits_for_an_acknowledgement_is_not_at_fault() -> None:
    found = health(
        stage(busy_ms=80_000, lags={0: 9}, stalled_ms=80_000),
        sending=(SendingFacts(79_000, "NotLeader"), SendingFacts(0, None)),
    )
    assert found.probe()[1]["why"] == ["the broker has acknowledged nothing for 79 s: NotLeader"]


@pytest.mark.parametrize(("waiting_ms", "code"), [(58_000, None), (60_000, CANNOT_SEND)])
def test_a_stage_that_stood_still_shortly_before_it_waited_is_not_blamed_first(
    waiting_ms: int, code: int | None
) -> None:
    stands = stage(
        busy_ms=waiting_ms + 1_000,
        lags={0: 9},
        stalled_ms=waiting_ms + 2_500,
        unanswered_ms=waiting_ms + 2_000,
    )
    sending = (SendingFacts(waiting_ms, "UnknownTopic"),)
    assert health(stands, sending=sending, exit_after_ms=60_000).exit_code() == code


def test_an_event_loop_that_is_held_up_is_told() -> None:
    assert health(loop_lag_ms=9_999).probe()[0]
    assert health(loop_lag_ms=12_000).probe()[1]["why"] == ["the event loop was held up for 12 s"]


@pytest.mark.parametrize(
    ("facts", "sending", "code"),
    [
        ({"lags": {0: 7}, "stalled_ms": 599_999}, 0, None),
        ({"lags": {0: 7}, "stalled_ms": 600_000}, 0, STALLED),
        ({"busy_ms": 600_000}, 0, STALLED),
        ({"busy_ms": 601_000}, 600_000, CANNOT_SEND),
    ],
)
def test_a_worker_ends_with_the_code_of_its_fault(
    facts: dict[str, Any], sending: int, code: int | None
) -> None:
    found = health(stage(**facts), sending=(SendingFacts(sending, None),))
    assert found.exit_code() == code


def test_a_worker_that_may_wait_for_ever_does_not_end() -> None:
    found = health(stage(busy_ms=10**9), exit_after_ms=None)
    assert not found.probe()[0]
    assert found.exit_code() is None
