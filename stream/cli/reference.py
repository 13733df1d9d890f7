"""driftline reference."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream.cli.options import config, settings_of, sources
from stream.errors import UsageError

if TYPE_CHECKING:
    from stream.detect.references import Reference


@click.group
def reference() -> None:
    """Build, publish and look at references."""


@reference.command
@sources
@config()
@click.option("--model", required=True)
@click.option("--version", required=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True,
              metavar="FILE")  # fmt: skip
def build(
    sources: Sequence[Path],
    mapping: Path | None,
    where: Sequence[str],
    path: Path | None,
    model: str,
    version: str,
    out: Path,
) -> None:
    """Build a reference from training data, JSON lines or Parquet.

    Example: driftline reference build examples/flights/flights.parquet --where split=reference
    --model arrival-delay --version 1 --out reference/arrival-delay.json
    """
    from stream.bus.reference_store import to_bytes
    from stream.detect.profiles import ProfileBuilder
    from stream.errors import FormatError
    from stream.replay.sources import open_source, parse_where
    from stream.replay.training import read_runs

    detector = settings_of(path).detector
    opened = [open_source(source, mapping, parse_where(where)) for source in sources]
    builder, refused = ProfileBuilder(model, version, detector.model(model).features), 0
    for run, dead in read_runs(opened, detector.limits):
        refused += dead
        if run is not None and (run.model, run.version) == (model, version):
            builder.add(run)
    try:
        built = builder.build()
    except FormatError as error:
        raise UsageError(f"{', '.join(map(str, sources))}: {error}") from None
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(to_bytes(built))
    click.echo(
        f"{out}: reference {built.id} of {model}/{version}, {built.state.events} events, "
        f"{len(built.state.features)} features" + (f", {refused} refused" if refused else "")
    )


@reference.command
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@config()
def publish(files: Sequence[Path], path: Path | None) -> None:
    """Put references on the references topic; running workers pick them up.

    Example: driftline reference publish reference/arrival-delay.json -c driftline.yaml
    """
    from stream.app import connection_of
    from stream.bus.connection import check_reachable
    from stream.bus.producer import Producer
    from stream.bus.reference_store import read_file, record_of
    from stream.bus.topics import plans, require
    from stream.clock import SystemClock

    settings = settings_of(path)
    connection, bus = connection_of(settings), settings.bus
    found = [read_file(file) for file in files]

    async def work() -> None:
        await check_reachable(connection)
        await require(connection, plans(bus.topics, bus.partitions, bus.replication))
        producer = Producer(connection, SystemClock(), patience_s=30)
        await producer.start()
        try:
            topic = bus.topics["references"]
            await producer.send([record_of(reference, topic) for reference in found])
        finally:
            await producer.stop()

    asyncio.run(work())
    for known in found:
        click.echo(f"published {known.id} of {known.model}/{known.version}")


@reference.command(name="list")
@config()
def list_(path: Path | None) -> None:
    """List the references on the topic.

    Example: driftline reference list -c driftline.yaml
    """
    for (model, version), known in sorted(_published(path).items()):
        features = len(known.state.features)
        click.echo(
            f"{known.id}  {model}/{version}  {known.state.events} events, {features} features"
        )


@reference.command
@click.argument("file", required=False, type=click.Path(path_type=Path))
@config()
@click.option("--model")
@click.option("--version")
def show(file: Path | None, path: Path | None, model: str | None, version: str | None) -> None:
    """Show what a reference knows of each feature, from a file or from the topic.

    Example: driftline reference show reference/arrival-delay.json
    """
    from stream.bus.reference_store import read_file

    if file is not None:
        found = [read_file(file)]
    else:
        published = _published(path)
        found = [
            known
            for (name, number), known in sorted(published.items())
            if model in (None, name) and version in (None, number)
        ]
    if not found:
        raise UsageError("no such reference on the topic; `driftline reference list` shows them")
    for known in found:
        click.echo(f"{known.model}/{known.version}  {known.id}  {known.state.events} events")
        for name, feature in known.state.features.items():
            observed = known.observed(name)
            text = f"  {name.removeprefix('feature.')}: {feature.kind}, {observed} values"
            if feature.kind == "category":
                text += f", {len(known.categories(name))} categories"
            else:
                edges = ", ".join(f"{edge:.6g}" for edge in known.edges_of(name))
                text += f", edges {edges}"
            click.echo(text)


def _published(path: Path | None) -> dict[tuple[str, str], Reference]:
    from stream.app import connection_of
    from stream.bus.connection import check_reachable
    from stream.bus.reference_store import read_topic

    settings = settings_of(path)
    connection = connection_of(settings)

    async def work() -> dict[tuple[str, str], Reference]:
        await check_reachable(connection)
        return await read_topic(connection, settings.bus.topics["references"])

    return asyncio.run(work())
