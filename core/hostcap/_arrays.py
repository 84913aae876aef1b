"""Array types and the freezing of arrays, shared by every room."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]
NameArray = NDArray[np.object_]


def _frozen(values: Any, dtype: Any) -> Any:
    # What nobody can write to needs no copy: solutions of thousands of nodes pass through here. Arrays of compiled code
    # (numba) stand on memory that is theirs alone; so do pieces of one.
    if isinstance(values, np.ndarray) and values.dtype == dtype:
        flags = values.flags
        if flags.c_contiguous and not flags.writeable:
            base = values.base
            if isinstance(base, np.ndarray) and not base.flags.writeable:
                base = base.base
            if base is None or type(base).__module__ == "_nrt_python":
                return values
    array = np.array(values, dtype=dtype, order="C", copy=True)
    array.setflags(write=False)
    return array


def floats(values: Any) -> FloatArray:
    """A read-only float64 copy."""
    return _frozen(values, np.float64)  # type: ignore[no-any-return]


def complexes(values: Any) -> ComplexArray:
    """A read-only complex128 copy."""
    return _frozen(values, np.complex128)  # type: ignore[no-any-return]


def ints(values: Any) -> IntArray:
    """A read-only int32 copy."""
    return _frozen(values, np.int32)  # type: ignore[no-any-return]


def bools(values: Any) -> BoolArray:
    """A read-only bool copy."""
    return _frozen(values, np.bool_)  # type: ignore[no-any-return]


def names(values: Iterable[str]) -> NameArray:
    """A read-only object array of strings."""
    if isinstance(values, np.ndarray) and values.dtype == object and values.base is None:
        kept: NameArray = values
        if kept.ndim == 1 and not kept.flags.writeable:
            return kept
    listed = list(values)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    array.setflags(write=False)
    return array


def sums(index: IntArray, values: Any, size: int) -> FloatArray:
    """Sum of ``values`` by ``index``, float64, shape (size,)."""
    return np.bincount(index, weights=np.asarray(values, dtype=np.float64), minlength=size).astype(np.float64)


def _equal_arrays(left: Any, right: Any) -> bool:
    numeric = isinstance(left, np.ndarray) and left.dtype.kind in "fc"
    return bool(np.array_equal(left, right, equal_nan=numeric))


def same(left: Any, right: Any) -> bool:
    """Equality of two records of one class, arrays compared by content (nan equals nan)."""
    if type(left) is not type(right):
        return False
    for field in attrs.fields(type(left)):
        if not field.eq and field.eq_key is None:
            continue
        a, b = getattr(left, field.name), getattr(right, field.name)
        if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
            if not _equal_arrays(a, b):
                return False
        elif attrs.has(type(a)):
            if not same(a, b):
                return False
        elif isinstance(a, Mapping) and isinstance(b, Mapping):
            if list(a) != list(b) or not all(_equal_arrays(a[key], b[key]) for key in a):
                return False
        elif a != b:
            return False
    return True


def update_hash(digest: hashlib._Hash, value: Any) -> None:
    """Feed a record, array, string or number into ``digest``; equal content gives equal bytes."""
    if attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            digest.update(field.name.encode())
            update_hash(digest, getattr(value, field.name))
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        if value.dtype == object:
            digest.update("\0".join(map(str, value)).encode())
        else:
            digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, (list, tuple)):
        digest.update(f"[{len(value)}".encode())
        for item in value:
            update_hash(digest, item)
    elif isinstance(value, dict):
        update_hash(digest, sorted(value.items()))
    else:
        digest.update(repr(value).encode())
