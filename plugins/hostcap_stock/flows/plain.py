"""A compiled reader of plain CSV: what programs print, line by line, without anything that CSV allows beyond that.

Plain are cells of words, quoted or not, and of decimal numbers; every line has all cells. Whatever else a file holds
(a quote within quotes, an empty cell, a number in words, a line that is short) ends the reading, and the caller goes
on with a reader that knows all of CSV and says what is wrong. Numbers are the nearest doubles, as every good reader
gives them: up to 15 digits over a power of ten is exact in one division; longer ones are left to Python.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from attrs import frozen
from numba import njit  # noqa: TID253 - imported with the first file
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
SKIPPED, WORD, NUMBER = range(3)
"""What a column holds for us."""
_READ, _ODD, _MANY_WORDS, _MANY_LINES = range(4)
_EXACT, _FIT = 2**53, np.uint64(18)
_POWERS = 10.0 ** np.arange(19)
_ONE, _TWO = np.uint64(1), np.uint64(2)
_ZERO, _TEN = np.uint8(48), np.uint8(10)
_STOPS = np.isin(np.arange(256), [34, 44, 10, 13])
_CLOSES = np.isin(np.arange(256), [34, 10, 13])
_BEYOND = 16
_LOWEST, _OTHERS = (np.uint64(0x0101010101010101 * n) for n in (0x01, 0x7F))  # bits of eight bytes
_COMMAS, _QUOTES, _FEEDS, _RETURNS = (np.uint64(0x0101010101010101 * n) for n in b',"\n\r')
_SEED, _PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)  # of the hash FNV-1a
_WORDS = 4096


class NotPlainError(Exception):
    """The file is not plain from here on."""


@frozen(kw_only=True)
class Layout:
    """Columns of a file.

    Attributes:
        kinds: Of each column, ``SKIPPED``, ``WORD`` or ``NUMBER``.
        words: For each column of words which list of words it shares.
    """

    kinds: tuple[int, ...]
    words: Mapping[int, int]


@frozen(kw_only=True)
class Lines:
    """Some lines.

    Attributes:
        count: How many.
        new: Words of each list that are not in lines before, in the order first met.
        codes: By column, place of each line's word in its list, all words of the file counted, shape (line,).
        numbers: By column, shape (line,).
    """

    count: int
    new: Sequence[list[str]]
    codes: Mapping[int, NDArray[np.int32]]
    numbers: Mapping[int, NDArray[np.float64]]


def lines_of(path: Path, layout: Layout, *, header: bool, block_bytes: int) -> Iterator[Lines]:
    """The lines of a file, some at a time.

    Raises:
        NotPlainError: From here on.
    """
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            # One room for all blocks: what is left of the last one, the next one, and what eight bytes at once pass.
            held = bytearray(2 * block_bytes + _BEYOND)
            left, begins, words = 0, True, _Words(layout)
            while more := file.readinto(memoryview(held)[left : left + block_bytes]):
                low, end = 0, left + more
                if begins:
                    low, begins = len(codecs.BOM_UTF8) * held.startswith(codecs.BOM_UTF8, 0, end), False
                if header:
                    low = held.find(b"\n", 0, end) + 1
                    if not low or held.count(b'"', 0, low) % 2:
                        raise NotPlainError
                    header = False
                high = max(held.rfind(b"\n", 0, end) + 1, low)
                left = end - high
                if high > low:
                    yield _lines(held, low, high, layout, words)
                elif left > block_bytes:
                    raise NotPlainError
                held[:left] = held[high:end]
            if left:
                held[left] = 10  # a line feed
                yield _lines(held, 0, left + 1, layout, words)
    except (OSError, EOFError, zlib.error) as error:
        raise NotPlainError from error


class _Words:
    """The words of a file met so far, by list.

    Attributes:
        pool: Their letters, one word after the other.
        begin, size: Where each word stands in it, shape (list, word).
        table: Places of words by their hash, shape (list, slot).
        after: Word that followed each word last time, -1 unless there is one without a comma, shape (column, word).
        before: Last word of each column.
        met: Words of each list, and then the letters of all.
        known, given: Words of each list, and letters of all, that were given out.
    """

    def __init__(self, layout: Layout) -> None:
        lists, columns = 1 + max(layout.words.values(), default=-1), len(layout.words)
        self.met, self.before = np.zeros(lists + 1, dtype=np.int64), np.zeros(columns, dtype=np.int64)
        self.pool = np.empty(16 * _WORDS, dtype=np.uint8)
        self.begin, self.size = np.empty((lists, _WORDS), dtype=np.int64), np.empty((lists, _WORDS), dtype=np.int64)
        self.table = np.full((lists, 4 * _WORDS), -1, dtype=np.int32)
        self.after = np.full((columns, _WORDS), -1, dtype=np.int32)
        self.known, self.given = [0] * lists, 0

    def grow(self) -> None:
        """Make room for more."""
        self.pool = np.concatenate([self.pool, np.empty(3 * self.pool.size, dtype=np.uint8)])
        more = np.zeros((self.begin.shape[0], 3 * self.begin.shape[1]), dtype=np.int64)
        self.begin, self.size = np.hstack([self.begin, more]), np.hstack([self.size, more])
        unmet = np.full((self.after.shape[0], 3 * self.after.shape[1]), -1, dtype=np.int32)
        self.after = np.hstack([self.after, unmet])
        self.table = _hashed(self.pool, self.begin, self.size, self.met)

    def new(self) -> list[list[str]]:
        """Words of each list that are new.

        Raises:
            UnicodeDecodeError: One is no UTF-8.
        """
        end = int(self.met[-1])
        raw, found = self.pool[self.given : end].tobytes(), []
        text = raw.decode() if raw.isascii() else None
        for n, (known, met) in enumerate(zip(self.known, self.met.tolist(), strict=False)):
            begin = self.begin[n, known:met] - self.given
            ends = zip(begin.tolist(), (begin + self.size[n, known:met]).tolist(), strict=True)
            found.append([raw[a:b].decode() if text is None else text[a:b] for a, b in ends])
            self.known[n] = met
        self.given = end
        return found


def _lines(held: bytearray, low: int, high: int, layout: Layout, words: _Words) -> Lines:
    text = np.frombuffer(held, dtype=np.uint8)[low:]
    kinds = np.array(layout.kinds, dtype=np.int8)
    lists = np.full(kinds.size, -1, dtype=np.int32)
    lists[list(layout.words)] = list(layout.words.values())
    words_at, numbers_at = np.flatnonzero(kinds == WORD).tolist(), np.flatnonzero(kinds == NUMBER).tolist()
    # Lines of a file are of much the same length; where these are shorter there is a second go.
    room = 64 + (high - low) * 5 // (held.find(b"\n", low) + 1 - low) // 4
    while True:
        codes, numbers = np.empty((len(words_at), room), dtype=np.int32), np.empty((len(numbers_at), room))
        own = (words.pool, words.begin, words.size, words.table, words.after, words.before, words.met)
        status, count, long = _read(text, high - low, kinds, lists, codes, numbers, *own)
        if status == _MANY_LINES:
            room = held.count(b"\n", low, high)
        elif status == _MANY_WORDS:
            words.grow()
        else:
            break
    if status == _ODD:
        raise NotPlainError
    try:
        for line, slot, start, end in long.tolist():
            numbers[slot, line] = float(text[start:end].tobytes())
        new = words.new()
    except ValueError as error:
        raise NotPlainError from error
    numbers.setflags(write=False)  # so that periods keep their part of it without a copy
    return Lines(
        count=count,
        new=new,
        codes={column: codes[n, :count] for n, column in enumerate(words_at)},
        numbers={column: numbers[n, :count] for n, column in enumerate(numbers_at)},
    )


def _compiled(function: Any) -> Any:
    return cast(Any, njit(cache=True, nogil=True, error_model="numpy")(function))


@_compiled
def _ends(byte: Any) -> bool:
    return bool(byte == 44 or byte == 10 or byte == 13)  # comma, line feed, carriage return


@_compiled
def _eight(text: Bytes, at: Any) -> Any:
    """Eight bytes as one number, the first one lowest."""
    found = np.uint64(text[at])
    for n in range(1, 8):
        found |= np.uint64(text[at + np.uint64(n)]) << np.uint64(8 * n)
    return found


@_compiled
def _zeros(eight: Any) -> Any:
    """The highest bit of each byte that is 0."""
    return ~(((eight & _OTHERS) + _OTHERS) | eight | _OTHERS)


@_compiled
def _marks(bits: Any) -> Any:
    """How many bytes have their highest bit, where no other bit is set."""
    return ((bits >> np.uint64(7)) * _LOWEST) >> np.uint64(56)


@_compiled
def _same(text: Bytes, at: Any, other: Bytes, there: Any, size: Any) -> bool:
    """Whether some bytes are the same in two texts, both of which go on for eight bytes at least."""
    n = np.uint64(0)
    while n + np.uint64(8) <= size:
        if _eight(text, at + n) != _eight(other, there + n):
            return False
        n += np.uint64(8)
    differ = _eight(text, at + n) ^ _eight(other, there + n)
    return bool(differ & ((_ONE << (np.uint64(8) * (size - n))) - _ONE) == 0)


@_compiled
def _end_of_line(text: Bytes, at: Any, commas: Any) -> Any:
    """Where a line ends whose cells are skipped from here on; 0 where it is odd or has other than so many commas.

    The byte before is a comma.
    """
    while True:
        eight = _eight(text, at)
        stops = _zeros(eight ^ _FEEDS) | _zeros(eight ^ _RETURNS) | _zeros(eight ^ _QUOTES)
        parts = _zeros(eight ^ _COMMAS)
        if stops == 0:
            commas -= _marks(parts)
            at += np.uint64(8)
            continue
        before = (stops & (~stops + _ONE)) - _ONE  # all bits below the first stop
        commas -= _marks(parts & before)
        at += _marks((before & _LOWEST) << np.uint64(7)) - _ONE
        if text[at] != 34:
            break
        if text[at - _ONE] != 44:  # a quote within a cell
            return np.uint64(0)
        at += _ONE
        while not _CLOSES[text[at]]:
            at += _ONE
        if text[at] != 34 or not _ends(text[at + _ONE]):
            return np.uint64(0)
        at += _ONE
    return at if commas == 0 else np.uint64(0)


@_compiled
def _slot(key: Any, mask: Any) -> Any:
    return (key ^ (key >> np.uint64(32))) & mask


@_compiled
def _hashed(pool: Bytes, begin: Any, size: Any, met: Any) -> Any:
    """A table of all words with room for more."""
    lists, most = begin.shape
    table, mask = np.full((lists, 4 * most), -1, dtype=np.int32), np.uint64(4 * most - 1)
    for own in range(lists):
        for code in range(met[own]):
            key = _SEED
            for n in range(begin[own, code], begin[own, code] + size[own, code]):
                key = (key ^ np.uint64(pool[n])) * _PRIME
            place = _slot(key, mask)
            while table[own, place] >= 0:
                place = (place + _ONE) & mask
            table[own, place] = code
    return table


@_compiled
def _read(
    text: Bytes,
    total: Any,
    kinds: Any,
    lists: Any,
    codes: Any,
    numbers: Any,
    pool: Any,
    begin: Any,
    size: Any,
    table: Any,
    after: Any,
    before: Any,
    met: Any,
) -> tuple[int, int, Any]:
    """Fill codes and numbers, and add new words.

    Lines of one period begin alike: cells that were the line before's are compared as bytes and not looked up again.
    The text has room after its lines, which are ``total`` bytes.

    Returns:
        What came of it, lines read, and numbers that are too long: line, number's column, and where it stands.
    """
    words, most = begin.shape
    room = max(codes.shape[1], numbers.shape[1])
    columns, total = kinds.size, np.uint64(total)
    tail = columns
    while tail > 0 and kinds[tail - 1] == SKIPPED:
        tail -= 1
    mask = np.uint64(4 * most - 1)
    long = np.empty((16, 4), dtype=np.int64)
    longs, line = 0, 0
    at: Any = np.uint64(0)
    begins: Any = at
    alike, alike_words, alike_size = 0, 0, np.uint64(0)
    while at < total:
        if line == room:
            return _MANY_LINES, line, long[:0]
        word, number, first_column = 0, 0, 0
        line_before = begins
        begins = at
        if alike and at + alike_size < total and _same(text, line_before, text, at, alike_size):
            for early in range(alike_words):
                codes[early, line] = codes[early, line - 1]
            first_column, word, at = alike, alike_words, at + alike_size
        else:
            alike, alike_words, alike_size = 0, 0, np.uint64(0)
        for column in range(first_column, columns):
            kind, repeated = kinds[column], False
            if column == tail:
                feed = _end_of_line(text, at, np.uint64(columns - 1 - column))
                if feed:
                    at = feed
                    break
            if kind == NUMBER:
                start, negative = at, text[at] == 45
                if negative:
                    at += _ONE
                first, value = at, np.int64(0)
                digit = text[at] - _ZERO
                while digit < _TEN:
                    value = value * 10 + np.int64(digit)
                    at += _ONE
                    digit = text[at] - _ZERO
                digits, places = at - first, np.uint64(0)
                if digits > 0 and text[at] == 46:
                    at += _ONE
                    point = at
                    digit = text[at] - _ZERO
                    while digit < _TEN:
                        value = value * 10 + np.int64(digit)
                        at += _ONE
                        digit = text[at] - _ZERO
                    places = at - point
                    digits = digits + places if places > 0 else np.uint64(0)
                if digits == 0 or not _ends(text[at]):
                    return _ODD, line, long[:0]
                # Up to 18 digits fit; a number below 2 ** 53 over a power of ten up to 22 is exact in one division.
                if digits <= _FIT and value < _EXACT:
                    found = np.float64(value) / _POWERS[places]
                    numbers[number, line] = -found if negative else found
                else:
                    if longs == long.shape[0]:
                        grown = np.empty((2 * longs, 4), dtype=np.int64)
                        grown[:longs] = long
                        long = grown
                    long[longs, 0], long[longs, 1] = line, number
                    long[longs, 2], long[longs, 3] = start, at
                    longs += 1
                number += 1
            elif kind == WORD:
                quoted = text[at] == 34
                low = at + _ONE if quoted else at
                own = lists[column]
                guess = np.int64(after[word, before[word]])
                code = np.int64(-1)
                if 0 <= guess < met[own]:
                    length, there = np.uint64(size[own, guess]), np.uint64(begin[own, guess])
                    if low + length + _TWO < total:
                        end = low + length + _ONE if quoted else low + length
                        if (
                            _same(text, low, pool, there, length)
                            and _ends(text[end])
                            and (not quoted or text[low + length] == 34)
                        ):
                            code, at = guess, end
                if code < 0:
                    high, key, comma = low, _SEED, False
                    while not (_CLOSES[text[high]] or (not quoted and text[high] == 44)):
                        comma |= text[high] == 44
                        key = (key ^ np.uint64(text[high])) * _PRIME
                        high += _ONE
                    length = high - low
                    at = high + _ONE if quoted else high
                    if length == 0 or (text[high] == 34) != quoted or not _ends(text[at]):
                        return _ODD, line, long[:0]
                    place = _slot(key, mask)
                    while table[own, place] >= 0:
                        code = np.int64(table[own, place])
                        there = np.uint64(begin[own, code])
                        if np.uint64(size[own, code]) == length and _same(text, low, pool, there, length):
                            break
                        code = np.int64(-1)
                        place = (place + _ONE) & mask
                    if code < 0:
                        code = met[own]
                        if code == most or met[words] + np.int64(length) + 8 > pool.size:
                            return _MANY_WORDS, line, long[:0]
                        table[own, place], begin[own, code], size[own, code] = code, met[words], length
                        for letter in range(int(low), int(high)):
                            pool[met[words]] = text[letter]
                            met[words] += 1
                        met[own] += 1
                    if not comma:  # without its quotes it would be two cells
                        after[word, before[word]] = code
                codes[word, line] = code
                repeated = line > 0 and before[word] == code
                before[word] = code
                word += 1
            else:
                if text[at] == 34:
                    at += _ONE
                    while not _CLOSES[text[at]]:
                        at += _ONE
                    if text[at] != 34:
                        return _ODD, line, long[:0]
                    at += _ONE
                else:
                    while not _STOPS[text[at]]:
                        at += _ONE
                if not _ends(text[at]):  # a quote within a cell
                    return _ODD, line, long[:0]
            if column + 1 < columns:
                if text[at] != 44:
                    return _ODD, line, long[:0]
                at += _ONE
                if column == alike and (kind == SKIPPED or (kind == WORD and repeated)):
                    alike, alike_words, alike_size = column + 1, word, at - begins
        if text[at] == 13:
            at += _ONE
        if text[at] != 10:
            return _ODD, line, long[:0]
        at += _ONE
        line += 1
    return _READ, line, long[:longs]
