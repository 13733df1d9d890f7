"""Letters: what a judge could not use or does not know any more in, dead letters out.

In    parts that came too late, streams whose record was lost
Out   a `DeadLetter` with its reason
Not   sending it (agents.py)
"""

from __future__ import annotations

from collections.abc import Sequence

from stream.detect.ingest.codec import DeadLetter
from stream.detect.judge.gather import Orphan
from stream.detect.states import Stream
from stream.detect.times import rfc3339


def orphan_letter(orphan: Orphan, offset: int) -> DeadLetter:
    """The dead letter of a part that came after windows it belongs to were final; it names them."""
    partial = orphan.partial
    whose = "/".join(filter(None, partial.stream))
    final = ", ".join(f"{rfc3339(w.start_ms)} to {rfc3339(w.end_ms)}" for w in orphan.windows)
    detail = (
        f"a part of {partial.state.events} events of {whose}, offsets {partial.first_offset} to "
        f"{partial.last_offset} of source partition {partial.source}, came after these windows "
        f"were final: {final}; longer ones have it"
    )
    return DeadLetter(reason="too_late", field="ts", detail=detail, offset=offset, raw=b"")


def rebuilt_letter(streams: Sequence[Stream], offset: int) -> DeadLetter:
    """The dead letter of what judges knew and nobody knows any more."""
    named = ", ".join("/".join(filter(None, stream)) for stream in streams[:10])
    detail = (
        f"what was known of {len(streams)} streams was lost, among them {named}: they were judged "
        "again from the partials that may still be revised; alerts that began before may be told "
        "as first again, or not be resolved"
    )
    return DeadLetter(reason="state_rebuilt", field=None, detail=detail, offset=offset, raw=b"")
