"""Copying a model that nobody vouches for: read before the engine does, and copied only if nothing in it can reach out.

The engine's language writes files, runs programs and loads native code. What is allowed here is a list: verbs,
options of ``set``, and properties that name files. All else is refused with its file and line. The copy holds what was
read, without its comments, so that a comment which the engine would take for a command is not there to be taken.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from attrs import define, field

from hostcap.errors import ModelError
from hostcap_stock.opendss import allowed
from hostcap_stock.opendss.script import Parameter, UnclosedQuoteError, parameters

MOST_BYTES = 1 << 30
"""Most bytes of a model, all its files together."""
MOST_READS = 10_000
"""Most files read, one that is redirected to twice counted twice."""
DEEPEST = 50
"""Deepest nesting of redirects."""
_MOST_SHOWN = 10
# A zero byte at the end of a line is seen in public models, and is part of its last word.
_UNREADABLE = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]|\x00(?!\x00*(?:[\r\n]|\Z))")
_LINE_END = re.compile("\r\n|\n|\r")
# Numbers, and the engine's arithmetic on them, stand for nothing that reaches out wherever they are.
_NUMBER = r"-?(?:\d[\d.]*|\.\d+)(?:e[-+]?\d+)?"
_NUMBERS = re.compile(rf"(?:{_NUMBER}(?:[\s,|]+(?:{_NUMBER}|[-+*/^]|sqrt|sqr))*)?", re.IGNORECASE | re.ASCII)
_NAMES_FILE = re.compile(r"file[^\w\s=]*\s*=", re.IGNORECASE)
_VARIABLE = re.compile(r"(?:^|[\s,=|(\[{\"'])@")


def copy_model(master: Path, *, inside: Path, scratch: Path) -> Path:
    """Copy a model's files, as they lie in ``inside``, to ``scratch``.

    Args:
        master: The master file.
        inside: Folder that no file may lie outside of.
        scratch: An empty folder.

    Returns:
        The copy of the master file.

    Raises:
        ModelError: What an untrusted model may not say, with file and line.
    """
    scan = _Scan(inside=Path(os.path.abspath(inside)), scratch=scratch)
    found = scan.inside_path(Path(os.path.abspath(master)), str(master))
    if found is not None:
        scan.script(found)
    if found is None or scan.problems:
        shown = "; ".join(scan.problems[:_MOST_SHOWN])
        more = len(scan.problems) - _MOST_SHOWN
        raise ModelError(
            f"an untrusted model may not do this: {shown}{f'; and {more} more' if more > 0 else ''}; "
            "run it as trusted only if you know who wrote it"
        )
    return scratch / found.relative_to(scan.inside)


def copy_file(path: Path, *, inside: Path, scratch: Path) -> Path:
    """Copy one file that is no script.

    Raises:
        ModelError: It lies outside ``inside``, or is no file.
    """
    scan = _Scan(inside=Path(os.path.abspath(inside)), scratch=scratch)
    found = scan.inside_path(Path(os.path.abspath(path)), str(path))
    if found is not None:
        scan.data(found)
    if found is None or scan.problems:
        raise ModelError("; ".join(scan.problems))
    return scratch / found.relative_to(scan.inside)


class _RefusedError(Exception):
    """A line is refused."""


@define(kw_only=True)
class _Scan:
    """Reads a model as the engine does, line by line, without running it.

    Attributes:
        folder: Where relative file names start, as the engine keeps it.
        stack: Files being read.
    """

    inside: Path
    scratch: Path
    problems: list[str] = field(factory=list)
    folder: Path = field(init=False)
    stack: list[Path] = field(factory=list)
    copied: dict[Path, bool] = field(factory=dict)
    reads: int = 0
    size: int = 0
    place: str = ""

    def __attrs_post_init__(self) -> None:
        self.folder = self.inside

    # Files

    def refuse(self, what: str) -> None:
        """Note a problem where the scan stands."""
        self.problems.append(f"{self.place}: {what}" if self.place else what)

    def named(self, text: str) -> Path | None:
        """The file that a script names, if it may name it."""
        plain = text.replace("\\", "/")
        parts = [part for part in plain.split("/") if part not in ("", ".")]
        climbing = 0
        while climbing < len(parts) and parts[climbing] == "..":
            climbing += 1
        if not parts:
            self.refuse("names no file")
        elif plain.startswith(("/", "~")) or ":" in plain:
            self.refuse(f"file {text!r}: only paths relative to the model's own folder are allowed")
        elif any(part != part.strip() for part in parts):
            self.refuse(f"file {text!r}: a name starts or ends with a blank")
        elif ".." in parts[climbing:]:
            self.refuse(f"file {text!r}: '..' is allowed only at the start of a path")
        else:
            return self.inside_path(Path(os.path.normpath(self.folder / "/".join(parts))), text)
        return None

    def inside_path(self, path: Path, text: str) -> Path | None:
        """The path, if it is a file that lies in the study's folder, links followed."""
        try:
            if not path.is_relative_to(self.inside) or not path.resolve().is_relative_to(self.inside.resolve()):
                self.refuse(f"file {text!r} lies outside the study's folder")
                return None
            if not stat.S_ISREG(path.stat().st_mode):
                self.refuse(f"{text!r} is not a file")
                return None
        except (OSError, ValueError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.refuse(f"file {text!r} cannot be read: {reason}")
            return None
        return path

    def read(self, path: Path) -> bytes | None:
        """The content of a file, within the bounds of a model."""
        self.reads += 1
        try:
            self.size += path.stat().st_size
            if self.size > MOST_BYTES or self.reads > MOST_READS:
                if self.reads <= MOST_READS + 1:
                    self.refuse(f"the model reads more than {MOST_BYTES >> 20} MB or {MOST_READS} files")
                self.reads = MOST_READS + 1
                return None
            return path.read_bytes()
        except OSError as error:
            self.refuse(f"file {path} cannot be read: {error.strerror or error}")
            return None

    def copy(self, path: Path, content: bytes, *, script: bool) -> None:
        """Write the copy of a file."""
        if self.copied.setdefault(path, script) is not script:
            self.refuse(f"file {path.name!r} is read both as a script and as data")
            return
        target = self.scratch / path.relative_to(self.inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def data(self, path: Path) -> None:
        """A file that the engine reads as numbers."""
        if self.copied.get(path) is False:
            return
        content = self.read(path)
        if content is not None:
            self.copy(path, content, script=False)

    def script(self, path: Path, *, stay: bool = False) -> None:
        """A file that the engine reads as commands; ``stay`` keeps its folder as the one that paths start from."""
        if path in self.stack or len(self.stack) >= DEEPEST:
            self.refuse(f"file {path.name!r} leads back to itself, or is nested deeper than {DEEPEST} files")
            return
        content = self.read(path)
        if content is None:
            return
        before, place = self.folder, self.place
        self.folder = path.parent
        self.stack.append(path)
        self.copy(path, "\n".join(self.lines(path, content)).encode("utf-8", "surrogateescape"), script=True)
        self.stack.pop()
        self.place = place
        if not stay:
            self.folder = before

    def lines(self, path: Path, content: bytes) -> Iterator[str]:
        """The lines of a script without their comments, each checked."""
        self.place = str(path)
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            self.refuse("is UTF-16; save it as UTF-8")
            return
        content = content.removeprefix(b"\xef\xbb\xbf")
        if _UNREADABLE.search(content):
            self.refuse("holds control characters; it is not plain text")
            return
        commented = False
        for number, line in enumerate(_LINE_END.split(content.decode("utf-8", "surrogateescape")), start=1):
            commented = commented or line.startswith("/*")
            if commented:
                commented = "*/" not in line
                yield ""
                continue
            self.place = f"{path}, line {number}"
            try:
                given, end = parameters(line)
            except UnclosedQuoteError as error:
                self.refuse(f"{error} is not closed")
                return
            try:
                if given:
                    self.command(line[:end], given)
            except UnclosedQuoteError as error:
                self.refuse(f"{error} is not closed")
            except _RefusedError as error:
                self.refuse(str(error))
            yield line[:end]

    # Commands

    def command(self, line: str, given: list[Parameter]) -> None:
        """Check one command."""
        if _VARIABLE.search(line):
            raise _RefusedError("script variables (@) are not allowed")
        first, rest = given[0], given[1:]
        if first.name:
            self.edit_of_property(first, rest)
            return
        if not first.value:
            # The engine skips a line whose first word is empty; nothing of it may hide behind that.
            raise _RefusedError("starts with an empty word")
        verb = _whole(first.value, allowed.VERBS, allowed.REFUSED_VERBS, "command")
        if verb in allowed.SCRIPTS:
            found = self.named(rest[0].value if rest else "")
            if found is not None:
                self.script(found, stay=verb == "compile")
        elif verb in allowed.DATA:
            found = self.named(rest[0].value if rest else "")
            if found is not None:
                self.data(found)
        elif verb in ("set", "solve"):
            self.options(rest)
        elif verb in allowed.EDITS:
            if verb not in ("new", "edit", "batchedit"):
                self.properties(rest, None)
            elif rest:
                self.properties(rest[1:], _class_of(rest[0].value))
            else:
                raise _RefusedError(f"'{verb}' names no element")
        else:
            for each in rest:
                self.values(each)

    def edit_of_property(self, first: Parameter, rest: list[Parameter]) -> None:
        """``Class.element.property=value``; the engine builds a command of it, with the value in quotes."""
        if first.name.lower() == "command" or '"' in first.value:
            raise _RefusedError(f"{first.name}: cannot be checked; write 'edit' and the element")
        element, _, name = first.name.rpartition(".")
        self.properties([Parameter(name=name, value=first.value), *rest], _class_of(element))

    def options(self, given: list[Parameter]) -> None:
        """Options of ``set`` and ``solve``."""
        for each in given:
            if not each.name and not each.value:
                continue
            if not each.name:
                raise _RefusedError(f"option {each.value!r} has no name; write name=value")
            option = _whole(each.name, allowed.OPTIONS, allowed.REFUSED_OPTIONS, "option")
            if option == "mode" and each.value.lower() not in allowed.MODES:
                raise _RefusedError(f"mode={each.value!r} is not allowed; allowed: {', '.join(sorted(allowed.MODES))}")
            self.values(each)

    def properties(self, given: list[Parameter], kind: str | None) -> None:
        """Properties of an element of a class; None where it is not certain which one the engine edits."""
        most = 0 if kind is None else allowed.POSITIONAL.get(kind, len(given))
        named = False
        for place, each in enumerate(given, start=1):
            self.values(each)
            name = each.name.lower()
            if name:
                named = True
                if kind is None or kind not in allowed.HARMLESS.get(name, ()):
                    self.property(name, each.value)
            elif (place > most or (named and kind in allowed.POSITIONAL)) and not _NUMBERS.fullmatch(each.value):
                raise _RefusedError(f"value {each.value!r} has no name; write property=value")

    def property(self, name: str, value: str) -> None:
        """A property, of which the engine takes the beginning of the name as well."""
        known = next((each for each in allowed.REACHING if each.startswith(name)), None)
        if known is None:
            return
        what = allowed.REACHING[known]
        if what == allowed.FILE:
            found = self.named(value)
            if found is not None:
                self.data(found)
        elif what == allowed.TRACE and value[:1].lower() in ("n", "f"):
            return
        elif what != allowed.ACTION or value.lower() not in allowed.ACTIONS:
            raise _RefusedError(f"property {known}={value!r} is not allowed: it {what}")

    def values(self, given: Parameter) -> None:
        """Arrays that are read from files, such as ``mult=(file=a.csv)``, at any depth of brackets."""
        expected = len(_NAMES_FILE.findall(given.value))
        if not expected:
            return
        found = 0
        waiting = [given.value]
        while waiting:
            inner, _ = parameters(waiting.pop())
            for each in inner:
                if each.name.lower().endswith("file"):
                    found += 1
                    path = self.named(each.value)
                    if path is not None:
                        self.data(path)
                elif _NAMES_FILE.search(each.value):
                    waiting.append(each.value)
        if found != expected:
            raise _RefusedError(f"{given.value!r} cannot be checked; write (file=PATH)")


def _whole(word: str, allowed: frozenset[str], refused: frozenset[str], what: str) -> str:
    """The name that a word stands for: the engine takes the beginning of one as well."""
    name = word.lower() if word.isascii() else word
    if name in allowed:
        return name
    if name in refused:
        raise _RefusedError(f"{what} {word!r} is not allowed")
    meant = sorted(each for each in allowed | refused if each.startswith(name)) if name else []
    if not meant:
        raise _RefusedError(f"{what} {word!r} is not known")
    if len(meant) > 1:
        raise _RefusedError(f"{what} {word!r} could mean {', '.join(meant)}; write it out")
    return _whole(meant[0], allowed, refused, f"{what} {word!r}, short for")


def _class_of(element: str) -> str | None:
    """Class of an element's full name; None where it is not one that is known."""
    name, dot, _ = element.partition(".")
    return name.lower() if dot and name.lower() in allowed.CLASSES else None
