"""Lives: what late data change of an alert, by windows of one minute.

B breach   . clear   ? not enough data   W a wide window that breaches   s too small
"""

from __future__ import annotations

import pytest

from stream.detect.judge.lives import Life

MINUTE = 60_000


def live(life: Life, letters: str, first: int = 0) -> list[tuple[int, str]]:
    """What is told of windows one after another: (minute, reason)."""
    told = []
    for minute, letter in enumerate(letters, first):
        told += late(life, minute, letter, is_revision=False)
    return told


def late(
    life: Life, minute: int, letter: str, value: float = 1.0, *, is_revision: bool = True
) -> list[tuple[int, str]]:
    """What is told of one window."""
    start_ms = minute * MINUTE
    reason = life.take(letter, start_ms, MINUTE, value, is_revision=is_revision)
    if reason is None:
        return []
    life.tell(reason, start_ms, MINUTE, value)
    return [(minute, reason)]


@pytest.mark.parametrize(
    ("hold", "letters", "minute", "letter", "told", "fires"),
    [
        (1, "BB", 0, ".", [(0, "corrected")], True),  # it began a window later
        (1, "B.", 0, ".", [(0, "retracted")], False),
        (1, "B.", 1, "B", [(1, "corrected")], True),  # it is not over after all
        (1, "B..", 1, "B", [(1, "corrected")], False),  # it was over a window later
        (1, "...", 1, "B", [(1, "corrected")], False),  # it came and went unseen
        (1, "BB", 1, ".", [(1, "resolved")], False),
        (2, ".B", 0, "B", [(0, "corrected")], True),  # with the late breach there are two
        (2, "BB", 0, ".", [(0, "retracted")], False),
        (2, "B.", 1, "?", [], False),
        (3, "W", 0, ".", [(0, "retracted")], False),
        (2, "BsB", 1, "B", [(1, "corrected")], True),
    ],
)
def test_a_late_verdict_gives_the_life_that_it_would_have_been(
    hold: int, letters: str, minute: int, letter: str, told: list[tuple[int, str]], fires: bool
) -> None:
    life = Life(hold=hold)
    live(life, letters)
    assert late(life, minute, letter) == told
    assert life.is_firing == fires
    changed = letters[:minute] + letter + letters[minute + 1 :]
    straight = Life(hold=hold)
    live(straight, changed)
    assert life.now == straight.now


def test_an_alert_that_fires_is_repeated_after_its_time() -> None:
    life = Life(repeat_ms=3 * MINUTE)
    assert live(life, "BBBBB?BB.") == [(0, "first"), (3, "repeat"), (6, "repeat"), (8, "resolved")]


def test_what_is_final_is_kept_as_where_it_led_to() -> None:
    life = Life(hold=2)
    live(life, "B")
    life.settle(MINUTE, MINUTE)
    assert life.letters == {}
    assert live(life, "B", 1) == [(1, "first")]


@pytest.mark.parametrize("cut", range(7))
def test_a_life_goes_on_from_its_json(cut: int) -> None:
    letters = "BB.B?.B"
    one, whole = Life(repeat_ms=2 * MINUTE), Life(repeat_ms=2 * MINUTE)
    told = live(one, letters[:cut])
    one.settle((cut - 1) * MINUTE, MINUTE)
    again = Life(repeat_ms=2 * MINUTE)
    again.read_json(one.to_json(MINUTE), MINUTE)
    assert told + live(again, letters[cut:], cut) == live(whole, letters)
    assert again.now == whole.now


def test_a_life_is_over_when_nothing_could_be_told_of_it_any_more() -> None:
    life = Life()
    live(life, "B..")
    assert not life.is_over
    life.settle(3 * MINUTE, MINUTE)
    assert life.is_over
