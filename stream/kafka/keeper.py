"""Keeper: one command in; that command ended, for certain, when its parent is gone.

In    arguments: parent's process id, a folder to remove if the parent dies (or ""), the command;
      standard input: one letter from the parent, or its end when the parent dies
Out   the command's process id on standard output; the exit code of the command
Not   what the command is (broker.py); this file runs as a script, by its path, and imports nothing

Why a process of its own: a parent ended by SIGKILL can clean up nothing, and asking the kernel for
a signal (PR_SET_PDEATHSIG) from a threaded parent fires when the *thread* ends. A pipe has no such
trap. The parent's id is watched beside it, because a forked sibling may hold the pipe's other end.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

STOP, KILL, GONE = b"s", b"k", b""
CHECK_S = 0.5  # how often the parent's id is looked at
GRACE_S = 10.0  # from SIGTERM to SIGKILL
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_keeper() -> None:
    """In the child on Linux: SIGKILL when the keeper dies; safe, the keeper has one thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def next_order(child: subprocess.Popen[bytes], parent: int, signals: int) -> bytes | None:
    """What the parent wants: STOP, KILL, GONE when it is no more, None when the child has ended."""
    while child.poll() is None:
        ready, _, _ = select.select([0, signals], [], [], CHECK_S)
        if ready:
            return os.read(ready[-1], 1)
        if os.getppid() != parent:
            return GONE
    return None


def end(child: subprocess.Popen[bytes], politely: bool) -> None:
    """End the child and wait until it is gone."""
    if politely:
        child.terminate()
        try:
            child.wait(GRACE_S)
            return
        except subprocess.TimeoutExpired:
            pass
    child.kill()
    child.wait()


def stop_on_sigterm() -> int:
    """Make SIGTERM an order to stop; the descriptor to read it from.

    An exception from the handler could rise before the child is known, and leave it running.
    """
    orders, order = os.pipe()
    signal.signal(signal.SIGTERM, lambda number, frame: os.write(order, STOP) and None)
    return orders


def main(arguments: list[str]) -> int:
    """Run the command until it ends or the parent does not want it any more."""
    parent, doomed, *command = arguments
    signals = stop_on_sigterm()
    nothing = subprocess.DEVNULL
    child = subprocess.Popen(command, stdin=nothing, stdout=2, preexec_fn=die_with_keeper)
    os.write(1, b"%d\n" % child.pid)
    order = next_order(child, int(parent), signals)
    end(child, politely=order != KILL)
    if order == GONE and doomed:
        shutil.rmtree(doomed, ignore_errors=True)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
