"""One OpenDSS engine, and all its hidden state, behind a few calls.

Each fact relied on here has a test named after it in tests/plugins/opendss/engine
(OpenDSSDirect.py 0.9.4, DSS C-API 0.14.5). Nothing of the engine leaves this package.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hostcap._arrays import ComplexArray, FloatArray, IntArray
from hostcap.errors import ModelError

MAX_CONTROL_ITERATIONS = 485
"""Number of the engine's error when its control loop does not settle."""
_KEPT_CONTEXTS: list[Any] = []
_LOCK = threading.RLock()


@contextmanager
def engine_errors_translated() -> Iterator[None]:
    """Whatever the engine raises while it is read becomes an error of hostcap."""
    from dss import DSSException

    try:
        yield
    except DSSException as error:
        raise ModelError(f"OpenDSS says {_message(error)}") from error


class ControlLoopError(Exception):
    """The control loop did not settle within its iterations."""


def kept_contexts() -> int:
    """Cleared engine contexts held for reuse; each keeps some memory that the engine never gives back."""
    return len(_KEPT_CONTEXTS)


def _message(error: Exception) -> str:
    """The engine's message as one line, with its number, file and line."""
    return " ".join(str(error).replace("\r", " ").split())


@contextmanager
def _working_directory_kept(dss: Any) -> Iterator[None]:
    """Load without moving the process: ``AllowChangeDir`` is one switch for all contexts, so set and restore it."""
    with _LOCK:
        allowed, folder = dss.Basic.AllowChangeDir(), Path.cwd()
        dss.Basic.AllowChangeDir(False)
        try:
            yield
        finally:
            dss.Basic.AllowChangeDir(allowed)
            if Path.cwd() != folder:
                os.chdir(folder)


