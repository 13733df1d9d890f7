"""Categories: texts of a feature in, counts of the known ones and of the most frequent others out.

In    codes into the texts of a run of events, and the slot of each event
Out   a slot's row as `CategoryState`
Not   what counts as a text (columns.py), numbers (sketches.py)

Values the reference has are counted one by one, all others by Space-Saving on their hashes; how
many others there are is estimated beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key
from kernels.sketches import features, heavy, values
from kernels.sketches.heavy import HeavyHitters
from kernels.sketches.runs import is_one
from stream.detect.ingest.columns import hashes_of
from stream.detect.ingest.distinct import DistinctSketch
from stream.detect.specs import LimitSpec
from stream.detect.states import CategoryState

MOST_NOTED = 512  # texts that are known to be noted

Slots = NDArray[np.int32]


class CategorySketch:
    """Counts of the reference's categories, and heavy hitters of all others, a row per slot."""

    def __init__(self, slots: int, vocabulary: list[str], limits: LimitSpec, key: Key) -> None:
        self.vocabulary = vocabulary
        self._code = {text: code for code, text in enumerate(vocabulary)}
        self._capacity, self._key = limits.max_extra_categories, key
        self._slots = slots
        self._counts = values.empty(slots, len(vocabulary))
        self._heavy: HeavyHitters | None = None
        self._unlisted = DistinctSketch(slots, key)
        self._texts: dict[int, str] = {}  # by hash
        self._hashes: dict[str, int] = {}  # the other way round
        self._noted: dict[int, set[str]] = {}  # by slot, some that it need not be told of again
        self.moves = 0  # how often counts were made anew: addresses of before are no longer good

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        self._slots = slots
        self._counts = values.grow(self._counts, slots)
        self.moves += 1
        self._unlisted.grow(slots)
        if self._heavy is not None:
            self._heavy = heavy.grow(self._heavy, slots)

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        values.reset(self._counts, slot)
        self._unlisted.reset(slot)
        self._noted.pop(slot, None)
        if self._heavy is not None:
            heavy.reset(self._heavy, slot)

    def update(self, slots: Slots, codes: NDArray[np.int32], texts: list[str]) -> None:
        """Add categories: codes (n,) into texts, or a negative code; slot -1 is skipped."""
        known = np.array([*self.known(texts), -1], np.int32)
        values.update(self._counts, slots, known[np.maximum(codes, -1)])
        self.add_rest(slots, codes, texts)

    def known(self, texts: list[str]) -> list[int]:
        """Codes of texts in the vocabulary, -1 for those that are not in it."""
        return [self._code.get(text, -1) for text in texts]

    def addresses(self, untyped: NDArray[np.int64]) -> list[int]:
        """Of the counts and of untyped (slots, 3), as kernels/sketches/features.py takes them."""
        return features.category_row(self._counts, untyped)

    def add_rest(self, slots: Slots, codes: NDArray[np.int32], texts: list[str]) -> None:
        """Add what is not in the vocabulary."""
        is_rest = (codes >= 0) & (slots >= 0)
        if self.vocabulary:
            known = np.array([*self.known(texts), -1], np.int32)
            is_rest &= known[np.maximum(codes, -1)] < 0
        if not is_rest.all():
            slots, codes = slots[is_rest], codes[is_rest]
        if len(codes):
            self._add_unlisted(slots, codes, texts)

    def _add_unlisted(self, slots: Slots, codes: NDArray[np.int32], texts: list[str]) -> None:
        there = np.flatnonzero(np.bincount(codes, minlength=len(texts)))
        others = [texts[code] for code in there.tolist()]
        hashes = self._hashes_of(others)
        keys = np.zeros(len(texts), np.uint64)
        keys[there] = hashes
        if self._heavy is None:
            self._heavy = heavy.empty(self._slots, self._capacity)
        heavy.update_coded(self._heavy, slots, codes, keys, np.zeros(len(texts), np.int64))
        if not is_one(slots):
            self._unlisted.add(slots, keys[codes])
        else:  # what counts is which came, not how often
            noted = self._noted.setdefault(int(slots[0]), set())
            if not noted.issuperset(others):
                self._unlisted.add(np.full(len(hashes), slots[0], np.int32), hashes)
                if len(noted) < MOST_NOTED:
                    noted.update(others)
        if len(self._texts) > 2 * self._heavy.keys.size:
            held = set(self._heavy.keys.ravel().tolist())
            self._texts = {key: text for key, text in self._texts.items() if key in held}
            self._hashes = {text: key for key, text in self._texts.items()}

    def _hashes_of(self, others: list[str]) -> NDArray[np.uint64]:
        """Keyed hashes, which are kept with the texts: mostly the same come again."""
        hashes = self._hashes
        if new := [text for text in others if text not in hashes]:
            keys = hashes_of(new, self._key).tolist()
            hashes.update(zip(new, keys, strict=True))
            self._texts.update(zip(keys, new, strict=True))
        return np.array([hashes[text] for text in others], np.uint64)

    def state(self, slot: int) -> CategoryState:
        """A copy of a slot's row."""
        counts = self._counts.counts[slot]
        seen = np.flatnonzero(counts)
        listed = {self.vocabulary[code]: int(counts[code]) for code in seen.tolist()}
        if self._heavy is None or not self._heavy.used[slot]:
            return CategoryState(listed)
        keys, others, inherited = heavy.items(self._heavy, slot)
        named = zip((self._texts[key] for key in keys.tolist()), others.tolist(), strict=True)
        return CategoryState(
            listed | dict(sorted(named)), int(inherited.sum()), self._unlisted.state(slot)
        )
