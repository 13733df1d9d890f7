"""Configurations: which configuration counts and judges a pane.

In    the configuration in force from the beginning, and each one that was announced later
Out   the `DetectorSpec` in force at an event time, the same for everybody who reads the log
Not   where they are announced (bus/configuration_log.py), their text (settings/)

A configuration is in force from the first border of panes on that lies `max_ahead` and NOTICE_MS
after its announcement. No event of such a pane can have come sooner than NOTICE_MS after the
announcement, and before a worker takes events it asks for everything announced NOTICE_MS before
them. So nobody counts a pane under what was in force before, however late he starts or reads.

A window is judged under the configuration of its last pane. If a length of windows changes, the
border is one of all windows of that model, before and after: none of them lies across it.
"""

from __future__ import annotations

from math import lcm
from typing import NamedTuple

from stream.detect.specs import DetectorSpec, ModelSpec, TimeSpec
from stream.detect.times import NEVER_MS, rfc3339

NOTICE_MS = 5_000  # more than clocks of brokers differ; a worker asks once in so much arrival time
FIXED_LIMITS = ("max_message_bytes", "max_features", "max_text")  # apply before a pane is known


class InForce(NamedTuple):
    """A configuration, and the event time from which panes are counted under it."""

    from_ms: int
    spec: DetectorSpec

    def said(self) -> str:
        """In one line."""
        since = "every pane" if self.from_ms == NEVER_MS else f"{rfc3339(self.from_ms)} on"
        return f"configuration {self.spec.config_hash} counts and judges panes from {since}"


class Configurations:
    """All configurations that were ever in force, or will be as far as is known.

    What counts no pane (`time`, `hash_secret`, limits of one message) is that of the first.
    """

    def __init__(self, first: DetectorSpec) -> None:
        self.first = first
        self._known: tuple[InForce, ...] = (InForce(NEVER_MS, first),)  # replaced, never changed

    @property
    def time(self) -> TimeSpec:
        """How event time is cut."""
        return self.first.time

    @property
    def known(self) -> tuple[InForce, ...]:
        """By the time from which they are in force."""
        return self._known

    def at(self, event_ms: int) -> DetectorSpec:
        """The configuration of a pane that begins then."""
        known = self._known
        last = known[-1]
        if event_ms >= last.from_ms:
            return last.spec
        earlier = (spec for from_ms, spec in reversed(known) if event_ms >= from_ms)
        return next(earlier, self.first)

    def judging(self, end_ms: int) -> DetectorSpec:
        """The configuration that judges a window that ends then."""
        return self.at(end_ms - self.first.time.pane_ms)

    def lengths(self, model: str, event_ms: int) -> tuple[int, ...]:
        """Of the windows of a model that a pane belongs to, in milliseconds, the main one first."""
        return self.at(event_ms).model(model).lengths_ms

    def can_follow(self, spec: DetectorSpec) -> bool:
        """Whether only that changes which may change while workers run."""
        first = self.first
        limits = ((getattr(first.limits, n), getattr(spec.limits, n)) for n in FIXED_LIMITS)
        same_limits = all(one == other for one, other in limits)
        return same_limits and (first.time, first.hash_secret) == (spec.time, spec.hash_secret)

    def announce(self, spec: DetectorSpec, written_ms: int) -> InForce:
        """Take one that was announced then, by the clock that stamps arrivals; in log order.

        One that would only have come into force later is replaced, and never is.
        """
        time = self.first.time
        earliest_ms = written_ms + time.max_ahead_ms + NOTICE_MS
        border_ms = _first_multiple(time.pane_ms, earliest_ms)
        kept = tuple(known for known in self._known if known.from_ms < border_ms)
        from_ms = _first_multiple(_unit(kept[-1].spec, spec), earliest_ms)
        change = InForce(from_ms, spec)
        self._known = (*kept, change)
        return change


def changed_lengths(before: DetectorSpec, after: DetectorSpec) -> dict[str, tuple[int, ...]]:
    """By model all lengths of windows, before and after, where they differ; `*` is any other."""
    models = [(name, before.model(name), after.model(name)) for name in _names(before, after)]
    models.append(("*", before.default, after.default))
    return {
        name: tuple(sorted({*one.lengths_ms, *other.lengths_ms}))
        for name, one, other in models
        if _windows(one) != _windows(other)
    }


def _names(before: DetectorSpec, after: DetectorSpec) -> list[str]:
    return sorted({*before.models, *after.models})


def _windows(model: ModelSpec) -> tuple[int, frozenset[int]]:
    """What streams remember of their windows: the main length, and the others in any order."""
    return model.lengths_ms[0], frozenset(model.lengths_ms)


def _unit(before: DetectorSpec, after: DetectorSpec) -> int:
    lengths = changed_lengths(before, after).values()
    return lcm(before.time.pane_ms, *(length for one in lengths for length in one))


def _first_multiple(unit: int, at_least: int) -> int:
    return -(-at_least // unit) * unit
