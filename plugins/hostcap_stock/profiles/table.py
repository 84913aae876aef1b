"""The profiles ``table``: readings of customers and named series from Parquet and CSV files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from hostcap._arrays import BoolArray, FloatArray
from hostcap.config import expand
from hostcap.errors import ProfileError
from hostcap.network import Network
from hostcap.operating_point import kvar_per_kw
from hostcap.profiles import InstantArray, NetImport, PowerProfiles, Series, Window, as_datetime, as_us
from hostcap_stock.profiles.config import ReadingsConfig, SeriesConfig, TableConfig
from hostcap_stock.profiles.files import TimedFile
from hostcap_stock.profiles.intake import times_of
from hostcap_stock.profiles.notes import noted
from hostcap_stock.profiles.owners import Owners, owners_of
from hostcap_stock.profiles.pool import Drawn, follow_pool
from hostcap_stock.profiles.readings import Readings, instants_of, named, opened, read
from hostcap_stock.profiles.rules import Asking, Filled, fill, to_read
from hostcap_stock.profiles.series import extent_of, read_series
from hostcap_stock.profiles.tally import Tally, tally_of

_LOG = logging.getLogger(__name__)
MOST_HELD = 1_500_000
"""Most readings (instants x customers) of a window that is held whole to be summed; it needs no compiled code."""


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
        return self._customers(network, window)

    def net_import(self, network: Network, window: Window) -> NetImport:
        """The feeder's net import in a window; a long one is summed as it is read.

        Raises:
            ProfileError: As ``customers``.
        """
        config = self._config()
        instants = instants_of(window, config.interval_minutes, "profiles.readings").size
        if instants * network.customers.id.size <= MOST_HELD:
            held = self._customers(network, window)
            return NetImport(instant=held.instant, kw=held.net_import_kw(), findings=held.findings, at=held.at)
        files = self._readings_files(config, network.feeder)
        owners, drawn = self._owners(config, files, network)
        asking = self._asking(config, files, owners, network.feeder)
        instant, kw, tally = _net()(config, network, owners, files, window, asking)

        def at(place: int) -> PowerProfiles:
            one = Window.of_instant(as_datetime(instant[place]))
            return self._customers(network, one, elsewhere=True)

        return NetImport(instant=instant, kw=kw, findings=noted(config, network, owners, drawn, tally), at=at)

    def _customers(self, network: Network, window: Window, *, elsewhere: bool = False) -> PowerProfiles:
        config = self._config()
        instants_of(window, config.interval_minutes, "profiles.readings")
        files = self._readings_files(config, network.feeder)
        owners, drawn = self._owners(config, files, network)
        raw = read(config, files, owners.ids, to_read(config, window))
        first = int(np.searchsorted(raw.instant.astype(np.int64), as_us(window.start), side="right"))
        asking = self._asking(config, files, owners, network.feeder)
        filled = fill(config, instant=raw.instant, values=raw.values, first=first, asking=asking, elsewhere=elsewhere)
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

    def _config(self) -> ReadingsConfig:
        if self.config.readings is None:
            raise ProfileError(
                "profiles: readings of customers are needed; add [profiles.readings] with files, interval_minutes, "
                "unit and the columns"
            )
        return self.config.readings

    def _asking(self, config: ReadingsConfig, files: list[TimedFile], owners: Owners, feeder: str) -> Asking:
        return Asking(
            needed=_needed(owners),
            followers=lambda place: _followers(owners, place),
            known=lambda: self._known(config, files, owners, feeder),
            extent=lambda: extent_of(files),
        )

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


@lru_cache(maxsize=1)
def _net() -> Callable[..., tuple[InstantArray, FloatArray, Tally]]:
    """What sums a long window; compiled on its first call, and said so."""
    from hostcap_stock.batched.compiling import cache_for_this_process, not_yet_compiled

    try:
        from hostcap_stock.profiles import kernels
    except RuntimeError:  # numba finds no folder to keep compiled code in
        cache_for_this_process()
        from hostcap_stock.profiles import kernels
    from hostcap_stock.profiles.net import net_of

    if folder := not_yet_compiled(kernels.add_rows):
        _LOG.warning("compiling the sums of long windows once for this machine, into %s", folder)
    return net_of


def _paths(files: tuple[Path, ...], feeder: str) -> list[Path]:
    return [expand(path, feeder) for path in files]


def _needed(owners: Owners) -> BoolArray:
    needed = np.zeros(len(owners.ids) + 1, dtype=bool)
    needed[owners.reading[owners.live]] = True
    return needed


def _followers(owners: Owners, place: int) -> list[str]:
    """The customers that need an id, as a user knows them: with the id, where it is another's name."""
    names = [owners.name[owner] for owner in np.flatnonzero((owners.reading == place) & owners.live)]
    if place == len(owners.ids):
        return [f"{name!r}, for whom the customer table names none," for name in names]
    own = owners.ids[place]
    return [repr(own) if own.casefold() == name.casefold() else f"{own!r} of customer {name!r}" for name in names]


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
