"""``hostcap new-study``: a commented study file for a network, that runs as it is."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
from attrs import frozen

from hostcap.cli._files import refuse_existing, write_text
from hostcap.cli._show import errors_in_one_line
from hostcap.config.fields import folder_name
from hostcap.config.structure import config_fields, key_of, structure
from hostcap.config.study import StudyDocument
from hostcap.config.study_file import structure_study
from hostcap.config.toml_file import apply_overrides
from hostcap.errors import ConfigError, MissingBasesError, ModelError
from hostcap.plugins.extras import require_all
from hostcap.plugins.kinds import NetworkPlugin, NetworkSource, StudyPlugin
from hostcap.plugins.registry import Registry, default_registry

if TYPE_CHECKING:
    from hostcap.config.template import Choice
    from hostcap.network import Network

_FILE = click.Path(path_type=Path)
_FREQUENCY, _BASES = "frequency_hz", "voltage_bases_kv"
_USUAL_HZ = (50.0, 60.0)
LV_LIMITS_V = (216.0, 253.0)
"""230 V - 6 % and + 10 %: AS 61000.3.100."""
LV_LIMITS_PU = (0.95, 1.05)
"""Range A of ANSI C84.1."""
HV_LIMITS_PU = (0.94, 1.06)


@click.command(name="new-study")
@click.argument("network", type=_FILE)
@click.option("--out", type=_FILE, help="Study file to write; FEEDER.toml in this folder otherwise. Never overwritten.")
@click.option("--study", default="lv-headroom", show_default=True, help="Study that the file asks for.")
@click.option("--network", "source", default="opendss", show_default=True, help="Network source that reads NETWORK.")
@click.option("--feeder", help="Name of the feeder in results; the name of NETWORK's folder otherwise.")
@click.option("--frequency-hz", type=float, help="Base frequency, where the model does not state its own.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="A key of [network], such as voltage_bases_kv=[22.0,0.4]; may be repeated.",
)
@click.pass_context
def new_study(
    context: click.Context,
    network: Path,
    out: Path | None,
    study: str,
    source: str,
    feeder: str | None,
    frequency_hz: float | None,
    overrides: tuple[str, ...],
) -> None:
    """Write a commented study file for NETWORK, such as an OpenDSS master file."""
    registry = context.find_object(Registry) or default_registry()
    with errors_in_one_line():
        name = _feeder_name(network) if feeder is None else _named(feeder)
        target = out if out is not None else Path(f"{name}.toml")
        refuse_existing(target)
        record = registry.get(NetworkPlugin, source)
        studied = registry.get(StudyPlugin, study)
        require_all([(f"network {record.name!r}", record.extra), (f"study {studied.name!r}", studied.extra)])
        given = apply_overrides({}, overrides) | ({} if frequency_hz is None else {_FREQUENCY: frequency_hz})
        model = _read(record, network, name, given, target.absolute().parent)
        choices = _choices(studied, model, record.name, _relative(network, target))
        text, missing = _text(registry, studied, choices, name, target)
        write_text(target, text, replace=False)
        click.echo(f"study file: {target}")
        if missing:
            click.echo(f"fill in before it can run: {', '.join(missing)}")
        else:
            click.echo(f"look through it, then: hostcap check {target}; hostcap run {target}")


# Names and paths


def _named(feeder: str) -> str:
    try:
        folder_name(None, attrs.fields(StudyDocument).name, feeder)
    except ValueError as error:
        # The validator quotes the field of a study, which nobody typed here.
        raise ConfigError(f"--feeder: {str(error).partition(' ')[2]}") from error
    return feeder


def _feeder_name(network: Path) -> str:
    """The name of the folder that the network is in, where that can name a folder of results everywhere."""
    for name in (network.absolute().parent.name, network.stem):
        try:
            return _named(name)
        except ConfigError:
            continue
    raise ConfigError(f"{network}: neither the folder nor the file can name the feeder; give --feeder NAME")


def _relative(network: Path, target: Path) -> str:
    """The network as the study file says it: relative, unless ``..`` would lead elsewhere, as it does behind a link."""
    there, folder = os.path.abspath(network), os.path.abspath(target.parent)
    try:
        path = os.path.relpath(there, folder)
    except ValueError:  # on another drive of Windows
        return Path(there).as_posix()
    # The system follows links before it goes up, OpenDSS goes up first: the path has to mean the same to both.
    same = os.path.realpath(os.path.join(folder, path)) == os.path.realpath(there)
    return Path(path if same else there).as_posix()


# The network


@frozen(kw_only=True)
class _Model:
    """A network as it was read, the settings that made it readable, and where they come from.

    Attributes:
        network: The network.
        settings: Of its source; the path under ``path_key`` is absolute.
        path_key: Key of the path.
        notes: By key, for the study file.
    """

    network: Network
    settings: Mapping[str, Any]
    path_key: str
    notes: Mapping[str, str]


def _read(record: NetworkPlugin[Any], path: Path, feeder: str, given: Mapping[str, Any], folder: Path) -> _Model:
    """Load the network, with the bases that its source suggests where it has none.

    Args:
        record: Its source.
        path: Where it is.
        feeder: Name of the feeder.
        given: Settings of the source that the user gave.
        folder: Of the study file: relative paths of ``given`` start there.

    Raises:
        ConfigError: Its frequency is not known, or the source needs settings that are not known.
        ModelError: The network cannot be loaded.
    """
    fields = {key_of(a): a for a in config_fields(record.config)}
    path_key = next((key for key, a in fields.items() if a.type is Path and a.default is attrs.NOTHING), None)
    if path_key is None:
        raise ConfigError(f"--network {record.name}: reads no file; write its study file by hand")
    settings = {**given, path_key: str(path.absolute())}
    notes: dict[str, str] = {}

    def load() -> Network:
        try:
            return _loaded(record, settings, feeder, folder)
        except MissingBasesError as error:
            if not error.suggested or settings.get(_BASES):
                raise
            settings[_BASES] = list(error.suggested)
        notes[_BASES] = (
            "The model has none: these are the rated voltages of its source and transformers; mend where needed."
        )
        try:
            return _loaded(record, settings, feeder, folder)
        except ModelError as error:
            raise ModelError(
                f"the model has no voltage bases, and with {_BASES} = {settings[_BASES]}, the rated voltages of its"
                f" source and transformers: {error}; give others, such as --set {_BASES}=[22.0,0.4]"
            ) from error

    if _FREQUENCY not in fields:
        network = load()
    elif _FREQUENCY in settings:
        network = load()
        if not _same_hz(network, settings):
            raise ConfigError(
                f"--frequency-hz: the model itself sets {network.frequency_hz:g} Hz,"
                f" not {settings[_FREQUENCY]:g}; leave the option out"
            )
    else:
        network = _at_its_own_frequency(load, settings, path)
        notes[_FREQUENCY] = "The model's own."
    if _BASES in fields and not settings.get(_BASES):
        found = ", ".join(f"{kv:g}" for kv in _distinct(network.buses.nominal_kv))
        notes[_BASES] = f"The model has its own: {found} kV."
    return _Model(network=network, settings=settings, path_key=path_key, notes=notes)


def _at_its_own_frequency(load: Callable[[], Network], settings: dict[str, Any], path: Path) -> Network:
    """A model that keeps its frequency whatever it is loaded at states it; another would run at any.

    Raises:
        ConfigError: It states none.
        ModelError: It cannot be loaded at any usual frequency.
    """
    failed: list[ModelError] = []
    for hz in _USUAL_HZ:
        settings[_FREQUENCY] = hz
        try:
            network = load()
        except ModelError as error:  # at a frequency that is not its own, bases may not fit
            failed.append(error)
            continue
        if not _same_hz(network, settings):
            settings[_FREQUENCY] = network.frequency_hz
            return network
    if len(failed) == len(_USUAL_HZ):
        raise failed[0]
    raise ConfigError(f"{path}: the model does not state its frequency; give --frequency-hz 50 or 60")


def _same_hz(network: Network, settings: Mapping[str, Any]) -> bool:
    return math.isclose(network.frequency_hz, settings[_FREQUENCY])


def _loaded(record: NetworkPlugin[Any], settings: Mapping[str, Any], feeder: str, folder: Path) -> Network:
    made: NetworkSource = record.make(structure(settings, record.config, path="network", folder=folder))
    return made.load(feeder)


# What the file says


def _choices(study: StudyPlugin[Any], model: _Model, source: str, path: str) -> dict[str, list[Choice]]:
    from hostcap.config.template import Choice

    wanted = {
        "study": [Choice(plugin=study.name)],
        "network": [Choice(plugin=source, values={**model.settings, model.path_key: path}, notes=model.notes)],
        "constraints": [_voltage(model.network), Choice(plugin="thermal", values={"percent_of_rating": 100.0})],
    }
    return {table: choices for table, choices in wanted.items() if table == "study" or table in study.parts}


def _voltage(network: Network) -> Choice:
    """LV limits in volts where they enclose every nominal that they would watch, as the constraint asks; else in pu."""
    from hostcap.config.template import Choice

    watched = network.nodes.live & ~network.nodes.neutral & network.node_lv
    nominal_v = _distinct(network.nodes.nominal_v[watched])
    low, high = LV_LIMITS_V
    listed = ", ".join(f"{v:g}" for v in nominal_v) or "none"
    if all(low < v < high for v in nominal_v):
        unit, limits = "v", LV_LIMITS_V
        why = f"In volts (230 V - 6 % / + 10 %), as they enclose the nominal voltages of LV here: {listed} V."
    else:
        unit, limits = "pu", LV_LIMITS_PU
        why = f"Of nominal, as {low:g} to {high:g} V do not enclose the nominal voltages of LV here: {listed} V."
    return Choice(
        plugin="voltage",
        values={
            f"lv_min_{unit}": limits[0],
            f"lv_max_{unit}": limits[1],
            "hv_min_pu": HV_LIMITS_PU[0],
            "hv_max_pu": HV_LIMITS_PU[1],
        },
        notes={f"lv_min_{unit}": f"{why} A value to start from: put your own."},
    )


def _distinct(values: Any) -> list[float]:
    return sorted({float(f"{value:.4g}") for value in values})


def _text(
    registry: Registry, study: StudyPlugin[Any], choices: Mapping[str, Sequence[Choice]], feeder: str, target: Path
) -> tuple[str, tuple[str, ...]]:
    """Text of the file, and the required keys that are left to fill in.

    Raises:
        ConfigError: Nothing is left to fill in, and yet no study can be read from it.
    """
    from hostcap.config.template import required_keys, study_template

    name = f"{feeder}-{study.name}"
    heading = (
        f"{study.summary}: a study of {feeder} to start from, written by `hostcap new-study`.\n"
        "A line `#key = value` shows a default: take the # away to set another value.\n"
        f"`hostcap check {target.name}` loads the network and solves its start; `hostcap run {target.name}` gives the"
        f" results, in results/{name} beside this file.\n"
        "`hostcap plugins` lists what else can stand behind `plugin`, `hostcap plugins show KIND NAME` its keys."
    )
    scope = {"feeders": [feeder], "year": datetime.now(UTC).year}
    text = study_template(registry, heading=heading, name=name, scope=scope, choices=choices)
    missing = required_keys(registry, choices)
    if not missing:
        structure_study(tomllib.loads(text), target.absolute().parent, registry)
    return text, missing
