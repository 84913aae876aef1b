"""The network source ``opendss``: load a feeder as a ``Network``, freeze it at an operating point."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import numpy as np
from attrs import frozen

from hostcap._arrays import update_hash
from hostcap.errors import HostcapError, ModelError
from hostcap.findings import Finding, Severity, some
from hostcap.network import Network, Origin
from hostcap.operating_point import OperatingPoint
from hostcap.power_flow import Settling
from hostcap_stock.networks.customers import read_customer_table
from hostcap_stock.opendss.commanded import run_commands
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.engine import ControlLoopError, Engine, engine_errors_translated
from hostcap_stock.opendss.frozen import FrozenOpenDss
from hostcap_stock.opendss.model import CONTROL_CLASSES, GENERATING_CLASSES, read_model
from hostcap_stock.opendss.network import NetworkOptions, build_network
from hostcap_stock.opendss.overrides import (
    at_power_factors,
    edit_laws,
    edit_power_factors,
    set_bands,
    snapshot_at_power_factors,
)
from hostcap_stock.opendss.redirects import refuse_redirect_loops
from hostcap_stock.opendss.shapes import update_shapes_hash
from hostcap_stock.opendss.trust import copy_file, copy_model

DEFAULT_SETTLING = Settling()


def for_feeder(path: Path, feeder: str) -> Path:
    """A path with ``{feeder}`` filled in."""
    return Path(str(path).replace("{feeder}", feeder))


@frozen(kw_only=True)
class OpenDssSource:
    """Loads OpenDSS models. Picklable: it holds settings alone, and opens an engine when asked."""

    config: OpenDssConfig
    copy_of: OpenDssConfig | None = None
    """Settings that name the user's files, where ``config`` names checked copies of them."""

    def contained(self, feeder: str, *, inside: Path, scratch: Path) -> OpenDssSource:
        """The source of one feeder's model, checked and copied to ``scratch``.

        Raises:
            ModelError: The model says what cannot be contained.
        """
        config = self.config
        master = copy_model(for_feeder(config.master, feeder), inside=inside, scratch=scratch)
        customers = config.customers
        if customers is not None:
            customers = copy_file(for_feeder(customers, feeder), inside=inside, scratch=scratch)
        return OpenDssSource(config=attrs.evolve(config, master=master, customers=customers), copy_of=config)

    def load(self, feeder: str) -> Network:
        """Load one feeder and describe it.

        Raises:
            ModelError: The model is missing, unreadable, or its voltage bases are missing or do not fit.
        """
        findings: list[Finding] = []
        options = self._options(feeder)
        with engine_errors_translated(), Engine() as engine:
            self._open(engine, feeder)
            self._first_solve(engine, findings)
            model = read_model(engine)
            self._note_settings(model.frequency_hz, findings)
            network = build_network(model, feeder=feeder, options=options, findings=findings)
            network = snapshot_at_power_factors(network, self.config)
            content = self._content_hash(engine, network, feeder)
        return attrs.evolve(network, origin=Origin(source=self, feeder=feeder, content_hash=content))

    def freeze(
        self, network: Network, operating_point: OperatingPoint, settling: Settling = DEFAULT_SETTLING
    ) -> FrozenOpenDss:
        """Open the engine afresh, apply the point, solve with controls, and freeze.

        Raises:
            NotConvergedError: The start has no solution.
            ModelError: The model no longer loads, or is another than the network's.
        """
        engine = Engine()
        try:
            with engine_errors_translated():
                self._open(engine, network.feeder)
                point = at_power_factors(operating_point, self.config)
                held = self.config.generation_power_factor is not None
                return FrozenOpenDss(engine, network, point, settling, generation_held=held)
        except BaseException:
            engine.close()
            raise

    @contextmanager
    def opened(self, feeder: str) -> Iterator[Engine]:
        """An engine that has just loaded the model of a feeder, for other parts of this package."""
        with Engine() as engine:
            self._open(engine, feeder)
            yield engine

    def _options(self, feeder: str) -> NetworkOptions:
        config = self.config
        table = read_customer_table(for_feeder(config.customers, feeder)) if config.customers else None
        return NetworkOptions(
            neutral_numbers=frozenset(config.neutral_nodes),
            unrated_default=config.unrated == "engine-default",
            emergency_factor=config.emergency_factor,
            nameplate=config.transformer_rating == "nameplate",
            customer_table=table,
        )

    def _open(self, engine: Engine, feeder: str) -> None:
        config = self.config
        if self.copy_of is not None:
            engine.forbid_programs()
        refuse_redirect_loops(for_feeder(config.master, feeder))
        engine.compile(for_feeder(config.master, feeder), frequency_hz=config.frequency_hz)
        with engine.folder_kept():
            if config.voltage_bases_kv:
                engine.command(f"set voltagebases=[{', '.join(repr(float(kv)) for kv in config.voltage_bases_kv)}]")
                engine.command("calcvoltagebases")
            set_bands(engine, config)
            edit_laws(engine, config)
            run_commands(engine, config.commands)
            if engine.dss.Basic.NumCircuits() == 0:
                raise ModelError("network.commands: no circuit is left after them; leave out 'clear'")
        edit_power_factors(engine, config)

    def _first_solve(self, engine: Engine, findings: list[Finding]) -> None:
        """Ratings, switch states and inverter powers are only known after a solve; the start is solved afresh."""
        year = int(engine.dss.Solution.Year())
        if year != 0:
            raise ModelError(
                f"the model sets year={year}, at which OpenDSS grows every load, growth steps included; "
                'add commands = ["set year=0"] to [network], and state the loads of that year'
            )
        engine.command("set mode=snapshot")
        settling = Settling()
        engine.command(f"set maxiterations={settling.max_iterations}")
        engine.command(f"set maxcontroliter={settling.max_control_iterations}")
        try:
            converged = engine.solve()
        except ControlLoopError:
            converged = False
        if not converged:
            findings.append(
                Finding(
                    severity=Severity.WARNING,
                    code="model-does-not-converge",
                    message="the model as it is does not converge; its snapshot and inverter powers are unreliable",
                )
            )

    def _note_settings(self, frequency_hz: float, findings: list[Finding]) -> None:
        if not math.isclose(frequency_hz, self.config.frequency_hz):
            findings.append(
                Finding(
                    severity=Severity.WARNING,
                    code="frequency-of-file",
                    message=f"the model sets {frequency_hz:g} Hz itself, the study says "
                    f"{self.config.frequency_hz:g} Hz; the model's is used: make network.frequency_hz agree",
                )
            )
        if self.config.commands:
            findings.append(
                Finding(
                    severity=Severity.INFO,
                    code="engine-commands",
                    element=some(list(self.config.commands)),
                    count=len(self.config.commands),
                    message="engine commands of the study file ran after loading",
                )
            )

    def _content_hash(self, engine: Engine, network: Network, feeder: str) -> str:
        """SHA-256 of the model after loading, and of the files that the study names."""
        digest = hashlib.sha256()
        update_hash(digest, attrs.evolve(network, findings=(), origin=None))
        y = engine.dss.YMatrix.getYsparse(factor=False)
        if y is None:
            raise ModelError(f"feeder {feeder!r}: OpenDSS gives no admittance matrix")
        for part in y:
            update_hash(digest, np.asarray(part))
        for kind in (*CONTROL_CLASSES, *GENERATING_CLASSES, "Load", "XYCurve"):
            update_hash(digest, engine.records(kind))
        update_shapes_hash(digest, engine)
        named = self.copy_of or self.config
        for path in (named.master, named.customers):
            if path is not None:
                try:
                    digest.update(for_feeder(path, feeder).read_bytes())
                except OSError as error:
                    raise HostcapError(f"{path}: cannot be read: {error}") from error
        return digest.hexdigest()
