"""The profiles ``table``: readings of customers and named series from Parquet and CSV files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np

from hostcap._arrays import BoolArray, FloatArray
from hostcap.config import expand
from hostcap.errors import ProfileError
from hostcap.network import Network
from hostcap.operating_point import kvar_per_kw
from hostcap.profiles import PowerProfiles, Series, Window, as_us
from hostcap_stock.profiles.config import ReadingsConfig, SeriesConfig, TableConfig
from hostcap_stock.profiles.files import TimedFile
from hostcap_stock.profiles.intake import times_of
from hostcap_stock.profiles.notes import noted
from hostcap_stock.profiles.owners import Owners, owners_of
from hostcap_stock.profiles.pool import Drawn, follow_pool
from hostcap_stock.profiles.readings import Readings, named, opened, read
from hostcap_stock.profiles.rules import LOOK_BACK_DAYS, Filled, fill
from hostcap_stock.profiles.series import extent_of, read_series
from hostcap_stock.profiles.tally import tally_of


class TableProfiles:
    """Readings and series of files. A window is read, never the whole; what was opened stays open.

    Attributes:
        config: Where the files are, and the rules.
    """

    def __init__(self, config: TableConfig) -> None:
        self.config = config
        self._open: dict[tuple[str, str], list[TimedFile]] = {}
        self._named: dict[str, set[str]] = {}

    def customers(self, network: Network, window: Window) -> PowerProfiles:
        """What every injector does in a window: its customer's import by loads, and the export likewise.

        A customer without a load exports from its generating elements. Power is a mean over the interval.

        Raises:
            ProfileError: Readings are missing or break a rule, and no setting says what to do.
        """
        config = self.config.readings
        if config is None:
            raise ProfileError(
                "profiles: readings of customers are needed; add [profiles.readings] with files, interval_minutes, "
                "unit and the columns"
            )
        files = self._readings_files(config, network.feeder)
        owners, drawn = self._owners(config, files, network)
        looked_back = config.missing == "previous"
        start = window.start - timedelta(days=LOOK_BACK_DAYS) if looked_back else window.start
        raw = read(config, files, owners.ids, Window(start=start, end=window.end))
        filled = fill(
            config,
            instant=raw.instant,
            values=raw.values,
            first=int(np.searchsorted(raw.instant.astype(np.int64), as_us(window.start), side="right")),
            needed=_needed(owners),
            label=lambda place: _label(owners, place),
            known=lambda: self._known(config, files, owners, network.feeder),
            extent=lambda: extent_of(files),
        )
        return _placed(config, network, owners, drawn, raw, filled)

    def series(self, network: Network, name: str, window: Window) -> Series:
        """A named series over a window.

        Raises:
            ProfileError: There is none of that name, or it does not cover the window.
        """
        config = self.config.series
        if config is None:
            raise ProfileError(
                f"profiles: series {name!r} is needed; add [profiles.series] with files and interval_minutes"
            )
        return read_series(config, self._series_files(config, network.feeder), name, window)

    def _readings_files(self, config: ReadingsConfig, feeder: str) -> list[TimedFile]:
        key = ("readings", feeder)
        if key not in self._open:
            self._open[key] = opened(config, _paths(config.files, feeder))
        return self._open[key]

    def _series_files(self, config: SeriesConfig, feeder: str) -> list[TimedFile]:
        key = ("series", feeder)
        if key not in self._open:
            columns = [] if config.name_column is None else [config.name_column]
            files = [TimedFile(path, times_of(config), texts=columns) for path in _paths(config.files, feeder)]
            for file in files:
                file.need(columns if config.name_column is None else [*columns, config.value_column])
            self._open[key] = files
        return self._open[key]

    def _owners(self, config: ReadingsConfig, files: list[TimedFile], network: Network) -> tuple[Owners, Drawn | None]:
        owners = owners_of(network, config.customer_id)
        if config.seed is None:
            return owners, None
        names = self._names(config, files, network.feeder)
        return follow_pool(owners, network.customers.id.size, network.feeder, names, config.seed)

    def _known(self, config: ReadingsConfig, files: list[TimedFile], owners: Owners, feeder: str) -> BoolArray:
        names = self._names(config, files, feeder)
        return np.asarray([*(each.casefold() in names for each in owners.ids), False])

    def _names(self, config: ReadingsConfig, files: list[TimedFile], feeder: str) -> set[str]:
        """Every name in the whole table, in folded case."""
        if feeder not in self._named:
            self._named[feeder] = named(config, files)
        return self._named[feeder]


def _paths(files: tuple[Path, ...], feeder: str) -> list[Path]:
    return [expand(path, feeder) for path in files]


def _needed(owners: Owners) -> BoolArray:
    needed = np.zeros(len(owners.ids) + 1, dtype=bool)
    needed[owners.reading[owners.live]] = True
    return needed


def _label(owners: Owners, place: int) -> str:
    """An id as a user knows it: of whom, where it is another's name."""
    whose = owners.name[int(np.flatnonzero(owners.reading == place)[0])]
    if place == len(owners.ids):
        return f"{whose!r}, for whom the customer table names none,"
    name = owners.ids[place]
    return repr(name) if name.casefold() == whose.casefold() else f"{name!r} of customer {whose!r}"


def _placed(
    config: ReadingsConfig, network: Network, owners: Owners, drawn: Drawn | None, raw: Readings, filled: Filled
) -> PowerProfiles:
    """Readings of owners as what their injectors do, and what there is to say of them."""
    values = filled.values
    if "net" in values:
        imported, exported = np.maximum(values["net"], 0.0), np.maximum(-values["net"], 0.0)
    else:
        nothing = np.zeros_like(next(iter(values.values())))
        imported, exported = values.get("import", nothing), values.get("export", nothing)
    import_kvar = values.get("import_kvar", _consumed(imported, config.import_power_factor))
    export_kvar = values.get("export_kvar", _consumed(exported, config.export_power_factor))
    of = owners.reading[owners.of]
    injectors = network.injectors

    def spread(power: FloatArray, share: FloatArray, model: FloatArray) -> FloatArray:
        spread_out: FloatArray = power[:, of] * share
        if filled.modelled.any():
            np.copyto(spread_out, np.broadcast_to(model, spread_out.shape), where=filled.modelled[:, of])
        spread_out.setflags(write=False)
        return spread_out

    return PowerProfiles(
        instant=filled.instant,
        interval_minutes=config.interval_minutes,
        load_kw=spread(imported, owners.consuming, injectors.load_kw),
        load_kvar=spread(import_kvar, owners.consuming, injectors.load_kvar),
        generation_kw=spread(exported, owners.generating, injectors.generation_kw),
        generation_kvar=spread(export_kvar, owners.generating, injectors.generation_kvar),
        findings=noted(config, network, owners, drawn, tally_of(raw, filled, imported, exported)),
    )


def _consumed(kw: FloatArray, power_factor: float | None) -> FloatArray:
    """The kvar consumed beside kW: sign(pf) x kW x tan(acos|pf|)."""
    if power_factor is None:
        return np.zeros_like(kw)
    return kw * kvar_per_kw(power_factor)
