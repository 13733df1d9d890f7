"""Settings: what a configuration file may say, and what is said when it says something wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.detect.judge import joint, measures, rules
from stream.errors import ConfigError
from stream.settings import Settings, default_rules, load
from stream.settings.sections import MEASURES
from stream.settings.windows import derived_pane

CONTRACT = """\
bus: {bootstrap: "localhost:9092", topics: {predictions: flights.predictions}, partitions: 8}
window: {length: 5m, grace: 30s, pane: 1m, more: [1h, 1d]}
defaults: {false_alarms: 1 per day, owner: ml-platform}
models:
  arrival-delay:
    owner: team-flights
    kind: binary
    segments: [origin]
    reference: {training: reference/arrival-delay.json, previous: none}
    features:
      dep_delay: {kind: number, range: [-60, 1500], max_missing: 5%}
      carrier: {kind: category, allowed: from-reference}
    rules:
      - {name: feature-drift, measure: psi, on: features}
      - {name: hard, measure: psi, on: dep_delay, above: 0.25, severity: critical, window: 1h}
      - {name: slow, objective: latency_p95_ms, above: 50, for: 2 windows}
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(text: str) -> Path:
        path = tmp_path / "driftline.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


def mistakes_of(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [text.removeprefix(f"{path}:") for text in caught.value.mistakes]


def model(text: str) -> str:
    """A file with one model `m`, whose keys are given flush left."""
    return "models:\n  m:\n" + "".join(f"    {line}\n" for line in text.splitlines())


def rule(text: str) -> str:
    return model(f"rules:\n  - {{{text}}}")


def test_the_published_example_becomes_specs(write: Write) -> None:
    path = write(CONTRACT)
    found = load(path)
    spec = found.detector.model("arrival-delay")
    assert found.bus.topics["predictions"] == "flights.predictions"
    assert found.bus.topics["dead-letters"] == "dead-letters"
    assert found.bus.partitions == 8
    assert found.detector.time.pane_ms == 60_000
    assert spec.lengths_ms == (300_000, 3_600_000, 86_400_000)
    assert spec.false_alarms_per_week == 7.0
    assert not spec.keep_previous
    assert spec.features["dep_delay"].max_missing == 0.05
    assert (spec.features["dep_delay"].low, spec.features["dep_delay"].high) == (-60.0, 1500.0)
    assert spec.features["carrier"].allowed_from_reference
    assert found.references == {"arrival-delay": path.parent / "reference/arrival-delay.json"}


def test_rules_keep_their_order_and_get_their_kinds(write: Write) -> None:
    rules = load(write(CONTRACT)).detector.model("arrival-delay").rules
    assert [(rule.name, rule.kind) for rule in rules[:3]] == [
        ("feature-drift", "drift"),
        ("hard", "drift"),
        ("slow", "sla"),
    ]
    assert rules[0].above is None  # the alarm budget sets it
    assert (rules[1].length_ms, rules[1].on) == (3_600_000, ("dep_delay",))
    assert rules[2].hold == 2


def test_limits_of_features_hold_beside_written_rules(write: Write) -> None:
    rules = load(write(CONTRACT)).detector.model("arrival-delay").rules
    assert [(rule.name, rule.measure, rule.on, rule.above) for rule in rules[3:]] == [
        ("max-missing", "missing_ratio", ("dep_delay",), None),
        ("range", "out_of_range_ratio", ("dep_delay",), None),
        ("unseen", "unseen_ratio", ("carrier",), 0.01),
    ]


def test_the_hash_key_is_the_detectors_and_changes_its_hash(write: Write) -> None:
    plain, keyed = load(write("{}")).detector, load(write("limits: {hash_key: s3}")).detector
    assert (plain.hash_secret, keyed.hash_secret) == ("driftline", "s3")
    assert keyed.hash_key != plain.hash_key
    assert keyed.config_hash != plain.config_hash


def test_a_written_rule_replaces_the_limit_rule_of_its_name(write: Write) -> None:
    text = 'features: {x: {range: [0, 1]}}\nrules: [{name: range, measure: psi, "on": x}]'
    assert [rule.measure for rule in load(write(model(text))).detector.model("m").rules] == ["psi"]


def test_a_model_without_rules_gets_the_default_ones(write: Write) -> None:
    spec = load(write("models: {m: }")).detector.model("m")
    assert spec.rules == default_rules({})
    assert [rule.name for rule in spec.rules] == ["feature-drift", "prediction-drift", "missing"]


def test_a_model_that_is_not_named_gets_the_defaults(write: Write) -> None:
    spec = load(write(CONTRACT)).detector.model("another")
    assert (spec.owner, spec.rules) == ("ml-platform", default_rules({}))


def test_settings_without_a_file_are_those_of_an_empty_section(write: Write) -> None:
    assert load(write("bus: {}")).detector == Settings().detector


def test_a_model_may_have_its_own_window_lengths(write: Write) -> None:
    found = load(write("window: {more: [1h]}\n" + model("window: {length: 10m}"))).detector
    assert found.model("m").lengths_ms == (600_000, 3_600_000)
    assert found.model("another").lengths_ms == (300_000, 3_600_000)


@pytest.mark.parametrize(
    ("lengths", "pane"),
    [((300,), 60), ((300, 3600, 86400), 60), ((60,), 10), ((7,), 1), ((90, 300), 15), ((1,), 1)],
)
def test_a_derived_pane_is_the_largest_nice_one(lengths: tuple[int, ...], pane: int) -> None:
    assert derived_pane(tuple(1000 * length for length in lengths)) == 1000 * pane


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [("90s", 90_000), ("1h30m", 5_400_000), ("1.5m", 90_000), ("250ms", 250), ("0", 0)],
)
def test_durations_carry_their_unit(write: Write, text: str, duration_ms: int) -> None:
    assert load(write(f"window: {{grace: {text}}}")).detector.time.grace_ms == duration_ms


