"""driftline check."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from stream.bus.reference_store import read_file
from stream.cli.options import config, settings_of
from stream.detect.judge import noise
from stream.detect.judge.findings import is_meant
from stream.detect.judge.levels import share_of
from stream.detect.judge.measures import OBSERVED, ON_BINS
from stream.detect.references import Reference
from stream.detect.specs import ModelSpec, RuleSpec
from stream.settings.units import written

HEADER = ("rule", "judges", "window", "per week", "level", "fires from", "finds it from")
TYPICAL = np.append(np.full(10, 1_000.0), 0.0)  # deciles of ten thousand events, none missing
MOST_NAMES = 3


@click.command
@config(required=True)
def check(path: Path) -> None:
    """Validate a configuration; all mistakes at once, each with its place.

    Then show what the alarm budget comes to: the level of each rule per window, the smallest window
    that can fire at all, and the smallest that finds the change that `power` names.

    Example: driftline check -c driftline.yaml
    """
    settings = settings_of(path)
    spec = settings.detector
    click.echo(f"{path}: fine (config {spec.config_hash}), pane {written(spec.time.pane_ms)}")
    for model in spec.models.values():
        click.echo()
        file = settings.references.get(model.name)
        _tell(model, read_file(file) if file is not None and file.exists() else None)


def _tell(model: ModelSpec, known: Reference | None) -> None:
    lengths = ", ".join(written(length) for length in model.lengths_ms)
    budget = f"{model.false_alarms_per_week:.3g} false alarms per week"
    click.echo(f"  {model.name} ({model.owner}): windows of {lengths}, {budget}")
    if model.segments:
        click.echo("    half of the budget is for all traffic, which is shown; half for segments")
    click.echo(
        f"    finds it: psi {model.power_psi:g} in {100 * model.power:g} of 100 windows "
        "of independent events, beside 10000 of the reference"
    )
    rows = [_row(model, rule, known) for rule in model.rules]
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    for row in (HEADER, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(f"    {'  '.join(cells).rstrip()}")


def _row(model: ModelSpec, rule: RuleSpec, known: Reference | None) -> tuple[str, ...]:
    """What is known of a rule before any window: of all traffic, with independent events."""
    share = share_of(model, rule)
    length = written(rule.length_ms or model.lengths_ms[0])
    name = rule.name + (f" (for {rule.hold})" if rule.hold > 1 else "")
    often = f"{share.windows_per_week:.5g}"
    if rule.measure is None:
        return name, f"{rule.objective}{_bound(rule)}", length, often, "-", "-", "-"
    on = ", ".join(rule.on) if len(rule.on) <= MOST_NAMES else f"{len(rule.on)} features"
    judged = f"{rule.measure} on {on}{_bound(rule)}"
    if rule.sequential:
        return name, f"{judged}, evidence", length, often, f"{share.chance:.2g}", "-", "-"
    level, sizes = share.level(), ("-", "-")
    if rule.measure in ON_BINS or rule.measure in OBSERVED:
        alone = level / _features(model, rule, known)
        sizes = (
            _shown(noise.smallest_to_fire(alone, TYPICAL, noise.INDEPENDENT)),
            _shown(
                noise.smallest_to_find(
                    model.power_psi, model.power, alone, TYPICAL, noise.INDEPENDENT
                )
            ),
        )
    return name, judged, length, often, f"{level:.2g}", *sizes


def _features(model: ModelSpec, rule: RuleSpec, known: Reference | None) -> int:
    """How many features the rule looks at, as far as that is known yet."""
    names = {f"feature.{name}" for name in model.features}
    names |= set(known.state.features if known else ())
    return max(sum(is_meant(rule, name) for name in names), 1)


def _bound(rule: RuleSpec) -> str:
    above = f" above {rule.above:g}" if rule.above is not None else ""
    return above + (f" below {rule.below:g}" if rule.below is not None else "")


def _shown(n: int | None) -> str:
    return "never" if n is None else f"{n} events"
