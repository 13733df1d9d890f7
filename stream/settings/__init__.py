"""Settings: a YAML file in, frozen settings and the detector's spec out.

In    the path of a configuration file
Out   `Settings`: bus, web, `DetectorSpec`, training files; or ConfigError with every mistake
Not   what the settings do: `docs/configuration.md` has each key, its default and its meaning

document.py            text to data with line numbers
units.py, words.py     one value
sections.py            the keys of every mapping
mistakes.py            what is wrong, and where
bus.py                 `bus:` and `web:`
windows.py             lengths, panes and time
rules.py, defaults.py  rules that were written, and rules that were not
models.py              the detector's whole part
announced.py           the part of a file that workers announce, and what differs
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stream.detect.specs import DetectorSpec, ModelSpec
from stream.settings.announced import document_of
from stream.settings.bus import (
    BusSettings,
    SecuritySettings,
    WebSettings,
    bus_settings,
    web_settings,
)
from stream.settings.defaults import default_rules, limit_rules
from stream.settings.document import read_document
from stream.settings.mistakes import Mistakes
from stream.settings.models import config_hash, detector_settings
from stream.settings.sections import Root

__all__ = [
    "BusSettings",
    "SecuritySettings",
    "Settings",
    "WebSettings",
    "config_hash",
    "default_rules",
    "limit_rules",
    "load",
]


def _default_detector() -> DetectorSpec:
    spec = DetectorSpec(default=ModelSpec(name="*", rules=default_rules({})))
    return replace(spec, config_hash=config_hash(spec))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a command needs to know; without a file, the defaults."""

    bus: BusSettings = field(default_factory=BusSettings)
    web: WebSettings = field(default_factory=WebSettings)
    detector: DetectorSpec = field(default_factory=_default_detector)
    references: Mapping[str, Path] = field(default_factory=dict)  # model -> training file
    document: Mapping[str, Any] = field(default_factory=dict)  # of it what workers announce
    path: Path | None = None  # the file these settings came from


def load(path: Path) -> Settings:
    """Read and check a configuration file.

    Training files are taken relative to the file and need not exist yet.
    Raises ConfigError with all mistakes, each `file:line: place: what is wrong; accepted: what`.
    """
    document = read_document(path)
    mistakes = Mistakes(document)
    root = mistakes.section(Root, document.data, ()).section
    detector, references = detector_settings(document.data, path.parent, mistakes)
    settings = Settings(
        bus=bus_settings(root.bus, path.parent, mistakes),
        web=web_settings(root.web, mistakes),
        detector=detector,
        references=references,
        document=document_of(document.data),
        path=path,
    )
    mistakes.raise_all()
    return settings
