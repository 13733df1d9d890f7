"""Blocks: are slices the whole, in order, and of a size?"""

from __future__ import annotations

import pytest

from stream.detect.ingest import blocks
from tests.builders import messages


@pytest.mark.parametrize("sizes", [[0], [5] * 10_000, [1 << 20] * 5, [3 << 20, 1, 3 << 20], []])
def test_slices_are_the_whole_in_order(sizes: list[int]) -> None:
    whole = messages(*(b"x" * size for size in sizes))
    parts = list(blocks.slices(whole))
    offsets = [offset for part in parts for offset in part.offsets.tolist()]
    assert offsets == list(range(len(sizes)))
    for part in parts:
        size = int((part.ends - part.starts).sum())
        assert len(part.offsets) <= blocks.SLICE_MESSAGES
        assert size <= blocks.SLICE_BYTES or len(part.offsets) == 1


def test_a_message_larger_than_a_slice_comes_alone() -> None:
    parts = blocks.slices(messages(b"a", b"b" * (blocks.SLICE_BYTES + 1), b"c"))
    assert [len(part.offsets) for part in parts] == [1, 1, 1]
