"""driftline check."""

from __future__ import annotations

from pathlib import Path

import click

from stream.cli.options import config, settings_of
from stream.detect.specs import WEEK_MS, ModelSpec
from stream.settings.units import written


@click.command
@config(required=True)
def check(path: Path) -> None:
    """Validate a configuration; all mistakes at once, each with its place.

    Example: driftline check -c driftline.yaml
    """
    settings = settings_of(path)
    spec = settings.detector
    click.echo(f"{path}: fine (config {spec.config_hash}), pane {written(spec.time.pane_ms)}")
    for model in spec.models.values():
        _tell(model)


def _tell(model: ModelSpec) -> None:
    lengths = ", ".join(written(length) for length in model.lengths_ms)
    click.echo(f"  {model.name} ({model.owner}): windows of {lengths}")
    measured = [rule for rule in model.rules if rule.measure]
    for rule in model.rules:
        if rule.measure is None:
            bound = f"above {rule.above:g}" if rule.above is not None else f"below {rule.below:g}"
            click.echo(f"    {rule.name}: {rule.objective} {bound}")
            continue
        length_ms = rule.length_ms or model.lengths_ms[0]
        level = min(0.05, model.false_alarms_per_week * length_ms / WEEK_MS / len(measured))
        fixed = f", above {rule.above:g}" if rule.above is not None else ""
        click.echo(
            f"    {rule.name}: {rule.measure} on {', '.join(rule.on)}, level {level:.2g}{fixed}"
        )
