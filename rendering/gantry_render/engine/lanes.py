"""Sixteen numbers at once inside kernels: vector types for numba, with the operations that a packet of rays needs.

A kernel that follows one ray waits: for one voxel, one brick, one guessed branch after the other. Sixteen rays in
lockstep wait together. LLVM cuts these vectors to what the processor has: one register of AVX-512, two of AVX2, four of
SSE or NEON.
"""

# ruff: noqa: ARG001  # numba hands every operation the same arguments

import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # has no stubs
from numba import config, types
from numba.core import codegen
from numba.core.datamodel import models
from numba.core.imputils import lower_builtin
from numba.core.typing import templates
from numba.extending import intrinsic, register_model

WIDTH: Final = 16
"""Lanes of a vector, whatever the processor: half as many are slower also where a register holds eight.

A settled frame of a chest CT took, in processor time with 16 and with 8 lanes, 98 and 120 ms as compiled for the machine
(AVX-512), and as compiled without: 152 and 167 for Haswell, 135 and 142 for Skylake, 148 and 167 for Zen 3. What a packet
of rays costs by itself outweighs the registers that it spills.
"""

# numba types some of itself.
_signature: Final[Any] = templates.signature
_infer: Final[Any] = templates.infer_global
_host_features: Final[Any] = codegen.get_host_cpu_features
_lower: Final[Any] = lower_builtin
_tuple_of: Final[Any] = types.UniTuple

# As the kernels are compiled for this processor.
_HAS_MASKS: Final = "+avx512f" in str(vars(config).get("CPU_FEATURES") or _host_features())
_FAST: Final = ("contract", "reassoc", "nsz", "arcp", "afn")
_SHAPES: Final = {"f": ir.FloatType(), "i": ir.IntType(32), "b": ir.IntType(1)}
_VECTORS: Final = {kind: ir.VectorType(element, WIDTH) for kind, element in _SHAPES.items()}


def _operation(make: Callable[..., Any]) -> Any:
    """Make a function of kernels: `make` returns its signature and what emits it."""
    return intrinsic(make)


class _Lanes(types.Type):
    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(name=f"Lanes({kind})")


FLOATS, INTS, FLAGS = _Lanes("f"), _Lanes("i"), _Lanes("b")


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: _Lanes) -> None:
        super().__init__(manager, lanes, _VECTORS[lanes.kind])  # type: ignore[no-untyped-call]  # numba's


def _spread(builder: Any, value: Any, vector: Any) -> Any:
    """Copy a scalar to every lane."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


def _as_lanes(builder: Any, value: Any, kind: Any) -> Any:
    if isinstance(kind, _Lanes):
        return value
    if isinstance(kind, types.Float):
        return _spread(builder, value, _VECTORS["f"])
    if value.type.width > 32:
        value = builder.trunc(value, ir.IntType(32))
    return _spread(builder, value, _VECTORS["i"])


def _operator(symbol: Any, cases: list[tuple[Any, Any, Any]], emit: Callable[[Any, Any, Any, Any], Any]) -> None:
    template = type(
        f"_Lanes_{symbol.__name__}", (templates.ConcreteTemplate,), {"cases": [_signature(*case) for case in cases]}
    )
    _infer(symbol)(template)
    for _, left, right in cases:

        def lower(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            one, two = (_as_lanes(builder, value, kind) for value, kind in zip(arguments, sig.args, strict=True))
            return emit(builder, one, two, one.type.element)

        _lower(symbol, left, right)(lower)


def _pairs(result: Any, lanes: Any, scalars: tuple[Any, ...]) -> list[tuple[Any, Any, Any]]:
    cases = [(result or lanes, lanes, lanes)]
    cases += [(result or lanes, lanes, scalar) for scalar in scalars]
    return cases + [(result or lanes, scalar, lanes) for scalar in scalars]


_F: Final = (types.float32,)
_I: Final = (types.int32, types.int64)


def _arithmetic(symbol: Any, name: str) -> None:
    def emit(builder: Any, one: Any, two: Any, element: Any) -> Any:
        if isinstance(element, ir.FloatType):
            return getattr(builder, "f" + name)(one, two, flags=_FAST)
        return getattr(builder, name)(one, two)

    _operator(symbol, _pairs(None, FLOATS, _F) + _pairs(None, INTS, _I), emit)


def _comparison(symbol: Any, sign: str) -> None:
    def emit(builder: Any, one: Any, two: Any, element: Any) -> Any:
        compare = builder.fcmp_ordered if isinstance(element, ir.FloatType) else builder.icmp_signed
        return compare(sign, one, two)

    _operator(symbol, _pairs(FLAGS, FLOATS, _F) + _pairs(FLAGS, INTS, _I), emit)


for _symbol, _name in ((operator.add, "add"), (operator.sub, "sub"), (operator.mul, "mul")):
    _arithmetic(_symbol, _name)
for _symbol in (operator.iadd, operator.isub, operator.imul):
    _arithmetic(_symbol, _symbol.__name__[1:])
for _symbol, _name in (
    (operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">="), (operator.eq, "=="),
):  # fmt: skip
    _comparison(_symbol, _name)
_operator(operator.truediv, _pairs(None, FLOATS, _F), lambda b, one, two, _: b.fdiv(one, two, flags=_FAST))
_operator(operator.and_, [(FLAGS, FLAGS, FLAGS), *_pairs(None, INTS, _I)], lambda b, one, two, _: b.and_(one, two))
_operator(operator.or_, [(FLAGS, FLAGS, FLAGS), *_pairs(None, INTS, _I)], lambda b, one, two, _: b.or_(one, two))
_operator(operator.rshift, _pairs(None, INTS, _I), lambda b, one, two, _: b.ashr(one, two))
_operator(operator.lshift, _pairs(None, INTS, _I), lambda b, one, two, _: b.shl(one, two))


def _declare(builder: Any, name: str, kind: Any) -> Any:
    return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)


def _constant(vector: Any, values: list[Any]) -> Any:
    return ir.Constant(vector, values)


@_operation
def floats(_typing: Any, _value: Any) -> Any:
    """Copy a float32 to every lane."""
    return FLOATS(types.float32), lambda c, b, s, a: _spread(b, a[0], _VECTORS["f"])


@_operation
def ints(typing: Any, value: Any) -> Any:
    """Copy a 64-bit integer to every lane, as 32-bit."""
    return INTS(types.int64), lambda c, b, s, a: _as_lanes(b, a[0], types.int64)


@_operation
def numbers(typing: Any) -> Any:
    """Return 0, 1, 2, … of the lanes."""
    return INTS(), lambda c, b, s, a: _constant(_VECTORS["i"], list(range(WIDTH)))


@_operation
def none(typing: Any) -> Any:
    """Return flags that are all off."""
    return FLAGS(), lambda c, b, s, a: _constant(_VECTORS["b"], [0] * WIDTH)


@_operation
def but(typing: Any, flags: Any, other: Any) -> Any:
    """Return the flags that are on, but not in `other`."""
    return FLAGS(FLAGS, FLAGS), lambda c, b, s, a: b.and_(a[0], b.not_(a[1]))


@_operation
def either(typing: Any, flags: Any) -> Any:
    """Say whether any flag is on."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        word = ir.IntType(WIDTH)
        return builder.icmp_unsigned("!=", builder.bitcast(arguments[0], word), ir.Constant(word, 0))

    return types.boolean(FLAGS), emit


