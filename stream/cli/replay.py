"""driftline replay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from stream.cli.options import config, settings_of, sources
from stream.errors import UsageError

FILES = ("windows.jsonl", "alerts.jsonl", "dead-letters.jsonl")


@click.command
@sources
@config()
@click.option("--labels", type=click.Path(path_type=Path), metavar="SOURCE", hidden=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True,
              metavar="DIR", help="Gets windows.jsonl, alerts.jsonl, dead-letters.jsonl, "
              "summary.json.")  # fmt: skip
def replay(
    sources: Sequence[Path],
    mapping: Path | None,
    where: Sequence[str],
    path: Path | None,
    labels: Path | None,
    out: Path,
) -> None:
    """Run files of events through the detector, in event time, without a broker.

    Example: driftline replay examples/carloan/carloan.parquet -c carloan.yaml --out out
    """
    if labels is not None:
        raise UsageError("--labels: joining labels is not supported yet; replay without it")
    from stream.bus.reference_store import read_file
    from stream.clock import SystemClock
    from stream.detect.detector import Detector
    from stream.detect.references import Reference
    from stream.replay.player import play
    from stream.replay.sources import open_source, parse_where

    settings, clock = settings_of(path), SystemClock()
    opened = [open_source(source, mapping, parse_where(where)) for source in sources]
    known = {model: read_file(file) for model, file in settings.references.items()}

    def reference_of(model: str, version: str) -> Reference | None:
        found = known.get(model)
        return found if found and found.version in (version, "*") else None

    def chunks() -> Iterator[Any]:
        for source in opened:
            with click.progressbar(length=source.size or 0, label=source.name) as bar:
                at = 0
                for chunk in source:
                    yield chunk
                    bar.update((source.done or 0) - at)
                    at = source.done or 0

    started_ms = clock.monotonic_ms()
    detector = Detector(settings.detector, reference_of)
    topic = settings.bus.topics["predictions"]
    totals = _write(play(chunks(), detector, topic=topic, now_ms=clock.now_ms), out, topic, clock)
    took_s = max(clock.monotonic_ms() - started_ms, 1) / 1000
    totals |= {"seconds": took_s, "events_per_second": round(totals["events"] / took_s)}
    (out / "summary.json").write_bytes(orjson.dumps(totals, option=orjson.OPT_INDENT_2))
    click.echo(
        f"{totals['events']} events, {totals['windows']} windows, "
        f"{sum(totals['alerts'].values())} alerts, "
        f"{sum(totals['dead_letters'].values())} dead letters in {took_s:.1f} s: {out}"
    )


def _write(played: Iterable[Any], out: Path, topic: str, clock: Any) -> dict[str, Any]:
    from stream.detect.ingest.codec import dead_letter
    from stream.detect.times import rfc3339

    out.mkdir(parents=True, exist_ok=True)
    events, windows = 0, 0
    alerts, reasons = Counter[str](), Counter[str]()
    with (
        (out / FILES[0]).open("wb") as window_file,
        (out / FILES[1]).open("wb") as alert_file,
        (out / FILES[2]).open("wb") as dead_file,
    ):
        for step in played:
            window_file.writelines(orjson.dumps(w) + b"\n" for w in step.windows)
            alert_file.writelines(orjson.dumps(a) + b"\n" for a in step.alerts)
            now = rfc3339(clock.now_ms())
            dead_file.writelines(dead_letter(d, topic, 0, now) + b"\n" for d in step.dead)
            events += step.counted.total()
            windows += len(step.windows)
            alerts.update(a["data"]["kind"] for a in step.alerts)
            for letter in step.dead:
                reasons[letter.reason] += letter.count
    return {
        "events": events,
        "windows": windows,
        "alerts": dict(alerts),
        "dead_letters": dict(reasons),
    }
