"""Mutations: a generator in, messages that are nearly right out.

In    a seeded generator
Out   messages of every form, with values of every kind; the same with some bytes changed
Not   what becomes of them (test_fast.py)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np

from tests.builders import START_MS

NAMES = (
    "a",
    "b",
    "x1",
    "dep_delay",
    "carrier",
    "é",
    "",
    "name_of_a_feature_that_is_quite_long_0",
    "7",
)
TEXTS = (
    "UA",
    "AA",
    "",
    "é",
    "日本語",
    "true",
    "null",
    "a" * 300,
    "😀",
    "NaN",
    "x" * 40,
    "with,comma}",
)
RAW = (
    "1e5", "-0", "-0.0", "1E+2", "0.1e-7", "12345678901234567890", "1e999", "5e-324", "NaN",
    "Infinity",
    "-Infinity", "9007199254740993", "0.30000000000000004", "[1,2,3]", "[]", '[1,"a"]',
    "[null,2]", "{}",
    '{"a":[1]}', '"\\u00e9"', '"a\\nb"', '"\\ud800"', '"\\ud83d\\ude00"', "true", "false",
    "null", "[NaN]",
    "123456789012345678", "0.000000000000000000001", "[[[[1]]]]", '"\\u0041"', "1.0", "3.5",
    "-7", "01",
)  # fmt: skip
MARKS = (
    b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b" ", b"\n", b"\0", b"0", b"9", b"-",
    b".", b"e", b"E",
    b"\xc3\xa9", b"\xff", b"\xc3", b"\xed\xa0\x80", b"null", b"true", b"NaN", b"Infinity",
    b"1e999", b"\t",
    b'"id":"x",', b'"features":{},', b'"ts":1,', b'"columns":{},', b"\\u0061", b"\x1f",
    b"\x7f", b'""',
)  # fmt: skip
TIMES = (
    '"2024-10-04T14:40:00Z"',
    '"2024-10-04T14:40:00.123456+01:00"',
    "1728052800000.75",
    "1e12",
    '"x"',
)


class Author:
    """Writes messages; what it writes is decided by its generator alone."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._is_tame = False  # of most messages: nothing in them that no publisher would write

    def messages(self, count: int) -> Iterator[bytes]:
        """Messages, most of them with some bytes changed."""
        before = b"{}"
        for _ in range(count):
            text = self.message()
            for _ in range(int(self.rng.choice([0, 0, 1, 1, 2, 5]))):
                text = self._changed(text, before)
            before = text
            yield text

    def message(self) -> bytes:
        """A message that may well be right."""
        form, self._is_tame = self.rng.random(), not self._one_in(4)
        if form < 0.75:
            text = self._event()
        elif form < 0.9:
            text = self._joined("[", [self._event() for _ in range(self._below(4))], "]")
        else:
            text = self._batch()
        return (self._blank() + text + self._blank()).encode("utf-8", "surrogatepass")

    def _event(self) -> str:
        fields = {
            "id": f'"e-{self._below(10**6)}"',
            "model": self._pick(('"m"', '"m"', '"other"', '"é"')),
            "ts": str(START_MS + self._below(10**7))
            if self._one_in(2)
            else self._pick(TIMES[: 4 if self._is_tame else None]),
        }
        if self._one_in(2):
            fields["ts"] = self._pick(TIMES[: 4 if self._is_tame else None])
        fields["version"] = self._pick(('"1"', '"1"', '"2"'))
        fields["features"] = self._object(NAMES)
        more = {
            "prediction": lambda: self._prediction(),
            "latency_ms": lambda: self._number(),
            "status": lambda: self._pick(
                ('"ok"', '"error"', "null", '"o"')[: 3 if self._is_tame else None]
            ),
            "segment": lambda: self._object(("origin", "é")),
            "arrival_time": lambda: self._pick(TIMES[: 4 if self._is_tame else None]),
            "attributions": lambda: self._object(NAMES),
            "trace": lambda: self._value(),
            "columns": lambda: "{}",
        }
        for name, value in more.items():
            if self._one_in(3) and (name != "columns" or not self._is_tame):
                fields[name] = value()
        if self._one_in(30) and not self._is_tame:
            del fields[self._pick(tuple(fields))]
        return self._fields(fields)

    def _batch(self) -> str:
        n = self._below(4)
        makers = {
            "id": lambda: f'"e-{self._below(99)}"',
            "ts": lambda: str(START_MS + self._below(10**6)),
            "score": self._number,
            "label": lambda: self._pick(('"a"', "1", "0.0", "true", "null")),
            "latency_ms": self._number,
            "status": lambda: self._pick(('"ok"', '"error"', "null")),
            "arrival_time": lambda: self._pick(TIMES[:4]),
        }
        arrays = {
            name: self._array(n, maker if self._is_tame else self._either(maker))
            for name, maker in makers.items()
            if name in ("id", "ts") or self._one_in(2)
        }
        inputs = {name: self._array(n, self._value) for name in NAMES if self._one_in(2)}
        arrays["features"] = self._fields(inputs)
        if self._one_in(8):
            arrays["attributions"] = self._fields({"a": self._array(n, self._value)})
        if self._one_in(4):
            arrays["other"] = self._value()
        return self._fields({"model": '"m"', "version": '"1"', "columns": self._fields(arrays)})

    def _either(self, maker: Callable[[], str]) -> Callable[[], str]:
        return lambda: self._value() if self._one_in(20) else maker()

    def _array(self, n: int, value: Callable[[], str]) -> str:
        if not self._is_tame:
            n += self._one_in(20)
        return self._joined("[", [value() for _ in range(n)], "]")

    def _prediction(self) -> str:
        if self._one_in(3) and not self._is_tame:
            return self._value()
        labels = ('"a"', "1", "0.0", "true", "null", "")
        parts = {
            "score": self._number(),
            "label": self._pick(labels[: 5 if self._is_tame else None]),
        }
        parts["label"] = parts["label"] or self._value()
        parts["scores"] = self._object(("x", "y"))
        return self._fields({name: v for name, v in parts.items() if not self._one_in(3)})

    def _object(self, names: tuple[str, ...]) -> str:
        return self._fields({name: self._value() for name in names if not self._one_in(3)})

    def _fields(self, fields: dict[str, str]) -> str:
        pairs = [(json.dumps(name, ensure_ascii=False), value) for name, value in fields.items()]
        if self._one_in(3):
            self.rng.shuffle(pairs)
        if pairs and self._one_in(40) and not self._is_tame:
            pairs.append(pairs[self._below(len(pairs))])
        colon = self._pick((":", ":", ": ", " : "))
        return self._joined("{", [f"{name}{colon}{value}" for name, value in pairs], "}")

    def _joined(self, opening: str, parts: list[str], closing: str) -> str:
        comma = self._pick((",", ",", ", ", " ,\n"))
        return opening + self._blank() + comma.join(parts) + self._blank() + closing

    def _value(self) -> str:
        kind = self.rng.random()
        if kind < 0.6:
            return self._number()
        if self._is_tame and kind >= 0.85:
            return self._pick(("null", "true", "false", "NaN", "{}", "-Infinity"))
        return json.dumps(self._pick(TEXTS), ensure_ascii=False) if kind < 0.85 else self._pick(RAW)

    def _number(self) -> str:
        kind = self._below(6)
        if kind == 0:
            return str(self._below(2**62) >> self._below(62))
        if kind == 1:
            number = float(np.uint64(self._below(2**63)).view(np.float64))
            return "1e-7" if self._is_tame and number != number else repr(number)
        if kind == 2 and not self._is_tame:
            return self._pick(RAW)
        return repr(round(float(self.rng.normal(10, 3)), self._below(17)))

    def _changed(self, text: bytes, before: bytes) -> bytes:
        at, to = sorted((self._below(len(text) + 1), self._below(len(text) + 1)))
        to = min(to, at + 12)
        kind = self._below(7)
        if kind == 0:
            return text[:at]
        if kind == 1:
            return text[:at] + text[to:]
        if kind == 2:
            return text[:at] + text[at:to] + text[at:]
        if kind == 3:
            other = self._below(len(before) + 1)
            return text[:at] + before[other : other + self._below(40)] + text[at:]
        if kind == 4:
            return text[:at] + bytes([self._below(256)]) + text[at + 1 :]
        return text[:at] + MARKS[self._below(len(MARKS))] + text[at + (kind == 5) :]

    def _blank(self) -> str:
        return self._pick(("", "", "", " ", "\n\t", " \r\n"))

    def _pick(self, values: tuple[str, ...]) -> str:
        return values[self._below(len(values))]

    def _one_in(self, n: int) -> bool:
        return self._below(n) == 0

    def _below(self, n: int) -> int:
        return int(self.rng.integers(n))
