"""Is every event counted once when the worker's own machine is full, slow, or has a wrong clock?"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.kafka_fixture import wait_until
from tests.system.arena import Arena, fill_up, pause
from tests.system.feed import Feed
from tests.worker_process import MOST_RSS, WorkerProcess

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

# Python runs it before anything else. The wall clock then goes as WRONG_CLOCK says: seconds since
# the start, and by how many seconds it is off from then on; `drift` is between two of these.
WRONG_CLOCK = """
import os, time
now_ns, monotonic, started = time.time_ns, time.monotonic, time.monotonic()
steps = [tuple(map(float, step.split(":"))) for step in os.environ["WRONG_CLOCK"].split(",")]
def off():
    age = monotonic() - started
    gone = [step for step in steps if step[0] <= age]
    at, before = gone[-1] if gone else (0.0, 0.0)
    if os.environ["CLOCK_DRIFTS"] == "yes" and len(gone) < len(steps):
        then, after = steps[len(gone)]
        return before + (after - before) * (age - at) / (then - at)
    return before
time.time_ns = lambda: now_ns() + int(off() * 1e9)
time.time = lambda: time.time_ns() / 1e9
"""
STEPS = "0:300,8:3600,11:-3600,14:0,17:-300"


@pytest.mark.chaos
@pytest.mark.parametrize("drifts", ["no", "yes"], ids=["jumps", "drifts"])
def test_the_clock_of_the_worker_is_wrong(
    tmp_path: Path, arena: Arena, feed: Feed, drifts: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WRONG_CLOCK)
    environment = {
        "PYTHONPATH": f"{tmp_path}:{Path.cwd()}", "WRONG_CLOCK": STEPS, "CLOCK_DRIFTS": drifts,
    }  # fmt: skip
    started = datetime.now(UTC)
    with arena.worker("wrong", environment=environment) as wrong:
        wrong.wait_ready()
        with arena.flow(feed, 2_000):
            pause(20)
        arena.finish(feed, what=f"wrong clock, drifts: {drifts}")
        assert wrong.stop() == 0
    # Dead letters say when they were written: proof that the clock was wrong.
    written = [datetime.fromisoformat(one["time"]) for one in arena.values("dead-letters")]
    minute = timedelta(minutes=1)
    assert min(written) < started - minute or max(written) > datetime.now(UTC) + minute


@contextmanager
def throttled(worker: WorkerProcess, run_s: float, halt_s: float) -> Iterator[None]:
    """The worker runs for run_s, stands still for halt_s, and so on."""
    done = threading.Event()

    def hold_back() -> None:
        while not done.wait(run_s):
            worker.halt()
            done.wait(halt_s)
            worker.go_on()

    thread = threading.Thread(target=hold_back)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.chaos
@pytest.mark.timeout(400)
def test_a_worker_that_is_offered_ten_times_what_it_carries(arena: Arena, feed: Feed) -> None:
    with arena.worker("slow") as slow:
        slow.wait_ready()
        most, behind, sent = 0, 0.0, 0
        with throttled(slow, 0.02, 0.48):
            # At least so much; more if the machine publishes no faster than the worker counts.
            while sent < 300_000 or (behind <= 20_000 and sent < 1_500_000):
                sent += arena.publish(feed.take(50_000))
                most = max(most, slow.rss())
                behind = max(behind, sum(slow.lags().values()))
        assert behind > 20_000, "it kept up: nothing was tested"
        arena.finish(feed, 120, what=f"a slow worker, {behind:.0f} behind, RSS {most >> 20} MB")
        assert max(most, slow.rss()) < MOST_RSS
        assert slow.shares() == 4
        assert "eartbeat" not in slow.log()  # a session that was lost


@pytest.mark.chaos
def test_two_greedy_neighbours_cost_no_partition(arena: Arena, feed: Feed) -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        with arena.worker("only") as worker:
            worker.wait_ready()
            with arena.flow(feed, 2_000):
                pause(20)
            arena.finish(feed, what="three busy loops on the machine")
            assert "without a last commit" not in worker.log()
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_the_disk_of_the_worker_is_full(tmp_path: Path, arena: Arena, feed: Feed) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=True)
    try:
        (disk / "kernels").mkdir()
        fill_up(disk)
        places = ("NUMBA_CACHE_DIR", "TMPDIR", "HOME", "XDG_CACHE_HOME")
        environment = dict.fromkeys(places, str(disk / "kernels"))
        arena.publish(feed.take(30_000))
        with arena.worker("no room", environment=environment) as worker:
            worker.wait_ready(400)  # nothing that was compiled can be kept
            assert wait_until(lambda: worker.metric("driftline_events_total") > 20_000, 60)
            worker.kill()
        assert list((disk / "kernels").rglob("*.nbc")) == []
        with arena.worker("next"):
            arena.finish(feed, what="disk of the worker full")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
