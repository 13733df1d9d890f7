"""docker-compose.kafka.yml and examples/watch: readable, pinned, closed to others, and in step."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream.kafka.install import kafka_version

ROOT = Path(__file__).parents[2]
WATCH = ROOT / "examples" / "watch"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text())
SERVICES = COMPOSE["services"]
DASHBOARD = json.loads((WATCH / "grafana" / "dashboards" / "driftline.json").read_text())


def expressions(node: Any) -> list[str]:
    """Every query of the dashboard."""
    if isinstance(node, list):
        return [found for item in node for found in expressions(item)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("expr", "definition") if key in node]
    return own + [found for item in node.values() for found in expressions(item)]


def metrics(expression: str) -> list[str]:
    """Names in a query that are neither functions, labels, keywords nor variables."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\$\w+', " ", expression)
    bare = re.sub(r"\b(by|without)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"label_values\((.*), \w+\)", r"\1", bare)
    return re.findall(r"\b[a-z_]\w*\b(?!\s*\()", bare.replace(" or ", " "))


def mounted(service: str) -> list[Path]:
    volumes = [volume.split(":")[0] for volume in SERVICES[service]["volumes"]]
    return [ROOT / volume for volume in volumes if volume.startswith("./")]


def test_the_node_is_the_kafka_that_is_embedded():
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_image_is_pinned(service: str):
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", SERVICES[service]["image"])


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_service_says_when_it_is_healthy(service: str):
    assert SERVICES[service]["healthcheck"]["test"]


def test_ports_are_open_on_the_loopback_address_only():
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["kafka"]["ports"])
    assert "--web.listen-address=127.0.0.1:9090" in SERVICES["prometheus"]["command"]
    assert SERVICES["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_only_kafka_starts_without_the_watch_profile():
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["kafka"]


def test_kafkas_data_are_in_a_named_volume():
    volume, path = SERVICES["kafka"]["volumes"][0].split(":")
    assert volume in COMPOSE["volumes"]
    assert SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"] == path


@pytest.mark.parametrize("service", ["prometheus", "grafana"])
def test_every_mounted_folder_exists(service: str):
    assert all(path.is_dir() for path in mounted(service))


@pytest.mark.parametrize(
    "name", sorted(str(path.relative_to(WATCH)) for path in WATCH.rglob("*.yml"))
)
def test_every_yaml_file_can_be_read(name: str):
    assert yaml.safe_load((WATCH / name).read_text())


def test_every_panel_asks_the_provisioned_source():
    provisioned = WATCH / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    uid = yaml.safe_load(provisioned.read_text())["datasources"][0]["uid"]
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in panels} == {uid}


def test_panels_have_ids_of_their_own_and_lie_beside_each_other():
    panels = DASHBOARD["panels"]
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize("expression", sorted(set(expressions(DASHBOARD))))
def test_every_query_asks_for_our_metrics_only(expression: str):
    assert metrics(expression)
    assert [name for name in metrics(expression) if not name.startswith("driftline_")] == []
