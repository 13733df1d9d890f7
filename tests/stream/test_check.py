"""Check: a fine configuration is shown with what its alarm budget comes to."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from stream.cli.check import check

CONFIG = """
window: {length: 6h, pane: 1h, more: [1d]}
models:
  loans:
    segments: [site]
    features: {age: , income: , site: {kind: category}, zip: }
    rules:
      - {name: drift, measure: psi, on: features}
      - {name: daily, measure: ks, on: age, window: 1d, above: 0.2}
      - {name: creep, measure: psi, on: [age, income, site, zip], sequential: true}
      - {name: slow, objective: latency_p95_ms, above: 50}
"""


def shown(tmp_path: Path, text: str = CONFIG) -> dict[str, list[str]]:
    """Cells of each rule's row, by the first word of its name."""
    path = tmp_path / "driftline.yaml"
    path.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(check, ["-c", str(path)])
    assert result.exit_code == 0, result.output
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines(result)]
    return {row[0].split()[0]: row for row in rows}


def lines(result: object) -> list[str]:
    return [line for line in str(getattr(result, "output", "")).splitlines() if line.strip()]


def test_every_rule_has_its_windows_and_its_level(tmp_path: Path) -> None:
    rows = shown(tmp_path)
    # One per week; half for all traffic; drift and daily share with creep, which takes a fifth.
    assert rows["drift"][2:5] == ["6h", "28", "0.05"]
    assert rows["daily"][2:5] == ["1d", "7", "0.032"]
    assert rows["creep"][2:5] == ["6h", "28", "0.0016"]
    assert rows["slow"][1:5] == ["latency_p95_ms above 50", "6h", "28", "-"]


def test_a_rule_on_counts_says_how_many_events_it_takes(tmp_path: Path) -> None:
    rows = shown(tmp_path)
    assert rows["drift"][5] == "30 events"
    assert 70 < int(rows["drift"][6].split()[0]) < 130


def test_a_smaller_budget_needs_larger_windows(tmp_path: Path) -> None:
    small = CONFIG.replace("segments", "false_alarms: 1 per year\n    segments")
    few, many = (int(shown(tmp_path, text)["drift"][6].split()[0]) for text in (CONFIG, small))
    assert many > few
