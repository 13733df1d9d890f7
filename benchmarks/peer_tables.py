"""Peer: whylogs on one column, Evidently on two tables; one turn for every line on standard input.

In    a line with the name of a peer: whylogs or evidently
Out   a line with the CPU seconds its turn took, after one turn of each that is not counted
Not   ours; this runs in the environment of peers.py, which has nothing of Driftline

Tables are those of bench_update.py: the same shape, the same law, drawn again.
"""

from __future__ import annotations

import os
import sys
import time
import warnings

os.environ["WHYLOGS_NO_ANALYTICS"] = os.environ["DO_NOT_TRACK"] = "True"

import numpy as np
import pandas as pd


def main(rows: int, columns: int) -> None:
    """Serve turns until standard input ends."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(1)
    names = [f"f{at}" for at in range(columns)]
    before, now = (
        pd.DataFrame(rng.normal(10.0, 3.0, (rows, columns)), columns=names) for _ in "ab"
    )
    one = now[["f0"]]
    turns = {"whylogs": lambda: _whylogs(one), "evidently": lambda: _evidently(before, now)}
    warm = set()
    for line in sys.stdin:
        turn = turns[line.strip()]
        if line not in warm:
            turn()
            warm.add(line)
        start = time.process_time()
        turn()
        print(time.process_time() - start, file=ANSWERS, flush=True)


def _whylogs(table: pd.DataFrame) -> object:
    import whylogs

    return whylogs.log(table).view()


def _evidently(before: pd.DataFrame, now: pd.DataFrame) -> object:
    from evidently import Report
    from evidently.presets import DataDriftPreset

    return Report([DataDriftPreset(num_method="psi")]).run(now, before)


if __name__ == "__main__":
    # Peers print what they like; only answers go to the parent.
    ANSWERS = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    main(int(sys.argv[1]), int(sys.argv[2]))