def test_yaml_words_for_yes_and_no_are_text(write: Write) -> None:
    found = load(write(model("features: {country: {allowed: [NO, on, 007]}}\nowner: yes")))
    assert found.detector.model("m").features["country"].allowed == ("NO", "on", "007")
    assert found.detector.model("m").owner == "yes"


def test_the_hash_follows_the_detector_and_nothing_else(write: Write) -> None:
    first = load(write(CONTRACT)).detector.config_hash
    moved = load(write(CONTRACT.replace("localhost:9092", "kafka:9092"))).detector.config_hash
    changed = load(write(CONTRACT.replace("1500", "1501"))).detector.config_hash
    assert len(first) == 12
    assert moved == first
    assert changed != first


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file(write: Write) -> None:
    found = mistakes_of(
        write(
            "window: {length: 300}\n"
            "modles: {}\n"
            "models:\n"
            "  m:\n"
            "    features: {x: {range: [5, 1]}}\n"
            "    rules:\n"
            "      - {name: a, measure: psi}\n"
            "      - {name: a, measure: ps1, window: 7m}\n"
        )
    )
    assert [text.split(": ")[:2] for text in found] == [
        ["1", "window.length"],
        ["2", "modles"],
        ["5", "models.m.features.x.range"],
        ["8", "models.m.rules[1].measure"],
        ["8", "models.m.rules[1].name"],
    ]


def test_a_mistake_names_what_is_accepted_and_what_was_meant(write: Write) -> None:
    [found] = mistakes_of(write(rule("name: a, measure: ps1")))
    assert found.startswith('4: models.m.rules[0].measure: "ps1" is not a measure; accepted: psi, ')
    assert found.endswith("(nearest: psi)")


