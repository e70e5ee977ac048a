"""The tree against RFC 6962 section 2.1, written down a second time as the text has it."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Callable, Sequence

import pytest

from gantry.audit.merkle import (
    EMPTY_ROOT,
    RUN,
    Frontier,
    Tree,
    TreeError,
    check_consistency,
    decompose,
    root_from_inclusion,
)

SIZES = [*range(1, 40), 63, 64, 65, 127, 128, 129, 255, 256, 257, 300, 511, 512, 513, 700]


def leaves(count: int) -> list[bytes]:
    return [hashlib.sha256(b"\x00" + str(number).encode()).digest() for number in range(count)]


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d: Sequence[bytes]) -> bytes:
    """MTH(D[n]) over leaf hashes."""
    if not d:
        return hashlib.sha256(b"").digest()
    if len(d) == 1:
        return d[0]
    k = largest_power_below(len(d))
    return hashlib.sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(d) == 1:
        return []
    k = largest_power_below(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: Sequence[bytes], b: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b)."""
    if m == len(d):
        return [] if b else [mth(d)]
    k = largest_power_below(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def grown(d: Sequence[bytes]) -> tuple[Frontier, Tree, list[tuple[int, int, int]]]:
    """Return the right edge, the stored tree, and a list that tells what is read of it."""
    frontier, stored, read = Frontier(), {}, []
    for index, leaf in enumerate(d):
        stored[0, index] = leaf
        stored.update({(level, at): digest for level, at, digest in frontier.append(leaf)})

    def read_run(level: int, start: int, end: int) -> Sequence[bytes]:
        read.append((level, start, end))
        return [stored[level, at] for at in range(start, end)]

    return frontier, Tree(len(d), read_run), read


def test_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier().root() == EMPTY_ROOT == mth([])


@pytest.mark.parametrize("size", SIZES)
def test_root_is_that_of_the_definition(size: int) -> None:
    d = leaves(size)
    frontier, tree, _ = grown(d)
    assert frontier.root() == tree.root() == mth(d)
    assert tree.frontier().peaks == frontier.peaks
    for prefix in {1, size // 2, size - 1} - {0}:
        assert tree.root(prefix) == mth(d[:prefix])


@pytest.mark.parametrize("size", SIZES)
def test_proofs_are_those_of_the_definition(size: int) -> None:
    d = leaves(size)
    _, tree, _ = grown(d)
    chance = random.Random(size)
    for m in range(size) if size < 40 else chance.sample(range(size), 12):
        proof = tree.prove_inclusion(m, size)
        assert proof == path(m, d)
        assert root_from_inclusion(m, size, d[m], proof) == mth(d)
        if m:
            consistency = tree.prove_consistency(m, size)
            assert consistency == subproof(m, d, True)
            check_consistency(m, size, mth(d[:m]), mth(d), consistency)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda proof: proof[:-1],
        lambda proof: [*proof, b"\x00" * 32],
        lambda proof: [b"\x01" * 32, *proof[1:]],
        lambda proof: proof[::-1],
        lambda proof: [],
    ],
    ids=["short", "long", "wrong", "reversed", "empty"],
)
def test_spoiled_proof_is_refused(spoil: Callable[[list[bytes]], list[bytes]]) -> None:
    d = leaves(213)
    _, tree, _ = grown(d)
    with pytest.raises(TreeError):
        check_consistency(100, 213, mth(d[:100]), mth(d), spoil(tree.prove_consistency(100, 213)))
    proof = spoil(tree.prove_inclusion(77, 213))
    with contextlib.suppress(TreeError):
        assert root_from_inclusion(77, 213, d[77], proof) != mth(d)


def test_tree_is_no_prefix_of_a_rewritten_one() -> None:
    d = leaves(300)
    _, tree, _ = grown(d[:50] + leaves(301)[300:] + d[51:])
    with pytest.raises(TreeError):
        check_consistency(120, 300, mth(d[:120]), tree.root(), tree.prove_consistency(120, 300))
    with pytest.raises(TreeError):
        check_consistency(300, 120, mth(d), mth(d[:120]), [])


def test_proof_in_a_large_tree_reads_a_few_runs() -> None:
    size = 3 * RUN * RUN + 5 * RUN + 7
    d = leaves(size)
    _, tree, read = grown(d)
    tree.prove_inclusion(12_345, size)
    assert len(read) <= 7
    assert all(end - start <= RUN for _, start, end in read)
    del read[:]
    tree.prove_consistency(size - 70_001, size)
    assert len(read) <= 8


def test_missing_run_is_noticed() -> None:
    tree = Tree(300, lambda level, start, end: [b"\x00" * 32] * (end - start - 1))
    with pytest.raises(TreeError):
        tree.root()


@pytest.mark.parametrize(("first", "end"), [(0, 0), (0, 1), (0, 700), (3, 700), (255, 257), (511, 513), (7, 8)])
def test_cover_is_complete_aligned_and_least(first: int, end: int) -> None:
    covered = first
    for level, index in decompose(first, end):
        assert index << level == covered
        covered += 1 << level
    assert covered == end
    assert len(list(decompose(first, end))) <= 2 * max(1, (end - first).bit_length())
