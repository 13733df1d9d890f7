"""driftline check."""

from __future__ import annotations

from pathlib import Path

import click

from stream.cli.options import config, settings_of
from stream.detect.judge.levels import level_of
from stream.detect.specs import ModelSpec
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
    for rule in model.rules:
        if rule.measure is None:
            bound = f"above {rule.above:g}" if rule.above is not None else f"below {rule.below:g}"
            text = f"{rule.objective} {bound}"
        else:
            fixed = f", above {rule.above:g}" if rule.above is not None else ""
            level = level_of(model, rule)
            text = f"{rule.measure} on {', '.join(rule.on)}, level {level:.2g}{fixed}"
        hold = f", for {rule.hold} windows" if rule.hold > 1 else ""
        click.echo(f"    {rule.name}: {text}{hold}")
