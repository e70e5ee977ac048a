"""The Merkle tree of RFC 6962 over stored hashes: roots, proofs, and how a tree grows.

A subtree `(level, index)` is complete: it covers the leaves `[index << level, (index + 1) << level)`. What is
stored are the leaves and every complete subtree whose level is a multiple of eight, one row in 256; so any
subtree is computed from at most 256 stored hashes that lie side by side, and a proof reads O(log n) such runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

STRIDE: Final = 8
RUN: Final = 1 << STRIDE
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

#: Returns the stored hashes of complete subtrees `[start, end)` of a level that is a multiple of `STRIDE`.
ReadRun = Callable[[int, int, int], Sequence[bytes]]


class TreeError(ValueError):
    """Stored hashes are missing, or a proof does not hold."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def decompose(first: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the fewest complete subtrees, as (level, index), that cover the leaves `[first, end)` in order."""
    while first < end:
        span = (end - first).bit_length() - 1
        level = min((first & -first).bit_length() - 1, span) if first else span
        yield level, first >> level
        first += 1 << level


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root over peaks, given from the largest subtree to the smallest."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for peak in reversed(hashes[:-1]):
        root = node_hash(peak, root)
    return root


class Frontier:
    """The right edge of a growing tree: its size and the hashes of its complete subtrees, largest first."""

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)
        if len(self.peaks) != size.bit_count():
            raise TreeError(f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(self.peaks)}")

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf; return the subtrees to be stored that it completes, as (level, index, hash)."""
        completed = []
        current, level, rest = leaf, 0, self.size
        while rest & 1:
            current = node_hash(self.peaks.pop(), current)
            level, rest = level + 1, rest >> 1
            if level % STRIDE == 0:
                completed.append((level, rest, current))
        self.peaks.append(current)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        return fold(self.peaks)


class Tree:
    """A stored tree, read in aligned runs of up to 256 hashes, each run once.

    Parameters
    ----------
    size
        Leaves that there are; nothing beyond is read.
    """

    def __init__(self, size: int, read: ReadRun, *, cached_runs: int = 512) -> None:
        self.size = size
        self.read = read
        self._runs: dict[tuple[int, int], Sequence[bytes]] = {}
        self._cached_runs = cached_runs

    def subtree(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree."""
        rest = level % STRIDE
        run = self._run(level - rest, (index << rest) // RUN)
        start = (index << rest) % RUN
        hashes = run[start : start + (1 << rest)]
        if len(hashes) != 1 << rest:
            raise TreeError(f"subtree {index} of level {level} is not stored whole")
        while len(hashes) > 1:
            hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    def _run(self, level: int, number: int) -> Sequence[bytes]:
        key = (level, number)
        if key not in self._runs:
            if len(self._runs) >= self._cached_runs:
                del self._runs[next(iter(self._runs))]
            self._runs[key] = self.read(level, number * RUN, min((number + 1) * RUN, self.size >> level))
        return self._runs[key]

    def cover(self, first: int, end: int) -> list[bytes]:
        """Return the hashes of the subtrees that `decompose` names."""
        return [self.subtree(level, index) for level, index in decompose(first, end)]

    def frontier(self, size: int | None = None) -> Frontier:
        """Return the right edge at a size."""
        size = self.size if size is None else size
        return Frontier(size, self.cover(0, size))

    def root(self, size: int | None = None) -> bytes:
        """Return the root at a size."""
        return self.frontier(size).root()

    def prove_inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the audit path of a leaf in the tree of `size` leaves (RFC 6962 section 2.1.1)."""
        if not 0 <= index < size <= self.size:
            raise TreeError(f"leaf {index} is not in a tree of {size}")
        path, first, end = [], 0, size
        while end - first > 1:
            middle = first + (1 << ((end - first - 1).bit_length() - 1))
            if index < middle:
                path.append(fold(self.cover(middle, end)))
                end = middle
            else:
                path.append(fold(self.cover(first, middle)))
                first = middle
        return path[::-1]

    def prove_consistency(self, old: int, size: int) -> list[bytes]:
        """Return the proof that the tree of `old` leaves is a prefix (RFC 6962 section 2.1.2)."""
        if not 0 <= old <= size <= self.size:
            raise TreeError(f"a tree of {old} leaves is no prefix of one of {size}")
        if old in {0, size}:
            return []
        path, first, end, is_whole = [], 0, size, True
        while first + (old - first) < end:
            middle = first + (1 << ((end - first - 1).bit_length() - 1))
            if old <= middle:
                path.append(fold(self.cover(middle, end)))
                end = middle
            else:
                path.append(fold(self.cover(first, middle)))
                first, is_whole = middle, False
        if not is_whole:
            path.append(fold(self.cover(first, end)))
        return path[::-1]


def root_from_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Return the root that an audit path leads to (RFC 9162 section 2.1.3.2); `TreeError` for a misshapen one."""
    if not 0 <= index < size:
        raise TreeError("the leaf is outside the tree")
    at, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise TreeError("the audit path is too long")
        if at & 1 or at == last:
            root = node_hash(step, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, step)
        at, last = at >> 1, last >> 1
    if last:
        raise TreeError("the audit path is too short")
    return root


def check_consistency(old: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]) -> None:
    """Check that one tree is a prefix of the other (RFC 9162 section 2.1.4.2).

    Raises
    ------
    TreeError
        It is not, or the proof does not show it.
    """
    if old > size:
        raise TreeError("the older tree is the larger one")
    if old == 0:
        if path or old_root != EMPTY_ROOT:
            raise TreeError("the empty tree needs no proof and has one root")
        return
    if old == size:
        if path or old_root != root:
            raise TreeError("two trees of one size have different roots")
        return
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    if not steps:
        raise TreeError("the consistency proof is empty")
    old_found = found = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise TreeError("the consistency proof is too long")
        if at & 1 or at == last:
            old_found, found = node_hash(step, old_found), node_hash(step, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, step)
        at, last = at >> 1, last >> 1
    if last or old_found != old_root or found != root:
        raise TreeError("the older tree is no prefix of the newer one")
