"""Letters: what a judge could not use or does not know any more in, dead letters out.

In    parts that came too late, streams whose record was lost
Out   a `DeadLetter` with its reason
Not   sending it (agents.py)
"""

from __future__ import annotations

from collections.abc import Sequence

from stream.detect.ingest.codec import DeadLetter
from stream.detect.partials import Partial
from stream.detect.states import Stream


def orphan_letter(partial: Partial, offset: int) -> DeadLetter:
    """The dead letter of a part that came after its window, or the shortest of them, was final."""
    whose = f"{partial.stream.model}/{partial.stream.version}"
    detail = (
        f"{partial.state.events} events of {whose}, offsets {partial.first_offset} to "
        f"{partial.last_offset} of source partition {partial.source}, came after their window "
        "was final; longer windows that are not final have them"
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
