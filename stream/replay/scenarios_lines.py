"""Scenarios, the lines: the columns of a step in, lines of JSON with their times out.

In    a Step with scores, labels and the start of the scenario in epoch seconds
Out   Line(time, kind, order, bytes) of every prediction sent and every label that becomes known
Not   the order in which lines leave (scenarios.py)

Text is made column by column and joined row by row: byte for byte what `json.dumps` of one dict
per event would give, at more than twice the speed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.replay.scenarios_faults import Step
from stream.replay.scenarios_kinds import Mask
from stream.replay.scenarios_world import CATEGORIES, COLUMN, NUMERIC, Floats, Model

MODEL = "credit-risk"
VERSION = "7"
THRESHOLD = 0.3  # of the score, for the predicted label
ERRORS = ("TIMEOUT", "UPSTREAM_500")
PREDICTION, LABEL = "prediction", "label"

HEAD = f'{{"id":"%s","model":"{MODEL}","version":"{VERSION}","ts":"%s","arrival_time":"'
TAIL = (
    '","customer_id":"c%06d","status":"%s","error":%s,"latency_ms":%r,'
    '"features":{%s},"prediction":%s}\n'
)
LABEL_LINE = f'{{"id":"%s","model":"{MODEL}","ts":"%s","label":%d}}\n'


class Line(NamedTuple):
    """One line and its place in the stream; lines sort by their first three fields."""

    time_s: float  # when it leaves, epoch seconds
    rank: int  # 0 prediction, 1 label
    order: int  # number of the event, twice; the second sending of an event is one more
    text: bytes


class Outcome(NamedTuple):
    """What scoring and waiting add to a step."""

    score: Floats  # (n,)
    label: NDArray[np.int64]  # (n,)
    label_delay_s: Floats  # (n,)
    unlabelled: Mask  # (n,) its label never comes
    customer: NDArray[np.int64]  # (n,)
    repeat_delay_s: Floats  # (n,) used where the step says `repeated`


def to_lines(step: Step, outcome: Outcome, model: Model, start_s: float, first: int) -> list[Line]:
    """All lines of a step, in no particular order; events are numbered from `first`."""
    ids = [f"e{number:09d}" for number in range(first, first + len(step.seconds))]
    return [
        *_prediction_lines(step, outcome, model, start_s, ids),
        *_label_lines(step, outcome, start_s, ids),
    ]


def _prediction_lines(
    step: Step, outcome: Outcome, model: Model, start_s: float, ids: list[str]
) -> Iterator[Line]:
    arrival_s, again_s = start_s + step.arrival, start_s + step.arrival + outcome.repeat_delay_s
    stamped, arrived, arrived_again = map(iso_times, (start_s + step.stamped, arrival_s, again_s))
    tails = _tails(step, outcome, model)
    number = int(ids[0][1:]) if ids else 0
    for i, sent_s in enumerate(arrival_s.tolist()):
        head, order = HEAD % (ids[i], stamped[i]), 2 * (number + i)
        yield Line(sent_s, 0, order, f"{head}{arrived[i]}{tails[i]}".encode())
        if step.repeated[i]:
            text = f"{head}{arrived_again[i]}{tails[i]}".encode()
            yield Line(float(again_s[i]), 0, order + 1, text)


def _label_lines(step: Step, outcome: Outcome, start_s: float, ids: list[str]) -> Iterator[Line]:
    known_s = start_s + step.seconds + outcome.label_delay_s
    times = iso_times(known_s)
    for i in np.flatnonzero(~outcome.unlabelled & ~step.failed).tolist():
        text = LABEL_LINE % (ids[i], times[i], outcome.label[i])
        yield Line(float(known_s[i]), 1, 2 * int(ids[i][1:]), text.encode())


def iso_times(seconds: Floats) -> list[str]:
    """Epoch seconds (n,) as RFC 3339 with milliseconds and Z."""
    milliseconds = np.rint(seconds * 1000).astype("datetime64[ms]")
    times: list[str] = np.datetime_as_string(milliseconds, unit="ms", timezone="UTC").tolist()
    return times


def _tails(step: Step, outcome: Outcome, model: Model) -> list[str]:
    """What stands behind the arrival time, per event."""
    tails = []
    rows = zip(
        outcome.customer.tolist(),
        step.failed.tolist(),
        step.latency_ms.tolist(),
        _features(step, model),
        outcome.score.tolist(),
        strict=True,
    )
    for customer, failed, latency_ms, features, score in rows:
        status, error = ("error", f'"{ERRORS[customer % 2]}"') if failed else ("ok", "null")
        p = round(score, 6)
        prediction = "null" if failed else f'{{"score":{p!r},"label":{int(p >= THRESHOLD)}}}'
        tails.append(TAIL % (customer, status, error, round(latency_ms, 2), features, prediction))
    return tails


def _features(step: Step, model: Model) -> list[str]:
    """The inside of the features object, per event."""
    template, columns = [], []
    for name in NUMERIC:
        texts = _numbers(step.recorded[:, COLUMN[name]])
        for row, mode in step.retyped.get(name, {}).items():
            texts[row] = _retype(texts[row], mode, model.median[COLUMN[name]])
        if name in step.removed:
            template.append("%s")
            gone = step.removed[name].tolist()
            texts = ["" if g else f'"{name}":{t},' for g, t in zip(gone, texts, strict=True)]
        else:
            template.append(f'"{name}":%s,')
        columns.append(texts)
    for name, values in CATEGORIES.items():
        quoted = [json.dumps(value) for value in values] + ["null"]
        texts = [quoted[code] for code in step.codes[name].tolist()]
        for row, value in step.renamed.get(name, {}).items():
            texts[row] = json.dumps(value)
        template.append(f'"{name}":%s,')
        columns.append(texts)
    whole = "".join(template)[:-1]
    return [whole % row for row in zip(*columns, strict=True)]


def _numbers(values: Floats) -> list[str]:
    """Values (n,) with six significant digits, as JSON; NaN is null."""
    known = values[~np.isnan(values)]
    if np.all((known == np.rint(known)) & (np.abs(known) < 1e6)):  # six digits change nothing
        return ["null" if v != v else repr(v) for v in values.tolist()]
    return ["null" if v != v else repr(float(f"{v:.6g}")) for v in values.tolist()]


def _retype(text: str, mode: str, median: float) -> str:
    """The same value as another JSON type."""
    if mode == "object":
        return f'{{"value":{text}}}'
    if text == "null":
        return text
    return f'"{float(text):g}"' if mode == "string" else json.dumps(bool(float(text) > median))
