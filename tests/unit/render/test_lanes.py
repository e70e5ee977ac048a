"""Vectors inside kernels do what numpy does, lane by lane."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantry_render.engine.jit import kernel, plain
from gantry_render.engine.lanes import (
    WIDTH,
    but,
    either,
    first_of,
    floats,
    how_many,
    ints,
    least,
    most,
    none,
    numbers,
    pick,
    read,
    root,
    second_of,
    take,
    take_word,
    to_floats,
    to_ints,
    write,
)

RNG = np.random.default_rng(7)
A, B = (RNG.uniform(-50, 50, WIDTH).astype(np.float32) for _ in range(2))


@kernel
def _compute(a: Any, b: Any, out: Any) -> Any:
    x, y = read(a, 0), read(b, 0)
    write(out, 0, x + y * np.float32(2) - np.float32(1))
    write(out, WIDTH, np.float32(1) / (x * x + np.float32(1)))
    write(out, 2 * WIDTH, pick(x < y, x, y))
    write(out, 3 * WIDTH, least(most(x, np.float32(-10)), np.float32(10)))
    whole = to_ints(x)
    write(out, 4 * WIDTH, to_floats(((whole * 3 + numbers()) >> 2) & 7))
    write(out, 5 * WIDTH, root(most(x, np.float32(0) - x)))
    write(out, 6 * WIDTH, to_floats(but(x > y, x > np.float32(0))))
    write(out, 7 * WIDTH, to_floats((whole << 1) | 1))
    write(out, 8 * WIDTH, to_floats(ints(5) + pick(y >= x, 1, 0)) + floats(np.float32(0.5)))
    return how_many((x > y) | (x == y)) + (1000 if either(none()) else 0)


def test_arithmetic_is_numpys_when_done_in_lanes() -> None:
    out = np.zeros(9 * WIDTH, np.float32)
    assert _compute(A, B, out) == (A >= B).sum()
    whole, lane = A.astype(np.int32), np.arange(WIDTH)
    expected = [
        A + B * 2 - 1,
        1 / (A * A + 1),
        np.minimum(A, B),
        np.clip(A, -10, 10),
        ((whole * 3 + lane) >> 2) & 7,
        np.sqrt(np.abs(A)),
        (A > B) & ~(A > 0),
        (whole << 1) | 1,
        5.5 + (B >= A),
    ]
    np.testing.assert_allclose(out.reshape(9, WIDTH), expected, rtol=1e-5, atol=1e-5)


@kernel
def _look_up(table: Any, words: Any, small: Any, places: Any, limit: Any, out: Any) -> None:
    place = to_ints(read(places, 0))
    mask = place < limit
    write(out, 0, take(table, place, mask))
    word = take_word(words, place, mask)
    write(out, WIDTH, to_floats(first_of(word, words)))
    write(out, 2 * WIDTH, to_floats(second_of(word, words)))
    word = take_word(small, place, mask)
    write(out, 3 * WIDTH, to_floats(first_of(word, small)))
    write(out, 4 * WIDTH, to_floats(second_of(word, small)))


def look_up(words: NDArray[np.int16]) -> tuple[NDArray[np.float32], list[NDArray[Any]]]:
    table = RNG.uniform(-1, 1, 200).astype(np.float32)
    small = RNG.integers(0, 255, 204).astype(np.uint8)
    places = RNG.integers(0, 198, WIDTH)
    out = np.zeros(5 * WIDTH, np.float32)
    _look_up(table, plain(words), small, places.astype(np.float32), 120, out)
    on = places < 120
    found: list[NDArray[Any]] = [table[places], words[places], words[places + 1], small[places], small[places + 1]]
    return out.reshape(5, WIDTH), [np.where(on, values, 0) for values in found]


def test_lookups_read_neighbours_and_skip_lanes_when_masked() -> None:
    words = RNG.integers(-32768, 32767, 200).astype(np.int16)
    found, expected = look_up(words)
    np.testing.assert_array_equal(found, expected)


def test_kernel_is_not_compiled_again_when_an_array_may_not_be_written() -> None:
    words = RNG.integers(-32768, 32767, 200).astype(np.int16)
    look_up(words)
    compiled = len(_look_up.signatures)  # type: ignore[attr-defined]  # numba's
    words.flags.writeable = False
    found, expected = look_up(words)
    np.testing.assert_array_equal(found, expected)
    assert len(_look_up.signatures) == compiled  # type: ignore[attr-defined]  # as above
    assert np.shares_memory(plain(words), words)