class Engine:
    """An engine context of its own.

    A dropped context leaks its circuit (69 MB for a 22 000-node feeder), so contexts are cleared and used again.
    Use as a context manager, or call ``close``.
    """

    def __init__(self) -> None:
        with _LOCK:
            self._dss: Any = _KEPT_CONTEXTS.pop() if _KEPT_CONTEXTS else None
        if self._dss is None:
            import opendssdirect

            # A new context goes to the folder in which the library was imported, unless it may not.
            with _working_directory_kept(opendssdirect.dss):
                self._dss = opendssdirect.dss.NewContext()
            self._dss.Basic.AllowForms(False)
            self._dss.Basic.AllowEditor(False)
        self._arrays = self._dss.to_dss_python()
        self._arrays.AdvancedTypes = False
        util = self._dss._api_util
        self._ffi, self._raw, self._ctx = util.ffi, util.lib_unpatched, util.ctx

    @property
    def dss(self) -> Any:
        """The OpenDSSDirect interface, for reading the model inside this package."""
        if self._dss is None:
            raise ModelError("this OpenDSS engine was closed; freeze the network again")
        return self._dss

    def close(self) -> None:
        """Clear the circuit and keep the context for the next user."""
        if self._dss is not None:
            dss, self._dss = self._dss, None
            dss.Basic.ClearAll()
            with _LOCK:
                _KEPT_CONTEXTS.append(dss)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self, text: str) -> str:
        """Run one command of the engine's language.

        Raises:
            ControlLoopError: The control loop did not settle.
            ModelError: Any other refusal, with the engine's message.
        """
        try:
            self.dss.Text.Command(text)
        except Exception as error:
            if error.args and error.args[0] == MAX_CONTROL_ITERATIONS:
                raise ControlLoopError(_message(error)) from error
            raise ModelError(f"OpenDSS refused {text!r}: {_message(error)}") from error
        return str(self.dss.Text.Result())

    def forbid_programs(self) -> None:
        """Let no script run a program or change the folder, in the whole process, whatever its environment says."""
        self.dss.Basic.AllowDOScmd(False)
        self.dss.Basic.AllowChangeDir(False)

    def compile(self, master: Path, *, frequency_hz: float) -> None:
        """Load a model at a base frequency, leaving the process's working directory alone.

        Raises:
            ModelError: The file is missing, or the engine refuses a line of it.
        """
        if not master.is_file():
            raise ModelError(f"network.master: no file {master}; give the path of the OpenDSS master file")
        if '"' in str(master):
            raise ModelError(f"network.master: OpenDSS cannot open a path that holds a quote: {master}")
        with _working_directory_kept(self.dss):
            self.command("clear")
            # The base frequency outlives `clear` and is whatever this context used last: pin it at every load.
            self.command(f"set defaultbasefrequency={frequency_hz!r}")
            try:
                self.dss.Text.Command(f'compile "{master}"')
            except Exception as error:
                raise ModelError(f"{master}: OpenDSS says {_message(error)}") from error
        if self.dss.Basic.NumCircuits() == 0:
            raise ModelError(f"{master}: defines no circuit; expected an OpenDSS script with 'New Circuit.'")

    @contextmanager
    def folder_kept(self) -> Iterator[None]:
        """Run commands that may move the process's working directory."""
        with _working_directory_kept(self.dss):
            yield

    # Solving

    def solve(self) -> bool:
        """One solve by the engine's own settings.

        Returns:
            The engine's own verdict; non-convergence raises nothing, and floating dead nodes can keep it False.

        Raises:
            ControlLoopError: The control loop did not settle.
        """
        self.command("solve")
        return bool(self.dss.Solution.Converged())

    def build_matrix(self) -> None:
        """Let the engine rebuild Y where something changed it; this moves the voltage vector."""
        if self.dss.YMatrix.SystemYChanged():
            self.dss.Solution.SolveNoControl()

    def voltages(self) -> ComplexArray:
        """The engine's own voltage vector, V, writable; slot 0 is ground. Fetch again after Y was rebuilt."""
        size = int(self.dss.Circuit.NumNodes()) + 1
        pointer = self.dss.YMatrix.VVector()
        return np.frombuffer(self._ffi.buffer(pointer, 16 * size), dtype=np.complex128)

    def iterate(
        self, *, start: ComplexArray | None, live: IntArray, nominal_v: FloatArray, tolerance_pu: float, most: int
    ) -> tuple[bool, int, float]:
        """Fixed-point iterations from given voltages, without control actions, judged on live nodes.

        Args:
            start: Voltages to start from, with the ground slot; None goes on from the present ones.
            live: Slots of live nodes.
            nominal_v: Their nominal voltages, V.
            tolerance_pu: Largest change of a live node's complex voltage that counts as solved.
            most: Most iterations.

        Returns:
            Whether solved, iterations used, and the largest change in the last one, per unit.
        """
        solution = self.dss.Solution
        self.build_matrix()
        vector = self.voltages()
        if start is not None:
            vector[:] = start
        before = vector[live]
        change = float("inf")
        for iteration in range(1, most + 1):
            solution.SolveNoControl()
            now = vector[live]
            change = float(np.max(np.abs(now - before) / nominal_v, initial=0.0))
            if change <= tolerance_pu:
                return True, iteration, change
            if not np.isfinite(change):
                return False, iteration, change
            before = now
        return False, most, change

    def all_currents(self) -> ComplexArray:
        """Currents of every conductor of every power-delivery element, disabled ones (zeros) included, A."""
        if self.dss.PDElements.Count() == 0:
            return np.empty(0, dtype=np.complex128)  # the engine answers with one number there
        return np.asarray(self._arrays.ActiveCircuit.PDElements.AllCurrents, dtype=np.float64).view(np.complex128)

    # Loads, written in bulk without a rebuild of Y

    def load_pointers(self, load_names: Sequence[str]) -> FloatArray:
        """Pointers of loads, for ``set_loads``; they die with the circuit."""
        index = {name: i + 1 for i, name in enumerate(self.dss.Loads.AllNames())}
        pointers = np.empty(len(load_names), dtype=np.uint64)
        for place, name in enumerate(load_names):
            self.dss.Loads.Idx(index[name])
            pointers[place] = int(self._ffi.cast("uintptr_t", self._raw.ctx_Loads_Get_Pointer(self._ctx)))
        return pointers  # type: ignore[return-value]

    def set_loads(self, pointers: Any, kw: FloatArray, kvar: FloatArray) -> None:
        """Write kW and kvar (positive consumes) of some loads."""
        if pointers.size == 0:
            return
        batch = self._ffi.cast("void**", self._ffi.from_buffer(np.ascontiguousarray(pointers)))
        avoid_full_recalculation, set_value = 2, 0
        # kvar after kW, every time: setting kW keeps the power factor and so rescales kvar.
        for number, values in ((self._kw_property, kw), (self._kvar_property, kvar)):
            data = self._ffi.from_buffer("double[]", np.ascontiguousarray(values, dtype=np.float64))
            self._raw.Batch_Float64Array(batch, pointers.size, number, set_value, data, avoid_full_recalculation)

    @property
    def _kw_property(self) -> int:
        return self._load_property("kw")

    @property
    def _kvar_property(self) -> int:
        return self._load_property("kvar")

    def _load_property(self, name: str) -> int:
        known: dict[str, int] | None = self.__dict__.get("_load_properties")
        if known is None:
            self.dss.Loads.First()
            listed = self.dss.Element.AllPropertyNames()
            known = {each.lower(): place + 1 for place, each in enumerate(listed)}
            self.__dict__["_load_properties"] = known
        return known[name]

    # Reading

    def records(self, class_name: str) -> dict[str, dict[str, Any]]:
        """The engine's own record of what was set on each element of a class, by lower-case name."""
        if not self.dss.Circuit.SetActiveClass(class_name):
            return {}
        text = self.dss.ActiveClass.ToJSON(0x80)
        return {record["Name"].lower(): record for record in json.loads(text)} if text else {}