def test_the_exit_code_is_2(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "not-there.yaml")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1: the file is empty"),
        ("# only a comment\n", "1: the file is empty"),
        ("- a\n", "1: not a mapping"),
        ("a: [1\nb: 2\n", "2: not YAML"),
        ("bus: {}\nweb: {}\nbus: {}\n", "3: bus: written twice in one mapping (first on line 1)"),
        ("bus: !!python/name:os.system x\n", "1: not YAML: a value of the type"),
        ("a: &a [*a]\n", "1: not YAML: too large or too deep"),
        ("bus: \x07\n", "1: not YAML"),
        ("[" * 3000, "1: nested too deep"),
        ("bus: {partitions: !!int x}\n", "1: not YAML: a value of the type int"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_with_a_line(
    write: Write, text: str, says: str
) -> None:
    [found] = mistakes_of(write(text))
    assert found.startswith(says)


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "driftline.yaml"
    path.write_bytes(b"bus: {}\nweb: \xff\n")
    assert mistakes_of(path) == ["2: not UTF-8 text (byte 13)"]


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("buss: {}", "buss", "unknown key; accepted: bus, web, "),
        ("bus: [1]", "bus", "a list is not a mapping"),
        ("bus: {bootstrap: localhost}", "bus.bootstrap", '"localhost" is not an address'),
        ("bus: {topics: {alerts: windows}}", "bus.topics.alerts", "is already the topic of"),
        ("bus: {partitions: 0}", "bus.partitions", "0 is out of range"),
        (
            "bus: {security: {protocol: SASL_SSL, username: a}}",
            "bus.security",
            "needs one place of the password",
        ),
        ("bus: {security: {protocol: SASL_PLAINTEXT}}", "bus.security.protocol", "SSL"),
        (
            "bus: {security: {protocol: PLAINTEXT, username: a}}",
            "bus.security.username",
            "PLAINTEXT protects nothing",
        ),
        ("bus: {security: {ca_file: ca.pem}}", "bus.security.ca_file", "is not there"),
        ("web: {port: 70000}", "web.port", "70000 is out of range"),
        ("window: {length: 5m, pane: 2m}", "window.length", "5m is not a whole number of panes"),
        ("window: {more: [1h, 90m30s], pane: 1m}", "window.more[1]", "not a whole number"),
        ("window: {more: [5m]}", "window.more[0]", "5m stands twice"),
        ("window: {pane: 500ms}", "window.pane", "500ms is too short"),
        ("window: {grace: -5s}", "window.grace", '"-5s" is not a duration'),
        ("window: {idle_timeout: 0s}", "window.idle_timeout", "0 would close windows at once"),
        ("defaults: {false_alarms: 1}", "defaults.false_alarms", "1 is not a budget"),
        ("limits: {max_message_bytes: 1 GB}", "limits.max_message_bytes", "is not a size"),
        (model("window: {length: 90s}\n"), "models.m.window.length", "90s is not a whole number"),
        (model("kind: binry"), "models.m.kind", '"binry" is not a kind of model'),
        (model("owner: 3"), "models.m.owner", "3 is not text; put it in quotes"),
        (model("checks: []"), "models.m.checks", "is not supported yet"),
        (
            model("reference: {previous: same-hour-yesterday}"),
            "models.m.reference.previous",
            "is not supported yet; accepted: previous, none",
        ),
        (
            model("features: {x: {max_missing: 105%}}"),
            "models.m.features.x.max_missing",
            "not a share",
        ),
        (
            model("features: {x: {kind: number, allowed: [a]}}"),
            "models.m.features.x.allowed",
            "a number has no allowed values",
        ),
        (model("features: {features: {}}"), "models.m.features.features", "already means all"),
    ],
)
def test_a_wrong_value_is_refused_at_its_place(
    write: Write, text: str, place: str, says: str
) -> None:
    prefix = "" if "window:" in text.splitlines()[0] else "window: {pane: 1m}\n"
    [found] = mistakes_of(write(prefix + text))
    assert found.partition(": ")[2].startswith(f"{place}: ")
    assert says in found


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("measure: psi", "rules[0]", "a rule needs a name"),
        ("name: a", "rules[0]", "nothing to judge"),
        ("name: a, measure: psi, objective: error_ratio", "rules[0]", "both measure and objective"),
        ("name: a, measure: psi, on: feature", "rules[0].on", "nearest: features"),
        ("name: a, measure: psi, window: 7m", "rules[0].window", "accepted: 5m"),
        ("name: a, measure: psi, for: 2 hours", "rules[0].for", "not a count of windows"),
        ("name: a, measure: psi, above: high", "rules[0].above", '"high" is not a number'),
        ("name: a, measure: ks, above: 5", "rules[0].above", "5 is out of reach of ks"),
        ("name: a, measure: psi, below: 2", "rules[0].below", "can only be too large"),
        ("name: a, measure: chi2", "rules[0]", "chi2 needs a level"),
        ("name: a, objective: rate_per_second, above: 1, below: 2", "rules[0].below", "not less"),
        ("name: a, objective: latency_p95_ms", "rules[0]", "latency_p95_ms needs a level"),
        ("name: a, objective: error_ratio, above: 1%, on: x", "rules[0].on", "whole service"),
        ("name: a, slo: {target: 99.9%}", "rules[0].slo", "is not supported yet"),
        ("name: a, performance: roc_auc", "rules[0].performance", "is not supported yet"),
        ("name: a, mesure: psi", "rules[0].mesure", "(nearest: measure)"),
    ],
)
def test_a_wrong_rule_is_refused_at_its_place(
    write: Write, text: str, place: str, says: str
) -> None:
    found = mistakes_of(write(rule(text)))
    assert any(f" models.m.{place}: " in line and says in line for line in found), found


