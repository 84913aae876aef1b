"""The parts: settings as frozen attrs classes, which do the work themselves; numpy is imported by the work."""

from attrs import field, frozen

from hostcap.config import about, between, positive


@frozen(kw_only=True)
class VoltageUnbalance:
    """Negative over positive sequence voltage of every three-phase bus."""

    max_percent: float = field(
        default=2.0, validator=between(0.01, 100.0), metadata=about("Most unbalance; IEC 61000-2-2 says 2", unit="%")
    )

    def limits(self, network):
        """One row for each live three-phase bus."""
        import numpy as np

        from hostcap_example.unbalance import Unbalance

        nodes = network.nodes
        place = np.full((network.buses.name.size, 4), -1)
        phase = np.flatnonzero(nodes.live & ~nodes.neutral & (nodes.number <= 3))
        place[nodes.bus[phase], nodes.number[phase]] = phase
        buses = np.flatnonzero((place[:, 1:] >= 0).all(axis=1))
        return [Unbalance.of(network, buses, place[buses, 1:], self.max_percent)] if buses.size else []


@frozen(kw_only=True)
class NeutralCurrent:
    """Current of every neutral conductor of a line, at both ends."""

    max_a: float = field(default=60.0, validator=positive, metadata=about("Most current of a neutral", unit="A"))

    def limits(self, network):
        """One row for each end of each neutral conductor."""
        import numpy as np

        from hostcap.limit_rows import conductor_rows

        conductors, nodes = network.conductors, network.nodes
        at = np.maximum(conductors.node, 0)
        line = network.equipment.kind[conductors.equipment] == "Line"
        seen = np.flatnonzero(line & (conductors.node >= 0) & nodes.neutral[at] & nodes.live[at])
        if seen.size == 0:
            return []
        words = f"neutral <= {self.max_a:g} A"
        return [conductor_rows(network, seen, upper=self.max_a, metric="neutral-current", description=words)]


@frozen(kw_only=True)
class ByPhases:
    """Customers on one phase grow less than those on three."""

    one_phase_weight: float = field(
        default=0.5, validator=between(0.0, 1.0), metadata=about("Weight of customers on one phase; others weigh 1")
    )
    scaled: bool = field(default=True, init=False)

    def weights(self, frozen):
        """Weight of each customer, shape (customer,)."""
        import numpy as np

        phases = np.asarray([len(code) for code in frozen.network.customers.phase_code])
        return np.where(phases > 1, 1.0, self.one_phase_weight)


@frozen(kw_only=True)
class OneFile:
    """All tables of a feeder in one text file, each as CSV below its name."""

    ending: str = field(default="txt", metadata=about("Ending of the file's name"))

    def write(self, folder, chunk):
        """Write one chunk, whole or not at all."""
        import io
        from contextlib import suppress
        from pathlib import Path

        import pyarrow.csv

        from hostcap.errors import OutputError

        text = io.BytesIO()
        for table in chunk.tables:
            text.write(f"# {table.name}\n".encode())
            pyarrow.csv.write_csv(table.to_arrow(), text)
        place = Path(folder) / f"{chunk.scenario}-{chunk.feeder}-{chunk.year}.{self.ending}"
        beside = place.with_name(place.name + ".part")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(text.getvalue())
            beside.replace(place)
        except OSError as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise OutputError(f"{folder}: cannot write results: {error.strerror or error}") from error
