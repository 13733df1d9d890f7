"""World: a plan of actions in; what workers put on every topic, whatever befalls them, out.

In    a seed, or a plan of actions; each action has a seed of its own, so others can be left out
Out   `World`: logs, sent partials, windows, dead letters, accepted commits
Not   whether that is right (check.py)

Workers hold source partitions as the ingest agent does: take records, hand out, send, commit. They
die at any of these points with part of a hand-out sent; lose partitions with or without being told,
and go on as zombies until a commit is refused. Judges (judges.py) read what they send as it comes.
Event time passes as the clock does, or many times as fast, as in a replay.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

from stream.detect.detector import Detector
from stream.detect.ingest.codec import DeadLetter
from stream.detect.ingest.events import Messages
from stream.detect.ingest.ingestor import Ingestor, Intake
from stream.detect.partials import pack, pack_marker
from stream.detect.specs import DetectorSpec, FeatureSpec, LimitSpec, ModelSpec, RuleSpec, TimeSpec
from tests.stream.schedules.broker import Commit, Group, Record, Topic
from tests.stream.schedules.changes import Changes, some_changes
from tests.stream.schedules.judges import Bench
from tests.stream.schedules.oracle import NEVER, Rules, reached_ms

START_MS = 1_700_000_000_000
PANE_MS = 1_000
BEHIND_MS = {1: 0, 40: 2_000_000}  # of event time behind the clock, by pace
WORKERS = 3
BAD = (
    b"{", b"[", b"7", b"[1,null]", b"{}", b'{"id":"a"}', b'{"id":"a","model":"m"}',
    b'{"id":"a","model":"m","ts":"soon"}', b"[]",
)  # fmt: skip
ACTIONS = {
    "publish": 30, "ingest": 40, "commit": 6, "idle": 10, "assign": 5, "halt": 4, "kill": 2,
    "judge": 30, "save": 16, "unseat": 12,
}  # fmt: skip


class Action(NamedTuple):
    """One thing that happens; what exactly follows from its seed and from the world it meets."""

    name: str
    seed: int


@dataclass(eq=False, slots=True)
class Holder:
    """A worker's hold of a partition: as it thinks, which a zombie does wrongly."""

    worker: int
    partition: int
    generation: int
    position: int
    ingestor: Ingestor
    detector: Detector
    untold: Intake | None = None  # a silence it has found and not told yet


@dataclass(slots=True)
class Side:
    """The ingest stage: its topic and group, and who holds its partitions."""

    topic: Topic
    group: Group
    owners: dict[int, Holder] = field(default_factory=dict)
    zombies: list[Holder] = field(default_factory=list)

    def forget(self, holder: Holder) -> None:
        if self.owners.get(holder.partition) is holder:
            del self.owners[holder.partition]
        if holder in self.zombies:
            self.zombies.remove(holder)


def plan(seed: int) -> list[Action]:
    """The actions of a schedule."""
    chance = random.Random(seed)
    names = chance.choices(list(ACTIONS), list(ACTIONS.values()), k=chance.randint(8, 40))
    return [Action(name, chance.getrandbits(32)) for name in names]


@cache
def spec_of(
    revise_for_ms: int, duplicates_for_ms: int, max_ids: int, panes: tuple[int, ...]
) -> DetectorSpec:
    """A small world's configuration; panes: lengths of its windows."""
    default = ModelSpec(
        name="*",
        lengths_ms=tuple(n * PANE_MS for n in panes),
        features={"who": FeatureSpec(name="who", kind="category")},
        rules=(RuleSpec(name="few", kind="volume", objective="rate_per_second", below=1.5),),
        keep_previous=False,
    )
    return DetectorSpec(
        time=TimeSpec(
            pane_ms=PANE_MS,
            grace_ms=700,
            max_ahead_ms=3_000,
            revise_for_ms=revise_for_ms,
            duplicates_for_ms=duplicates_for_ms,
        ),
        limits=LimitSpec(max_ids=max_ids, max_models=1),
        models={"m": replace(default, name="m", segments=("site",))},
        default=default,
        config_hash="c0",
    )


def rules_of(spec: DetectorSpec) -> Rules:
    """The same for the oracle."""
    time, limits = spec.time, spec.limits
    return Rules(
        time.pane_ms, time.grace_ms, time.max_ahead_ms, time.revise_for_ms, time.duplicates_for_ms,
        limits.max_ids, limits.max_models, spec.default.lengths_ms, tuple(spec.models), "site",
        spec.models["m"].segments == ("site",), spec.config_hash,
    )  # fmt: skip


