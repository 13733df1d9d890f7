"""Failpoints: named steps in; nothing out, unless a test asked this process to end at one.

In    DRIFTLINE_FAILPOINTS, read once: `step=action` or `step=action@n`, more with commas
Out   at the n-th time the step is reached (the first without @n): `kill` ends the process as
      SIGKILL does, `stop` halts it as SIGSTOP does, for the tester to continue, `hang` holds up
      the event loop for ever
Not   errors that a step could raise: what is tested here is a process that is gone in between

Without the variable a step costs one look at an empty mapping.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping

from stream.errors import UsageError

VARIABLE = "DRIFTLINE_FAILPOINTS"
ACTIONS: Mapping[str, Callable[[], object]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "hang": lambda: threading.Event().wait(),
}
STEPS = frozenset(
    {
        "assign.before-offsets",  # a partition is ours, where to start is not known
        "assign.after-offsets",
        "ingest.before-send",
        "judge.before-send",
        "producer.middle",  # some records of one send are acknowledged, the others not sent
        "ingest.after-send",
        "judge.after-send",
        "idle.before-commit",  # parts are out that silence alone called complete
        "state.before",  # windows and alerts are out, what the judge knows is not written
        "state.after",
        "commit.before",
        "commit.after",
        "revoke.before-commit",
        "stop.before-leave",  # the last commit is done, the group is not left
    }
)


class Failpoints:
    """What shall happen at which step."""

    def __init__(self, text: str) -> None:
        """Raises UsageError for a step or an action that does not exist."""
        self._actions: dict[str, tuple[Callable[[], object], int]] = {}
        self._times: dict[str, int] = {}
        for item in filter(None, text.replace(" ", "").split(",")):
            step, _, rest = item.partition("=")
            action, _, times = rest.partition("@")
            if step not in STEPS or action not in ACTIONS or not (times or "1").isdecimal():
                known = f"steps {', '.join(sorted(STEPS))}; actions {', '.join(ACTIONS)}"
                raise UsageError(f"{VARIABLE}: {item!r} is no step=action@n; known: {known}")
            self._actions[step] = (ACTIONS[action], int(times or 1))

    def reach(self, step: str) -> None:
        """Say that the process is at this step now."""
        if step not in self._actions:
            return
        act, times = self._actions[step]
        self._times[step] = self._times.get(step, 0) + 1
        if self._times[step] == times:
            act()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Failpoints:
        """What an environment asks for."""
        return cls(environment.get(VARIABLE, ""))


reach = Failpoints.of(os.environ).reach
