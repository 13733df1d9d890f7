"""Told: what a judge hands out in, records to send out.

In    `Verdicts`; names of topics; where the message stands that brought them about
Out   records in order, and how many dead letters are among them, by reason
Not   sending them (producer.py), metrics (serve/metrics.py)

Windows of thousands of streams take seconds to encode: call it in a thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import orjson

from stream.bus.oversize import REASON, fitting
from stream.bus.producer import Record
from stream.detect.ingest.codec import DeadLetter, dead_letter
from stream.detect.judge.judge import Verdicts
from stream.detect.judge.letters import orphan_letter, rebuilt_letter


def told_records(
    verdicts: Verdicts, topics: Mapping[str, str], partition: int, offset: int, now: str
) -> tuple[list[Record], Counter[str]]:
    """Windows, alerts, then dead letters; now is RFC 3339."""
    records = [
        Record(topics["windows"], window["window_id"].encode(), orjson.dumps(window))
        for window in verdicts.windows
    ]
    records += [
        Record(topics["alerts"], alert["data"]["fingerprint"].encode(), orjson.dumps(alert))
        for alert in verdicts.alerts
    ]
    letters = [(orphan_letter(one, one.offset), "partials") for one in verdicts.orphans]
    if verdicts.rebuilt:
        letters.append((rebuilt_letter(verdicts.rebuilt, offset), "judge-state"))
    reasons = Counter(letter.reason for letter, _ in letters)
    records += [_record(letter, topics, about, partition, now) for letter, about in letters]
    records, refused = fitting(records, topics["dead-letters"], partition, offset, now)
    return records, reasons + Counter({REASON: refused})


def _record(
    letter: DeadLetter, topics: Mapping[str, str], about: str, partition: int, now: str
) -> Record:
    value = dead_letter(letter, topics[about], partition, now)
    return Record(topics["dead-letters"], letter.reason.encode(), value)