class World:
    """Everything there is; `run` lets a plan happen and then lets the world come to rest."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(~seed)
        self.spec = spec_of(
            chance.choice((4_000, 60_000)),
            chance.choice((0, 2_000)),
            chance.choice((3, 1_000)),
            chance.choice(((1,), (2,), (2, 1), (1, 3))),
        )
        sources = chance.choice((1, 2, 2))
        self.ingest = Side(Topic.of(sources), Group.of(sources))
        self.partials = Topic.of(chance.choice((1, 2)))
        self.now_ms, self._serial = START_MS + chance.randrange(PANE_MS), 0
        self._pace = chance.choice((1, 1, 40))  # of event time
        self.reached_ms = NEVER  # the furthest any partition was published to, or found silent
        self.reached: list[list[int]] = [[] for _ in range(sources)]  # as each record came
        self.dead: list[tuple[int, DeadLetter]] = []
        first_ms = START_MS - BEHIND_MS[self._pace] - 9_000
        self.changes = Changes(self.spec, some_changes(self.spec, first_ms, self._pace, chance))
        self.bench = Bench(self.partials.partitions, self.changes)
        self._detectors: dict[int, Detector] = {}
        self._tenures = 0
        for partition in range(sources):
            self._assign(partition, chance)

    def run(self, actions: list[Action]) -> None:
        """Let the actions happen, then let one worker bring everything to its end."""
        for name, seed in actions:
            getattr(self, f"_{name}_somewhere")(random.Random(seed))
        self._rest()

    def _judge_somewhere(self, chance: random.Random) -> None:
        self.bench.take(chance)

    def _save_somewhere(self, chance: random.Random) -> None:
        self.bench.save(chance)

    def _unseat_somewhere(self, chance: random.Random) -> None:
        self.bench.reassign(chance)

    # -- publishers --

    def _publish_somewhere(self, chance: random.Random) -> None:
        self.now_ms += chance.choice((0, 50, 300, 300, 1_200))
        partition = chance.randrange(len(self.ingest.topic.partitions))
        log = self.ingest.topic.partitions[partition]
        for _ in range(chance.randint(1, 3)):
            record = Record(self._message(chance, log), self.now_ms)
            log.append(record)
            self.reached[partition].append(self.reached_ms)
            self.reached_ms = max(self.reached_ms, reached_ms(rules_of(self.spec), *record))

    def _message(self, chance: random.Random, log: list[Record]) -> bytes:
        draw = chance.random()
        if draw < 0.05:
            return chance.choice(BAD)
        if draw < 0.18 and log:
            return log[-chance.randint(1, min(len(log), 25))].value
        if draw < 0.25:
            bad = json.loads(chance.choice(BAD[2:8]))
            return json.dumps([self._event(chance), bad, self._event(chance)]).encode()
        return json.dumps(self._event(chance)).encode()

    def _event(self, chance: random.Random) -> dict[str, Any]:
        self._serial += 1
        at_ms = START_MS + (self.now_ms - START_MS) * self._pace - BEHIND_MS[self._pace]
        shift_ms = chance.choice((-100, -100, 0, -600, -1_500, -3_000, -8_000, 2_500, 9_000))
        event = {
            "id": f"e{chance.choice((self._serial, self._serial, self._serial // 3))}",
            "model": chance.choice("mmmxy"),
            "ts": at_ms + shift_ms,
            "segment": {"site": chance.choice("ab")},
        }
        return event | {"features": {"who": event["id"]}}

    # -- workers --

    def _ingest_somewhere(self, chance: random.Random) -> None:
        if (holder := self._any_holder(chance)) is None:
            return
        n = chance.randint(1, 8)
        log = self.ingest.topic.partitions[holder.partition]
        records = log[holder.position : holder.position + n]
        self._ingest(holder, records, chance, chance.random() < 0.06)
        if chance.random() < 0.3:
            self._commit(holder)

    def _ingest(
        self, holder: Holder, records: list[Record], chance: random.Random, is_fatal: bool = False
    ) -> None:
        self._tell_silence(holder)
        if records:
            self.changes.before(holder.detector, records[-1].arrival_ms, chance)
        offsets = range(holder.position, holder.position + len(records))
        values, arrivals = [r.value for r in records], [r.arrival_ms for r in records]
        holder.position += len(records)
        intake = holder.ingestor.add(
            Messages("predictions", holder.partition, values, offsets, arrivals)
        )
        self._send(holder, intake, chance if is_fatal else None)

    def _send(self, holder: Holder, intake: Intake, fatal: random.Random | None) -> None:
        """To every partition in order; a worker that dies has sent some to each."""
        spread = len(self.partials.partitions)
        sent: list[list[bytes]] = [[] for _ in range(spread)]
        for partial in intake.partials:
            sent[crc32("\0".join(partial.stream).encode()) % spread].append(pack(partial))
        for one in sent if intake.marker is not None else ():
            one.append(pack_marker(intake.marker))  # type: ignore[arg-type]
            self.reached_ms = max(self.reached_ms, intake.marker.watermark_ms)  # type: ignore[union-attr]
        dead = [(holder.partition, letter) for letter in intake.dead]
        if fatal is not None:
            sent = [one[: fatal.randint(0, len(one))] for one in sent]
            dead = dead[: fatal.randint(0, len(dead))]
        for log, values in zip(self.partials.partitions, sent, strict=True):
            log += [Record(value, self.now_ms) for value in values]
        self.dead += dead
        if fatal is not None:
            self._kill(holder.worker)

    def _idle_somewhere(self, chance: random.Random) -> None:
        """A worker tells of a silence, and looks for the next; much may happen in between."""
        holder = self._any_holder(chance)
        if holder is None:
            return
        elapsed_ms = chance.choice((100, 1_000, 2_500))
        for _ in range(chance.choice((1, 3))):
            fatal = chance if chance.random() < 0.1 else None
            self._tell_silence(holder, fatal)
            if fatal is not None:
                return
            self._look(holder, elapsed_ms)
        if chance.random() < 0.5:
            self._tell_silence(holder)

    def _look(self, holder: Holder, elapsed_ms: int) -> None:
        """Is the partition read to its end? The lane asks when the agent is done with the last."""
        if holder.position < len(self.ingest.topic.partitions[holder.partition]):
            return
        self.now_ms += elapsed_ms
        found = holder.untold = holder.ingestor.idle(elapsed_ms)
        assert found.marker is not None
        self.reached_ms = max(self.reached_ms, found.marker.watermark_ms)

    def _tell_silence(self, holder: Holder, fatal: random.Random | None = None) -> None:
        untold, holder.untold = holder.untold, None
        if untold is not None or fatal is not None:
            self._send(holder, untold or Intake(), fatal)

    def _commit_somewhere(self, chance: random.Random) -> None:
        if (holder := self._any_holder(chance)) is not None:
            self._commit(holder)

    def _commit(self, holder: Holder) -> None:
        """Of who died meanwhile nothing is committed; a zombie is refused, and then knows."""
        side = self.ingest
        if holder is side.owners.get(holder.partition) or holder in side.zombies:
            self._tell_silence(holder)
            commit = Commit(*holder.ingestor.commit_point())
            if not side.group.commit(holder.partition, holder.generation, commit):
                side.forget(holder)

    def _any_holder(self, chance: random.Random) -> Holder | None:
        holders = [*self.ingest.owners.values(), *self.ingest.zombies]
        return chance.choice(holders) if holders else None

    # -- faults --

    def _kill_somewhere(self, chance: random.Random) -> None:
        self._kill(chance.randrange(WORKERS))

    def _kill(self, worker: int) -> None:
        self._detectors.pop(worker, None)
        for holder in [*self.ingest.owners.values(), *self.ingest.zombies]:
            if holder.worker == worker:
                self.ingest.forget(holder)

    def _assign_somewhere(self, chance: random.Random) -> None:
        self._assign(chance.randrange(len(self.ingest.topic.partitions)), chance)

    def _assign(self, partition: int, chance: random.Random) -> None:
        side, old = self.ingest, self.ingest.owners.get(partition)
        if old is not None:
            is_told = chance.random() < 0.6
            if is_told:
                self._commit(old)
                old.ingestor.drop()
            side.forget(old)
            if not is_told:
                side.zombies.append(old)
        side.owners[partition] = self._holder(partition, chance.randrange(WORKERS))

    def _halt_somewhere(self, chance: random.Random) -> None:
        """Two owners after one another are halted between finding a silence and telling of it."""
        partition = chance.randrange(len(self.ingest.topic.partitions))
        owners, log = self.ingest.owners, self.ingest.topic.partitions[partition]
        old, new = owners.get(partition), self._holder(partition, chance.randrange(WORKERS))
        owners[partition] = new
        halted = [new] if old is None else [old, new]
        for holder in halted:
            self._ingest(holder, log[holder.position :], chance)
            self._look(holder, 100)
        if old is not None:
            self.ingest.zombies.append(old)
        for _ in range(4):
            self._publish_somewhere(chance)
        for other in owners.values():
            if other is not new:
                ahead = self.ingest.topic.partitions[other.partition][other.position :]
                self._ingest(other, ahead, chance)
        for holder in chance.sample(halted, len(halted)):
            self._tell_silence(holder)

    def _holder(self, partition: int, worker: int) -> Holder:
        side = self.ingest
        generation = side.group.reassign(partition)
        offset, progress = side.group.commits[partition] or Commit(0, None)
        if worker not in self._detectors:
            self._detectors[worker] = self.changes.detector()
        self._tenures += 1
        detector = self._detectors[worker]
        ingestor = detector.ingestor(
            partition,
            len(side.topic.partitions),
            next_offset=offset,
            progress=progress,
            beat=self._tenures << 20,
        )
        return Holder(worker, partition, generation, offset, ingestor, detector)

    # -- the end --

    def _rest(self) -> None:
        """One new worker takes everything, reads to the end, and waits until all is closed."""
        for worker in range(WORKERS):
            self._kill(worker)
        for partition, log in enumerate(self.ingest.topic.partitions):
            holder = self.ingest.owners[partition] = self._holder(partition, 0)
            self._ingest(holder, log[holder.position :], random.Random(0))
        for _ in range(3):  # until each partition has vouched for all others
            for holder in self.ingest.owners.values():
                self._look(holder, 120_000)
                self._tell_silence(holder)
        self.bench.rest()