@_operation
def how_many(typing: Any, flags: Any) -> Any:
    """Count the flags that are on."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        word = ir.IntType(WIDTH)
        return builder.zext(builder.ctpop(builder.bitcast(arguments[0], word)), ir.IntType(64))

    return types.int64(FLAGS), emit


@_operation
def pick(typing: Any, flags: Any, one: Any, other: Any) -> Any:
    """Take `one` where a flag is on, else `other`; either may be a scalar."""
    lanes = one if isinstance(one, _Lanes) else other
    if not isinstance(lanes, _Lanes):
        lanes = FLOATS if isinstance(one, types.Float) else INTS

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        one, other = (_as_lanes(builder, arguments[n], sig.args[n]) for n in (1, 2))
        return builder.select(arguments[0], one, other)

    return lanes(FLAGS, one, other), emit


@_operation
def least(typing: Any, one: Any, other: Any) -> Any:
    """Return the smaller of each pair."""
    return FLOATS(one, other), lambda c, b, s, a: _extreme(b, s, a, "<")


@_operation
def most(typing: Any, one: Any, other: Any) -> Any:
    """Return the larger of each pair."""
    return FLOATS(one, other), lambda c, b, s, a: _extreme(b, s, a, ">")


def _extreme(builder: Any, sig: Any, arguments: Any, sign: str) -> Any:
    one, other = (_as_lanes(builder, value, kind) for value, kind in zip(arguments, sig.args, strict=True))
    return builder.select(builder.fcmp_ordered(sign, one, other), one, other)


@_operation
def to_ints(typing: Any, values: Any) -> Any:
    """Cut to whole numbers, towards 0."""
    return INTS(FLOATS), lambda c, b, s, a: b.fptosi(a[0], _VECTORS["i"])


@_operation
def to_floats(typing: Any, values: Any) -> Any:
    """Return whole numbers, or flags as 0 and 1, as floats."""
    if isinstance(values, _Lanes) and values.kind == "b":
        return FLOATS(FLAGS), lambda c, b, s, a: b.uitofp(a[0], _VECTORS["f"])
    return FLOATS(INTS), lambda c, b, s, a: b.sitofp(a[0], _VECTORS["f"])


@_operation
def root(typing: Any, values: Any) -> Any:
    """Return square roots."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        vector = _VECTORS["f"]
        kind = ir.FunctionType(vector, [vector])
        function = _declare(builder, f"llvm.sqrt.v{WIDTH}f32", kind)
        return builder.call(function, arguments, fastmath=_FAST)

    return FLOATS(FLOATS), emit


