"""Lives: the verdicts of one alert window by window in, when it fires and ends out.

In    a letter per window, in any order of windows
Out   a reason to tell of it, or none
Not   verdicts (rules.py), what an alert event says (alerts.py)

    inactive ──breach──► pending ──`for` breaches──► firing ──`keep_firing` clear──► resolved
                            └─────no breach──► inactive

Words and life cycle are Prometheus'. A window without enough data changes nothing: silence never
resolves an alert; but one too small to find what it should (`SMALL`) did not agree with the breach
before it. A wide window that breaches (`WIDE`) stands for as many as have to agree. While an alert
fires, a value still near its threshold is not clear.

A window that may still be revised keeps its letter. Late data change a letter, and the life is then
lived again from the last window that is final: what comes out otherwise is told as a correction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stream.detect.times import NEVER_MS

BREACHED, WIDE, CLEAR, NEAR, SMALL, UNKNOWN = "B", "W", ".", "~", "s", "?"
BREACHES = (BREACHED, WIDE)
TOLERANCE = 0.05  # of the value that was told: a revision that moves it less is not told
NONE = " "  # no letter, where letters stand in a row
Era = tuple[int, int | None]  # windows in which it began and ceased to fire; None: it fires still
TOLD = ("first", "changed", "repeat", "corrected")  # reasons that speak of a breach


class Standing(NamedTuple):
    """Where a life stands after a window.

    breaches, clears  in a row
    since_ms          start of the window in which it began to fire; None: it does not fire
    """

    breaches: int = 0
    clears: int = 0
    since_ms: int | None = None

    def after(self, letter: str, start_ms: int, hold: int, keep_firing: int) -> Standing:
        """The next step of the life."""
        fires = self.since_ms is not None
        if letter in BREACHES:
            breaches = self.breaches + (1 if letter == BREACHED else hold)
            since_ms = start_ms if not fires and breaches >= hold else self.since_ms
            return Standing(breaches, 0, since_ms)
        if letter == NEAR and fires:
            return self._replace(clears=0)
        if letter == SMALL and not fires:
            return NEW
        if letter in (SMALL, UNKNOWN):
            return self
        if not fires or self.clears + 1 >= keep_firing:
            return Standing()
        return Standing(0, self.clears + 1, self.since_ms)


NEW = Standing()


class Sent(NamedTuple):
    """What was told last for a window."""

    reason: str
    letter: str
    value: float | None


@dataclass(slots=True)
class Life:
    """The life of one alert.

    base     after all windows that are final
    letters  of later windows, by start
    sent     of later windows, by start
    named    values the alert has told of since it fires
    told_ms  end of the last window that was told; NEVER_MS before
    seen_ms  end of the last window with a verdict
    """

    hold: int = 1
    keep_firing: int = 1
    repeat_ms: int | None = None
    base: Standing = NEW
    letters: dict[int, str] = field(default_factory=dict)
    sent: dict[int, Sent] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    told_ms: int = NEVER_MS
    seen_ms: int = NEVER_MS

    @property
    def now(self) -> Standing:
        """Where the life stands after the last window."""
        return self._live()[0]

    @property
    def is_firing(self) -> bool:
        """Whether the alert fires after the last window."""
        return self.now.since_ms is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it could still be told."""
        return self.base == NEW and not self.sent and not set(BREACHES) & set(self.letters.values())

    def follow(self, other: Life, *, is_other_length: bool) -> None:
        """Go on by the rules of another life."""
        if is_other_length or (self.hold, self.keep_firing) != (other.hold, other.keep_firing):
            self.base = self.now
            self.letters.clear()
            self.sent.clear()
        self.hold, self.keep_firing = other.hold, other.keep_firing
        self.repeat_ms = other.repeat_ms

    def settle(self, final_ms: int, length_ms: int) -> None:
        """Windows that end here or earlier are never revised."""
        for start_ms in sorted(s for s in self.letters if s + length_ms <= final_ms):
            self.base = self._step(self.base, start_ms, self.letters.pop(start_ms))
        self.sent = {s: said for s, said in self.sent.items() if s + length_ms > final_ms}

    def take(
        self, letter: str, start_ms: int, length_ms: int, value: float, *, is_revision: bool
    ) -> str | None:
        """The verdict of a window; the reason to tell of it, if there is one.

        Whether values are new (`changed`) is not known here.
        """
        was = before, _ = self._live()
        is_late = is_revision or start_ms <= max(self.letters, default=NEVER_MS)
        self.letters[start_ms] = letter
        self.seen_ms = max(self.seen_ms, start_ms + length_ms)
        now = after, _ = self._live()
        if is_late:
            return self._correction(letter, start_ms, value, was, now)
        if before.since_ms is None:
            return None if after.since_ms is None else "first"
        if after.since_ms is None:
            return "resolved"
        due = self.repeat_ms is not None and start_ms + length_ms >= self.told_ms + self.repeat_ms
        return "repeat" if due and letter in BREACHES else None

    def tell(self, reason: str, start_ms: int, length_ms: int, value: float) -> None:
        """Note that this was told."""
        known = None if value != value else value
        self.sent[start_ms] = Sent(reason, self.letters[start_ms], known)
        self.told_ms = max(self.told_ms, start_ms + length_ms)
        if not self.is_firing:
            self.named.clear()

    def _correction(
        self,
        letter: str,
        start_ms: int,
        value: float,
        was: tuple[Standing, list[Era]],
        now: tuple[Standing, list[Era]],
    ) -> str | None:
        """Late data changed a window that was judged before, or came before later ones."""
        (before, eras), (after, eras_now) = was, now
        said = self.sent.get(start_ms)
        was_told = said is not None and said.reason in TOLD and said.letter in BREACHES
        if before.since_ms is None and after.since_ms is not None:
            return "corrected"
        if before.since_ms is not None and after.since_ms is None:
            began = {since_ms for since_ms, _ in eras_now}
            return "resolved" if before.since_ms in began else "retracted"
        if was_told and letter not in BREACHES:
            moved_on = after.since_ms is not None and after.since_ms != before.since_ms
            return "corrected" if moved_on else "retracted"
        if eras != eras_now:
            return "corrected"
        return "corrected" if was_told and _is_other(said, value) else None

    def _live(self) -> tuple[Standing, list[Era]]:
        """Where the life stands now, and when it fired."""
        at, eras = self.base, list[Era]()
        if at.since_ms is not None:
            eras.append((at.since_ms, None))
        for start_ms in sorted(self.letters):
            fired, at = at.since_ms, self._step(at, start_ms, self.letters[start_ms])
            if fired is None and at.since_ms is not None:
                eras.append((at.since_ms, None))
            elif fired is not None and at.since_ms is None:
                eras[-1] = (fired, start_ms)
        return at, eras

    def _step(self, at: Standing, start_ms: int, letter: str) -> Standing:
        return at.after(letter, start_ms, self.hold, self.keep_firing)

    def to_json(self, length_ms: int) -> dict[str, Any]:
        """All but what the rule says, as JSON."""
        return {
            "base": list(self.base),
            "letters": _run(self.letters, length_ms),
            "sent": [[start_ms, *self.sent[start_ms]] for start_ms in sorted(self.sent)],
            "named": sorted(self.named),
            "told_ms": self.told_ms,
            "seen_ms": self.seen_ms,
        }

    def read_json(self, body: dict[str, Any], length_ms: int) -> None:
        """Take over what `to_json` gave. Raises KeyError, TypeError or ValueError if it did not."""
        self.base = Standing(*body["base"])
        first_ms, run = body["letters"] or (0, "")
        self.letters = {
            first_ms + i * length_ms: letter for i, letter in enumerate(run) if letter != NONE
        }
        self.sent = {int(start_ms): Sent(*said) for start_ms, *said in body["sent"]}
        self.named = set(body["named"])
        self.told_ms, self.seen_ms = int(body["told_ms"]), int(body["seen_ms"])


def _run(letters: dict[int, str], length_ms: int) -> list[Any] | None:
    """Letters in a row from the first window to the last."""
    if not letters:
        return None
    first_ms, last_ms = min(letters), max(letters)
    starts = range(first_ms, last_ms + 1, length_ms)
    return [first_ms, "".join(letters.get(start_ms, NONE) for start_ms in starts)]


def _is_other(said: Sent | None, value: float) -> bool:
    """Whether a value is another than what was told, by more than the tolerance."""
    if said is None or said.value is None or value != value:
        return False
    return abs(value - said.value) > TOLERANCE * abs(said.value)
