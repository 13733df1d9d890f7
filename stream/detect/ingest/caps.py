"""Caps: what one model may cost; the rest of it left out or folded, first come first served.

In    a run of events, and the rolls they stand in (rolls.py)
Out   per feature the events for which it is left out; segments with `_other` for those beyond
Not   models and versions beyond a cap, which are refused (rolls.py)

Who comes first is decided by the log alone: by event, then by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from kernels import ids
from stream.detect.ingest.columns import Columns, is_there
from stream.detect.ingest.groups import Segmentation
from stream.detect.ingest.rolls import Called

OTHER = "_other"
Mask = NDArray[np.bool_]


def beyond(
    called: Called, run: Columns, announced_of: Callable[[int], Collection[str]]
) -> dict[str, Mask]:
    """By column the events (n,) whose roll has no room for the feature; mostly none.

    announced_of  by pane, columns that always have room, and need none
    """
    out: dict[str, Mask] = {}
    places = called.index[run.rows]
    for at, roll in enumerate(called.rolls):
        known = roll.names.setdefault((run.model, run.version), set())
        announced = announced_of(roll.pane)
        fresh = [name for name in run.columns if name not in known and name not in announced]
        if not fresh:
            continue
        mine = (places == at) & (called.told[run.rows] != ids.SEEN)
        limit = roll.spec.limits.max_feature_names
        for name in _in_order(run, fresh, mine):
            if len(known) < limit:
                known.add(name)
            else:
                out.setdefault(name, np.zeros(len(places), np.bool_))[places == at] = True
    return out


def _in_order(run: Columns, names: list[str], mine: Mask) -> list[str]:
    """The columns that some of these events have, by the first that has it, then by name."""
    masks = ((name, mine & is_there(run.columns[name])) for name in names)
    return [name for _, name in sorted((int(np.argmax(m)), name) for name, m in masks if m.any())]


def folded(called: Called, run: Columns, name: str, cut: Segmentation) -> Segmentation:
    """The segments of a run with `NAME=_other` for those that a roll has no room for.

    Events of rolls whose configuration does not cut by this name are in none.
    """
    codes, names, other = cut.codes.copy(), cut.names, f"{name}={OTHER}"
    places = called.index[run.rows]
    for at, roll in enumerate(called.rolls):
        rows = np.flatnonzero((places == at) & (cut.codes >= 0))
        if name not in roll.spec.model(run.model).segments:
            codes[rows] = -1
            continue
        limit = roll.spec.limits.max_segments
        known = roll.segments.setdefault((run.model, run.version, name), set())
        there, firsts = np.unique(cut.codes[rows], return_index=True)
        beyond = list[int]()
        for code in there[np.argsort(firsts)].tolist():
            if names[code] not in known and len(known) >= limit:
                beyond.append(code)
            else:
                known.add(names[code])
        if beyond:
            names = names if other in names else [*names, other]
            codes[rows[np.isin(cut.codes[rows], beyond)]] = names.index(other)
    return Segmentation(codes, names)
