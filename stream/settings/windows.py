"""Windows: the window sections in, lengths and the common pane out.

In    `window:` of the file and `models.<model>.window`
Out   window lengths in milliseconds, the default first; `TimeSpec`
Not   the arithmetic of event time (stream/detect/)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stream.detect.specs import TimeSpec
from stream.settings.document import Place
from stream.settings.mistakes import Checked, Mistakes
from stream.settings.sections import ModelWindowSection, WindowSection
from stream.settings.units import written

SMALLEST_PANE_MS = 1_000
_SECOND, _MINUTE, _HOUR = 1_000, 60_000, 3_600_000
NICE_PANES_MS = (
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 20, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 20, 30)),
    *(n * _HOUR for n in (1, 2, 3, 4, 6, 8, 12, 24)),
)
PANES_PER_WINDOW = 5  # a derived pane is at most a fifth of the shortest window


@dataclass(slots=True)
class Windows:
    """The common window settings, and every length any model asked for with its place."""

    section: WindowSection
    sound: bool  # the lengths and the pane were readable
    asked: list[tuple[int, Place]] = field(default_factory=list)

    @classmethod
    def read(cls, raw: object, mistakes: Mistakes) -> Windows:
        """Check `window:`."""
        checked = mistakes.section(WindowSection, raw, ("window",))
        section = checked.section
        windows = cls(section, checked.sound("length", "more", "pane"))
        windows.ask(section.length, section.more, checked, mistakes)
        if section.pane is not None and section.pane < SMALLEST_PANE_MS:
            text = f"{written(section.pane)} is too short; accepted: 1s or longer"
            mistakes.add(("window", "pane"), text)
            windows.sound = False
        if section.idle_timeout == 0:
            text = "0 would close windows at once; accepted: above 0"
            mistakes.add(("window", "idle_timeout"), text)
        return windows

    @property
    def lengths_ms(self) -> tuple[int, ...]:
        """The lengths of a model that gives none."""
        return (self.section.length, *self.section.more)

    def ask(
        self,
        length: int,
        more: tuple[int, ...],
        checked: Checked[WindowSection] | Checked[ModelWindowSection],
        mistakes: Mistakes,
    ) -> None:
        """Note the lengths of one section; each must be above 0 and differ from the others."""
        seen: set[int] = set()
        places: list[Place] = [(*checked.place, "length")]
        places += [(*checked.place, "more", at) for at in range(len(more))]
        for value, place in zip((length, *more), places, strict=True):
            if value == 0:
                mistakes.add(place, "a window of length 0 holds nothing; accepted: 1s or longer")
            elif value in seen:
                text = f"{written(value)} stands twice; accepted: each length once"
                mistakes.add(place, text)
            elif checked.sound(str(place[len(checked.place)])):
                self.asked.append((value, place))
            seen.add(value)

    def time_spec(self, mistakes: Mistakes) -> TimeSpec:
        """The common time settings, once every model has asked for its lengths."""
        section = self.section
        return TimeSpec(
            pane_ms=self._pane(mistakes),
            grace_ms=section.grace,
            idle_timeout_ms=section.idle_timeout,
            max_ahead_ms=section.max_ahead,
            revise_for_ms=section.revise_for,
            forget_after_ms=section.forget_after,
            duplicates_for_ms=section.duplicates_for,
        )

    def _pane(self, mistakes: Mistakes) -> int:
        """The pane given, or the largest nice one that divides every length."""
        if not self.sound:
            return SMALLEST_PANE_MS
        pane = self.section.pane
        if pane is None:
            pane = derived_pane(tuple(length for length, _ in self.asked))
        for length, place in self.asked:
            if length % pane:
                text = f"{written(length)} is not a whole number of panes of {written(pane)}"
                mistakes.add(place, f"{text}; accepted: a multiple of {written(pane)}")
        return pane


def derived_pane(lengths_ms: tuple[int, ...]) -> int:
    """The largest nice pane that divides all lengths and is at most a fifth of the shortest."""
    most = min(lengths_ms, default=0) // PANES_PER_WINDOW
    fitting = [
        pane
        for pane in NICE_PANES_MS
        if pane <= most and all(length % pane == 0 for length in lengths_ms)
    ]
    return max(fitting, default=SMALLEST_PANE_MS)


def model_lengths(
    own: Checked[ModelWindowSection], windows: Windows, mistakes: Mistakes
) -> tuple[int, ...]:
    """The lengths of one model: its own, or the common ones for what it does not give."""
    section = own.section
    length = windows.section.length if section.length is None else section.length
    if "more" not in own.given:
        more = tuple(item for item in windows.section.more if item != length)
    else:
        more = section.more
    if own.given:
        windows.ask(length, more, own, mistakes)
    return (length, *more)
