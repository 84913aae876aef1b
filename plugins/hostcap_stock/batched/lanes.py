"""Eight states side by side in numba: a vector type of the compiler's, and the few operations on it.

Left to itself numba vectorises a loop over states only when the loop is long, checks at run time that arrays do not
overlap, and keeps no sum in a register: half the speed of C. These intrinsics say outright what is meant, compile in a
fraction of the time, and treat every lane alike, so that a state's result does not depend on its neighbours. Eight
float64 fill one AVX-512 register; LLVM splits them for narrower machines.

numba caches compiled code by the file that calls: touch ``kernel.py`` after editing this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import types  # noqa: TID253 - imported with kernel.py, when a plan is made
from numba.core import cgutils  # noqa: TID253
from numba.extending import intrinsic, models, register_model  # noqa: TID253

LANES = 8
_DOUBLE = ir.DoubleType()
_BYTE, _LONG = ir.IntType(LANES), ir.IntType(64)
_VECTOR = ir.VectorType(_DOUBLE, LANES)
_FLAGS = ir.VectorType(ir.IntType(1), LANES)
_INDEX = ir.IntType(32)
_insert: Any = cgutils.get_or_insert_function


class _LanesType(types.Type):  # type: ignore[misc, unused-ignore]
    pass


class _MaskType(types.Type):  # type: ignore[misc, unused-ignore]
    pass


_new: Any = (_LanesType, _MaskType)  # numba's types are untyped
_LANES, _MASK = _new[0](name="hostcap.lanes"), _new[1](name="hostcap.mask")


@register_model(_LanesType)  # type: ignore[untyped-decorator, unused-ignore]
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc, unused-ignore]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call, unused-ignore]


@register_model(_MaskType)  # type: ignore[untyped-decorator, unused-ignore]
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc, unused-ignore]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLAGS)  # type: ignore[no-untyped-call, unused-ignore]


def _element(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), _VECTOR.as_pointer())


def _load(typing_context: Any, array: Any, place: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], given[0], given[1])
        return builder.load(pointer, align=8, typ=_VECTOR)

    return _LANES(array, types.intp), code


def _store(typing_context: Any, array: Any, place: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        builder.store(given[2], _element(context, builder, signature.args[0], given[0], given[1]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, _LANES), code


def _splat(typing_context: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(nothing, given[0], ir.Constant(_INDEX, 0))
        return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES))

    return _LANES(types.float64), code


def _spread(typing_context: Any, array: Any, place: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, given[0]).data
        value = builder.load(builder.gep(data, [given[1]]))
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(nothing, value, ir.Constant(_INDEX, 0))
        return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES))

    return _LANES(array, types.intp), code


def _turn(typing_context: Any, source: Any, target: Any, place: Any, stride: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        long = ir.IntType(64)
        rows = []
        for k in range(LANES):
            pointer = _element(context, builder, signature.args[0], given[0], ir.Constant(long, k * LANES))
            rows.append(builder.load(pointer, align=8, typ=_VECTOR))
        distance = 1
        while distance < LANES:  # swap ever larger blocks across the diagonal
            for i in range(LANES):
                if i & distance:
                    continue
                a, b = rows[i], rows[i + distance]
                upper = [j + LANES - distance if j & distance else j for j in range(LANES)]
                lower = [j + LANES if j & distance else j + distance for j in range(LANES)]
                kind = ir.VectorType(_INDEX, LANES)
                rows[i] = builder.shuffle_vector(a, b, ir.Constant(kind, upper))
                rows[i + distance] = builder.shuffle_vector(a, b, ir.Constant(kind, lower))
            distance *= 2
        for k in range(LANES):
            offset = builder.add(given[2], builder.mul(ir.Constant(long, k), given[3]))
            builder.store(rows[k], _element(context, builder, signature.args[1], given[1], offset), align=8)
        return context.get_dummy_value()

    return types.void(source, target, types.intp, types.intp), code


def _called(name: str, count: int) -> Callable[..., Any]:
    """An operation that LLVM has as an intrinsic over vectors."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        function = _insert(builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * count), f"llvm.{name}.v{LANES}f64")
        return builder.call(function, given)

    return code


def _minus(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    return _called("fmuladd", 3)(context, builder, signature, [builder.fneg(given[0]), given[1], given[2]])


def _less(sign: str) -> Callable[..., Any]:
    """An ordered comparison: false where either side is nan."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.fcmp_ordered(sign, given[0], given[1])

    return code


def _built(name: str) -> Callable[..., Any]:
    """An operation of the builder on all arguments."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return getattr(builder, name)(*given)

    return code


def _bits(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    return builder.zext(builder.bitcast(given[0], _BYTE), _LONG)


def _from_bits(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    return builder.bitcast(builder.trunc(given[0], _BYTE), _FLAGS)


def _one(result: Any, takes: list[Any], code: Callable[..., Any]) -> Any:
    def typed(typing_context: Any, a: Any) -> Any:
        return result(*takes), code

    return intrinsic(typed)


def _two(result: Any, takes: list[Any], code: Callable[..., Any]) -> Any:
    def typed(typing_context: Any, a: Any, b: Any) -> Any:
        return result(*takes), code

    return intrinsic(typed)


def _three(result: Any, takes: list[Any], code: Callable[..., Any]) -> Any:
    def typed(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
        return result(*takes), code

    return intrinsic(typed)


load: Any = intrinsic(_load)
"""load(array, place) -> lanes"""
store: Any = intrinsic(_store)
"""store(array, place, lanes)"""
splat: Any = intrinsic(_splat)
"""splat(float) -> lanes"""
spread: Any = intrinsic(_spread)
"""spread(array, place) -> lanes, all array[place]"""
turn: Any = intrinsic(_turn)
"""turn(source, target, place, stride): eight lanes at the head of source, transposed into rows of target"""
add = _two(_LANES, [_LANES] * 2, _built("fadd"))
sub = _two(_LANES, [_LANES] * 2, _built("fsub"))
mul = _two(_LANES, [_LANES] * 2, _built("fmul"))
div = _two(_LANES, [_LANES] * 2, _built("fdiv"))
root = _one(_LANES, [_LANES], _called("sqrt", 1))
fma = _three(_LANES, [_LANES] * 3, _called("fmuladd", 3))
"""fma(a, b, c) = a b + c, fused where the machine has it"""
minus = _three(_LANES, [_LANES] * 3, _minus)
"""minus(a, b, c) = c - a b, fused likewise"""
less = _two(_MASK, [_LANES] * 2, _less("<"))
at_most = _two(_MASK, [_LANES] * 2, _less("<="))
both = _two(_MASK, [_MASK] * 2, _built("and_"))
either = _two(_MASK, [_MASK] * 2, _built("or_"))
choose = _three(_LANES, [_MASK, _LANES, _LANES], _built("select"))
"""choose(mask, where true, where false) -> lanes"""
bits = _one(types.int64, [_MASK], _bits)
"""bits(mask) -> int with bit k for lane k"""
from_bits = _one(_MASK, [types.int64], _from_bits)
"""from_bits(int) -> mask"""
