"""Announced: what workers tell one another of a configuration, and what differs between two.

In    the data of a configuration file; such a document, read back
Out   the part that counts and judges, as a document; its spec; differences; what must not change
Not   the topic and its order (bus/configuration_log.py), from when it counts (stream/detect/)

Left out are `bus` and `web`, which are each worker's own, and the hash key, which is a secret: of
that only a digest is told, so that workers with different keys notice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from stream.detect.configurations import FIXED_LIMITS
from stream.detect.specs import DetectorSpec
from stream.settings.document import Document, Place
from stream.settings.mistakes import Mistakes, place_text
from stream.settings.models import detector_settings
from stream.settings.units import written

PARTS = ("window", "defaults", "limits", "models")
AT_REST = "to change it, stop all workers, `driftline config publish --at-rest -c FILE`, start them"
ON_THE_TOPIC = (
    "a file of training is read when a worker starts: "
    "`driftline reference publish FILE` changes a reference while workers run"
)
LONGEST = 60  # characters of a value that is shown
_ABSENT = object()


def document_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a file's data that counts and judges."""
    document = {part: data[part] for part in PARTS if data.get(part) is not None}
    limits = document.get("limits")
    if isinstance(limits, Mapping) and "hash_key" in limits:
        document["limits"] = {key: limits[key] for key in limits if key != "hash_key"}
    return document


def digest_of(secret: str) -> str:
    """What is told of a hash key."""
    return hashlib.blake2b(secret.encode(), digest_size=6).hexdigest()


def spec_of(document: Mapping[str, Any], config_hash: str, secret: str) -> DetectorSpec:
    """The spec that a document stands for, with this worker's hash key.

    Raises ConfigError if this release does not accept it.
    """
    mistakes = Mistakes(Document(f"configuration {config_hash}"))
    spec, _ = detector_settings(document, Path(), mistakes)
    mistakes.raise_all()
    return replace(spec, config_hash=config_hash, hash_secret=secret)


def differences(before: object, after: object, place: Place = ()) -> Iterator[str]:
    """Each value that differs between two documents: `place: before → after`."""
    keys: list[str | int] | None = None
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = list(dict.fromkeys([*before, *after]))
    elif isinstance(before, list) and isinstance(after, list):
        keys = list(range(max(len(before), len(after))))
    if keys is None:
        if before != after:
            yield f"{place_text(place)}: {_shown(before)} → {_shown(after)}"
        return
    for key in keys:
        yield from differences(_item(before, key), _item(after, key), (*place, key))


def refuse_fixed(
    before: DetectorSpec, after: DetectorSpec, documents: tuple[Any, Any], mistakes: Mistakes
) -> None:
    """Note everything that differs and cannot change while workers run.

    documents  of both
    """
    for item in fields(before.time):
        old, new = getattr(before.time, item.name), getattr(after.time, item.name)
        if old != new:
            key = item.name.removesuffix("_ms")
            mistakes.add(("window", key), _refusal(written(new), written(old)))
    for key in FIXED_LIMITS:
        old, new = getattr(before.limits, key), getattr(after.limits, key)
        if old != new:
            mistakes.add(("limits", key), _refusal(str(new), str(old)))
    old_files, new_files = (_training(document) for document in documents)
    for model in sorted({*old_files, *new_files}):
        if old_files.get(model) != new_files.get(model):
            text = f"{_shown(new_files.get(model))}, in force is {_shown(old_files.get(model))}"
            place = ("models", model, "reference", "training")
            mistakes.add(place, f"{text}; accepted: what is in force; {ON_THE_TOPIC}")


def _refusal(new: str, old: str) -> str:
    return f"{new} cannot replace {old} while workers run; accepted: {old}; {AT_REST}"


def _training(document: Any) -> dict[str, str]:
    """The file of training of each model that names one."""
    models = document.get("models") or {}
    references = {name: (model or {}).get("reference") or {} for name, model in models.items()}
    return {name: found["training"] for name, found in references.items() if found.get("training")}


def _item(value: Any, key: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(str(key), _ABSENT)
    return value[key] if isinstance(key, int) and key < len(value) else _ABSENT


def _shown(value: object) -> str:
    if value is _ABSENT or value is None:
        return "none"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
