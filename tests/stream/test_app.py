"""App: what a worker is made of, as far as that can be seen without Kafka."""

from __future__ import annotations

from pathlib import Path

from stream.app import build
from stream.bus.configuration_log import Announced
from stream.settings import load


def test_port_0_is_any_free_port(tmp_path: Path) -> None:
    path = tmp_path / "driftline.yaml"
    path.write_text("web: {port: 0}\nbus: {group_prefix: port-0}\n", encoding="utf-8")
    apps = [build(load(path), Announced([], 0)) for _ in range(2)]
    assert all(1_024 <= app.conf.web_port <= 65_535 for app in apps)
