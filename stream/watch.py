"""Watch: a running app in; its health measured, and its end for certain, out.

In    lanes and producers, twice a second
Out   facts for /health and /metrics; a worker that is stuck ends with the exit code of its fault,
      and one that is to end does so in time
Not   what counts as stuck (serve/health.py)

A service on the event loop cannot notice that the loop stands still, and nothing that waits for a
broker ends in time by itself. So there are two threads: one that misses the loop's beat, one that
counts down once the worker is to end. Ending without a word is safe, since what was not committed
is read again.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence

from mode import Service

from stream.bus.lane import Lane
from stream.bus.producer import Producer
from stream.clock import Clock
from stream.errors import DriftlineError, SendError, StalledError
from stream.serve.health import Health, SendingFacts, StageFacts
from stream.serve.metrics import Metrics

HARD_STOP_S = 15.0  # from the wish to end to the end
STOPPED_HARD = 143  # exit code; as a shell has it for SIGTERM
MEASURE_S = 0.5
BEAT_MS = 10  # between two looks at the loop; what holds it up for less is not seen as a whole


class Watch(Service):
    """Measures, tells, and ends what has been stuck for too long."""

    abstract = False

    def __init__(
        self,
        app: Service,
        lanes: Sequence[Lane],
        producers: Sequence[Producer],
        health: Health,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        super().__init__()
        self._app, self._lanes, self._producers = app, lanes, producers
        self._health, self._metrics, self._clock = health, metrics, clock
        self._beat_ms = clock.monotonic_ms()
        self._held_ms = 0  # the longest since the last measure
        self._ended = threading.Event()

    async def on_start(self) -> None:
        """Start to listen for the beat."""
        self._beat_ms = self._clock.monotonic_ms()
        if self._health.exit_after_ms is not None:
            limit_ms = self._health.exit_after_ms
            threading.Thread(target=self._listen, args=(limit_ms,), daemon=True).start()

    async def on_stop(self) -> None:
        """The loop ends now, and so does its beat."""
        self._ended.set()

    def _listen(self, limit_ms: int) -> None:
        while not self._ended.wait(MEASURE_S):
            if self._clock.monotonic_ms() - self._beat_ms > limit_ms:
                os._exit(StalledError.exit_code)

    @Service.task
    async def _beat(self) -> None:
        while not self.should_stop:
            due_ms = self._clock.monotonic_ms() + BEAT_MS
            await asyncio.sleep(BEAT_MS / 1000)
            self._beat_ms = self._clock.monotonic_ms()
            held_ms = max(0, self._beat_ms - due_ms)
            self._held_ms = max(self._held_ms, held_ms)
            self._metrics.loop_held.observe(held_ms / 1000)

    @Service.task
    async def _measure(self) -> None:
        while not self.should_stop:
            await asyncio.sleep(MEASURE_S)
            held_ms, self._held_ms = self._held_ms, 0
            await self._tell(held_ms)
            if self._app.crashed:
                end_hard(exit_code_of(self._app))
                return
            if (code := self._health.exit_code()) is not None:
                why = "; ".join(complaint.text for complaint in self._health.complaints())
                await self._app.crash(
                    (SendError if code == SendError.exit_code else StalledError)(why)
                )

    async def _tell(self, loop_lag_ms: int) -> None:
        facts = [StageFacts(*await lane.measure()) for lane in self._lanes]
        sending = [SendingFacts(*producer.measure()) for producer in self._producers]
        self._health.update(facts, sending, loop_lag_ms)
        self._metrics.loop_lag.set(loop_lag_ms / 1000)
        self._metrics.show_lags(facts[0].lags)


def end_hard(code: int) -> None:
    """End the process in a while, if it does not end by itself before."""
    timer = threading.Timer(HARD_STOP_S, os._exit, (code,))
    timer.daemon = True
    timer.start()


def exit_code_of(app: Service) -> int:
    """What a worker returns that has ended."""
    if not app.crashed:
        return 0
    reason = app.crash_reason
    return reason.exit_code if isinstance(reason, DriftlineError) else DriftlineError.exit_code