def _gather(builder: Any, pointer: Any, index: Any, mask: Any, unit: Any, result: Any) -> Any:
    """Load at `pointer` plus `index` units, in the lanes of `mask`; 0 in the others. No alignment is needed."""
    vector = ir.VectorType(result, WIDTH)
    zeros, on = ir.Constant(vector, [0] * WIDTH), ir.Constant(mask.type, [1] * WIDTH)
    if not _HAS_MASKS:
        # Without mask registers a lane is a jump; all lanes are loaded, those that are off from the first element.
        index = builder.select(mask, index, ir.Constant(index.type, [0] * WIDTH))
    places = builder.gep(pointer, [index], source_etype=unit)
    places.type = ir.VectorType(ir.PointerType(), WIDTH)
    kind = "f32" if isinstance(result, ir.FloatType) else f"i{result.width}"
    name = f"llvm.masked.gather.v{WIDTH}{kind}.v{WIDTH}p0"
    function = _declare(builder, name, ir.FunctionType(vector, [places.type, ir.IntType(32), mask.type, vector]))
    align = ir.Constant(ir.IntType(32), 1)
    if _HAS_MASKS:
        return builder.call(function, [places, align, mask, zeros])
    return builder.select(mask, builder.call(function, [places, align, on, zeros]), zeros)


@_operation
def take(typing: Any, array: Any, index: Any, mask: Any) -> Any:
    """Look up a flat array of float32 in the lanes of `mask`; 0 in the others."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, arguments[0]).data
        return _gather(builder, data, arguments[1], arguments[2], _SHAPES["f"], _SHAPES["f"])

    return FLOATS(array, INTS, FLAGS), emit


@_operation
def take_word(typing: Any, array: Any, index: Any, mask: Any) -> Any:
    """Read 32 bits that begin at an element of a flat array, whatever its type; 0 where `mask` is off.

    An array of smaller elements needs room behind its last one.
    """

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, arguments[0]).data
        unit = ir.IntType(8 * np.dtype(sig.args[0].dtype.name).itemsize)
        return _gather(builder, data, arguments[1], arguments[2], unit, _SHAPES["i"])

    return INTS(array, INTS, FLAGS), emit


@_operation
def take_pair(typing: Any, array: Any, index: Any, mask: Any) -> Any:
    """Read an element of a flat array and the one behind it as floats; 0 where `mask` is off."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        (array, *_), (_, index, mask) = sig.args, arguments
        data = context.make_array(array)(context, builder, arguments[0]).data
        bits = 8 * np.dtype(array.dtype.name).itemsize
        is_float = isinstance(array.dtype, types.Float)
        if is_float or bits == 8:
            unit = _SHAPES["f"] if is_float else ir.IntType(bits)
            following = builder.add(index, ir.Constant(index.type, [1] * WIDTH))
            pair = [_gather(builder, data, each, mask, unit, unit) for each in (index, following)]
        else:
            words = _gather(builder, data, index, mask, ir.IntType(bits), _SHAPES["i"])
            pair = [_part(builder, words, array, number) for number in (0, 1)]
        if not is_float:
            convert = builder.sitofp if array.dtype.signed else builder.uitofp
            pair = [convert(each, _VECTORS["f"]) for each in pair]
        return context.make_tuple(builder, sig.return_type, pair)

    return _tuple_of(FLOATS, 2)(array, INTS, FLAGS), emit


def _part(builder: Any, words: Any, array: Any, number: int) -> Any:
    """Cut the first or second element of an array, signed or not, out of words that begin with it."""
    bits = 8 * np.dtype(array.dtype.name).itemsize

    def shift(by: int) -> Any:
        return ir.Constant(_VECTORS["i"], [by] * WIDTH)

    left = builder.shl(words, shift(32 - bits - number * bits)) if 32 - bits - number * bits else words
    return builder.ashr(left, shift(32 - bits)) if array.dtype.signed else builder.lshr(left, shift(32 - bits))


@_operation
def first_of(typing: Any, words: Any, array: Any) -> Any:
    """Return the first element in words of an array of 8- or 16-bit integers."""
    return INTS(INTS, array), lambda c, b, s, a: _part(b, a[0], s.args[1], 0)


@_operation
def second_of(typing: Any, words: Any, array: Any) -> Any:
    """Return the second element in words of an array of 8- or 16-bit integers."""
    return INTS(INTS, array), lambda c, b, s, a: _part(b, a[0], s.args[1], 1)


@_operation
def read(typing: Any, array: Any, first: Any) -> Any:
    """Read lanes from a flat float32 array, from an element on."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), _VECTORS["f"].as_pointer())
        return builder.load(place, align=4)

    return FLOATS(array, types.int64), emit


@_operation
def write(typing: Any, array: Any, first: Any, lanes: Any) -> Any:
    """Write lanes to a flat float32 array, from an element on."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), _VECTORS["f"].as_pointer())
        builder.store(arguments[2], place, align=4)
        return context.get_dummy_value()

    return types.none(array, types.int64, FLOATS), emit