def test_an_unreadable_length_causes_no_further_mistakes(write: Write) -> None:
    text = "window: {length: 5 minutes, pane: 7s}\n" + rule("name: a, measure: psi, window: 5m")
    assert len(mistakes_of(write(text))) == 1


def test_a_protected_link_names_the_place_of_the_password(write: Write) -> None:
    login = "protocol: SASL_SSL, username: driftline, password_env: BUS_PASSWORD"
    security = load(write(f"bus: {{security: {{{login}}}}}")).bus.security
    assert security is not None
    assert (security.username, security.password_env) == ("driftline", "BUS_PASSWORD")


@pytest.mark.parametrize("text", ["bus: {}", "bus: {security: {protocol: PLAINTEXT}}"])
def test_a_link_without_security_is_plain_text(write: Write, text: str) -> None:
    assert load(write(text)).bus.security is None


def test_every_measure_is_one_the_judge_computes() -> None:
    on_features = {*measures.ON_BINS, *measures.OBSERVED, *measures.ON_VALUES}
    computed = on_features | {*measures.ON_ARRAYS, "sliced_wasserstein"}
    computed |= {*joint.MEASURES, *rules.RATIOS}
    assert set(MEASURES) == computed


def said_of(path: Path) -> list[str]:
    """The mistakes in a file, none if it is in order; any other exception fails the test."""
    try:
        load(path)
    except ConfigError as error:
        return error.mistakes
    return []


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("1" * 400)
)
KEYS = st.sampled_from(
    """
    bus web window defaults limits models m features x rules topics reference
    name measure on above for range length more pane max_missing allowed kind
    false_alarms max_message_bytes
    """.split()  # noqa: SIM905
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=20,
)


@settings(
    max_examples=200, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.dictionaries(KEYS, ANYTHING, max_size=6))
def test_any_document_is_settings_or_mistakes_with_places(
    write: Write, data: dict[str, object]
) -> None:
    path = write(yaml.safe_dump(data) if data else "{}")
    assert all(text.startswith(f"{path}:") for text in said_of(path))


@settings(
    max_examples=200, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(alphabet="ab:{}[]-&*!#%@?|>'\"\n\t ,~0.1", max_size=40))
def test_any_text_is_settings_or_mistakes(write: Write, text: str) -> None:
    assert all(said_of(write(text)))
