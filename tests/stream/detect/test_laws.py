"""Laws of the ingest side: what is handed out is a function of the log, whatever happens."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stream.detect.ingest.events import Messages, Reader
from stream.detect.ingest.ingestor import Ingestor, Intake
from stream.detect.ingest.windows import NEVER_MS
from stream.detect.partials import pack
from stream.detect.specs import DetectorSpec, FeatureSpec, LimitSpec, ModelSpec
from tests import builders
from tests.builders import MINUTE, at, by_key, columnar, cut, event, messages

SPEC = DetectorSpec(
    time=MINUTE,
    limits=LimitSpec(
        max_extra_categories=3,
        max_text=16,
        max_ids=3,
        max_feature_names=2,
        max_segments=1,
        max_models=1,
        max_versions=1,
    ),
    default=ModelSpec(
        name="*",
        lengths_ms=(60_000,),
        segments=("origin",),
        features={
            "k": FeatureSpec(name="k", kind="category"),
            "v": FeatureSpec(name="v", kind="vector"),
            "n": FeatureSpec(name="n", kind="number"),
        },
    ),
    config_hash="c0",
)
TRAINED = {
    ("a", "1"): builders.reference(
        [event(i, {"x": i % 5, "y": 1.01**i, "k": "ab"[i % 2], "n": i % 3}) for i in range(600)],
        model="a",
    )
}

LONG = "a rather long name, cut off "
ANY_VALUE = st.sampled_from(
    [0, 1, 2, 3.5, -0.0, 1e300, 2**63, float("nan"), float("inf"), float("-inf"), None, True, False,
     "a", "b", "c", "d", "e", "f", "", "true", "3", LONG + "1", LONG + "2", [1, 2], [], [None, 1.0],
     [float("nan")], ["x"], [True], [1e200, 1e200], {}, {"z": 1}]
)  # fmt: skip
FEATURES = st.dictionaries(
    st.sampled_from(["x", "y", "k", "v", "n", "origin"]), ANY_VALUE, max_size=5
)
PREDICTION = st.sampled_from(
    [None, 0.5, 3, "cat", True, {"score": 0.25}, {"score": None}, {"label": "cat"}, {"label": 1},
     {"label": 1.0, "score": 0.5}, {}, {"score": "bad"}, {"label": []}]
)  # fmt: skip
EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "prediction": PREDICTION,
        "latency_ms": st.sampled_from([1.5, 30, None, 1e6, "slow"]),
        "status": st.sampled_from(["ok", "error", None, "odd"]),
        "segment": st.sampled_from(
            [None, {}, {"origin": "JFK"}, {"origin": None}, {"origin": 1}, 3]
        ),
        "arrival_time": st.just(at(90)),
    },
)
SOME_ID = st.sampled_from([f"again-{i}" for i in range(5)])
WHOSE = st.sampled_from([("a", "1"), ("a", "2"), ("b", "1")])


@st.composite
def seconds(draw: st.DrawFn) -> float:
    """Anywhere in ten minutes, sometimes close to the border of a pane, sometimes far ahead."""
    return draw(
        st.integers(0, 600)
        | st.sampled_from([59.999, 60, 69.999, 70, 70.001, 119, 130, 1_000, 20_000_000])
    )


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    model, version = draw(WHOSE)
    more = {"model": model, "version": version} | draw(EXTRAS)
    row = event(draw(seconds()), draw(FEATURES), **more)
    if draw(st.booleans()):
        row["id"] = draw(SOME_ID)
    if draw(st.integers(0, 9)) == 0:
        del row[draw(st.sampled_from(["id", "model", "ts", "features"]))]
    return row


@st.composite
def batches(draw: st.DrawFn) -> dict[str, Any]:
    n = draw(st.integers(0, 4))

    def lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(values, min_size=n, max_size=n)

    names = draw(st.sets(st.sampled_from(["x", "y", "k", "v", "n", "origin"]), max_size=4))
    columns: dict[str, Any] = {
        "features": {name: draw(lists(ANY_VALUE) | st.none()) for name in sorted(names)}
    }
    for name, values in {
        "score": st.sampled_from([0.5, None, 2, "bad", float("nan")]),
        "label": st.sampled_from(["cat", 1, None, True, []]),
        "latency_ms": st.sampled_from([1.5, None, "slow"]),
        "status": st.sampled_from(["ok", "error", None, 7]),
    }.items():
        if draw(st.booleans()):
            columns[name] = draw(lists(values))
    model, version = draw(WHOSE)
    return columnar(draw(lists(seconds())), columns, model=model, version=version)


BAD = st.sampled_from([b"", b"[", b"{}", b"7", b"[1,null]", b'{"columns":7,"model":"a"}'])
LOGS = st.lists(rows() | st.lists(rows(), max_size=4) | batches() | BAD, max_size=30)


def log_of(values: list[Any]) -> Messages:
    return messages(*values, arrival_s=900)


def fresh(**more: Any) -> Ingestor:
    return builders.ingestor(SPEC, TRAINED, **more)


def fed(log: Messages, cuts: list[int]) -> list[Intake]:
    """Everything handed out when the log comes in batches of these sizes, over and over."""
    worker = fresh()
    intakes = [worker.add(piece) for piece in pieces(log, cuts)]
    return [*intakes, worker.finish()]


def pieces(log: Messages, cuts: list[int]) -> Iterator[Messages]:
    start, turn = 0, 0
    while start < len(log.values):
        end = start + cuts[turn % len(cuts)]
        yield cut(log, start, end)
        start, turn = end, turn + 1


def dead(intakes: list[Intake]) -> Counter[tuple[Any, ...]]:
    letters = (letter for intake in intakes for letter in intake.dead)
    return Counter((x.offset, x.reason, x.field, x.detail, x.count) for x in letters)


@given(LOGS, st.lists(st.integers(1, 9), min_size=1, max_size=5))
@settings(max_examples=80)
def test_cutting_the_log_into_batches_changes_no_byte(values: list[Any], cuts: list[int]) -> None:
    log = log_of(values)
    whole, one_by_one, cut_up = fed(log, [1000]), fed(log, [1]), fed(log, cuts)
    assert by_key(cut_up) == by_key(whole) == by_key(one_by_one)
    assert dead(cut_up) == dead(whole) == dead(one_by_one)


@given(LOGS)
@settings(max_examples=50)
def test_every_event_is_in_one_part_or_a_dead_letter(values: list[Any]) -> None:
    read = builders.decode(*values, limits=SPEC.limits)
    intakes = fed(log_of(values), [4])
    counted = sum(p.state.events for i in intakes for p in i.partials if not p.stream.segment)
    refused = sum(letter.count for intake in intakes for letter in intake.dead)
    refused += sum(intake.duplicates for intake in intakes)
    assert counted + refused == len(read.times_ms) + sum(letter.count for letter in read.dead)
    assert counted == sum(sum(intake.counted.values()) for intake in intakes)


@given(LOGS)
@settings(max_examples=50)
def test_an_event_is_in_the_part_a_plain_watermark_says(values: list[Any]) -> None:
    log = log_of(values)
    intakes = fed(log, [4])
    found, refused = Counter[tuple[int, int]](), 0
    for one in (p for i in intakes for p in i.partials if not p.stream.segment):
        found[one.pane, one.part] += one.state.events + one.state.duplicates
    untimely = Counter[str]()
    for letter in (x for i in intakes for x in i.dead):
        if letter.reason in ("too_late", "too_far_ahead"):
            untimely[letter.reason] += letter.count
    for letter in (x for i in intakes for x in i.dead):
        if letter.reason in ("too_many_models", "too_many_versions"):
            refused += letter.count
    placed, expected = plainly_placed(log)
    assert untimely == expected
    assert found.total() + refused == placed.total()
    assert found <= placed


def plainly_placed(log: Messages) -> tuple[Counter[tuple[int, int]], Counter[str]]:
    """Events by (pane, part), and untimely ones by reason: one event after another."""
    read, time = Reader(SPEC.limits).read(log), SPEC.time
    found, untimely = Counter[tuple[int, int]](), Counter[str]()
    watermark_ms = NEVER_MS
    for ts_ms, came_ms in zip(read.times_ms.tolist(), read.arrivals_ms.tolist(), strict=True):
        pane = ts_ms // time.pane_ms
        late_ms = watermark_ms - (pane + 1) * time.pane_ms
        if ts_ms > came_ms + time.max_ahead_ms:
            untimely["too_far_ahead"] += 1
        elif late_ms >= time.revise_for_ms:
            untimely["too_late"] += 1
        else:
            found[pane, watermark_ms // time.pane_ms - pane if late_ms >= 0 else 0] += 1
            watermark_ms = max(watermark_ms, min(ts_ms, came_ms) - time.grace_ms)
    return found, untimely


ADDS = st.tuples(st.just("add"), st.integers(1, 9))
IDLES = st.tuples(st.just("idle"), st.sampled_from([1_000, 61_000, 200_000]))
OTHERS = st.sampled_from([("commit", 0), ("crash", 0)])
LIVES = st.lists(ADDS | ADDS | IDLES | OTHERS, max_size=25)


def lived(log: Messages, life: list[tuple[str, int]]) -> list[Intake]:
    """What workers hand out, one after another, each going on from the last commit."""
    worker, place = fresh(), 0
    committed = worker.commit_point()
    intakes = list[Intake]()
    for action, amount in [*life, ("add", len(log.values))]:
        if action == "add":
            intakes.append(worker.add(cut(log, place, place + amount)))
            place = min(place + amount, len(log.values))
        elif action == "idle":
            intakes.append(worker.idle(amount))
        elif action == "crash":
            worker = fresh(next_offset=committed[0], progress=committed[1])
            place = bisect_left(log.offsets, committed[0])
        if action == "commit":
            committed = worker.commit_point()
    intakes.append(worker.finish())
    return intakes


@given(LOGS, LIVES)
@settings(max_examples=80)
def test_whatever_dies_and_comes_back_hands_out_the_same(
    values: list[Any], life: list[tuple[str, int]]
) -> None:
    log = log_of(values)
    log = log._replace(offsets=[5 + 3 * i for i in range(len(values))])
    intakes, whole = lived(log, life), fed(log, [1000])
    assert most_of(intakes) == by_key(whole)
    assert dead(intakes).keys() == dead(whole).keys()


def most_of(intakes: list[Intake]) -> dict[Any, bytes]:
    """Of each key the part that covers most: what was sent in silence may have become more."""
    parts = [part for intake in intakes for part in intake.partials]
    parts.sort(key=lambda part: part.last_offset)
    return {(p.stream, p.pane, p.source, p.part): pack(p) for p in parts}
