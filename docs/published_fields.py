"""What the published work packages of headroom can say, and how a study file of hostcap says it.

One row for each published field; ``published_page`` makes ``reference/published-fields.md`` of them. In words,
``{table.plugin.key}`` names a key of a plugin's settings, ``{scope.key}`` one of a table that has no plugin, and
``{table=plugin}`` a plugin; all must exist, or no page is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from attrs import frozen

from hostcap.config.describe import describe
from hostcap.config.study import Scope
from hostcap.config.variants import Project, Variant
from hostcap.plugins import KINDS, REPEATED, Registry


class How(StrEnum):
    """Whether a study file says it."""

    HERE = "here"
    ALWAYS = "always so"
    NOT_YET = "not yet"


@frozen
class Row:
    """One published field, or one value of a published enumeration.

    Attributes:
        name: As published.
        how: Whether a study file says it.
        words: How to say it; why there is nothing to say; or why not yet.
    """

    name: str
    how: How
    words: str


def here(name: str, words: str) -> Row:
    """A study file says it."""
    return Row(name, How.HERE, words)


def always(name: str, words: str) -> Row:
    """It holds without being said."""
    return Row(name, How.ALWAYS, words)


def not_yet(name: str, words: str) -> Row:
    """It cannot be said."""
    return Row(name, How.NOT_YET, words)


_CONSTRAINTS = here("constraints", "One table `[[constraints]]` for each kind of limit; a study without any is refused")
_INITIAL = here("initialStateSelector", "Table `[initial_state]`")
_INJECTION = here("injectionResource", "Table `[injection]`")
_MODEL = here("model", "Table `[network]`; see below")
_SOLVE = here("solve", "Tables `[network]` and `[solver]`; see below")
_SYF = here("syf", "Table `[scope]`: feeders, scenario and year")
_WRITER = here("resultsWriter", "Tables `[[writers]]`; {writers=parquet} where none is given")
_VARIANT = here(
    "variant",
    "{scope.variant}: a table under `[variants]`, which selects among `[[projects]]`; or another model, by "
    "`{{variant}}` in paths",
)

_SIMPLER = (
    "The model is solved as it is written. Nothing here needs it smaller: "
    "CRE21 with all its LV networks is solved whole"
)
_REPAIR = (
    "Input is never changed silently. A model that needs it is mended in its files, or with "
    "{network.opendss.commands}, which the findings list"
)
_REGULATORS = (
    "Regulators are those of the model; they act as the start is solved, and are frozen. Add or edit one with "
    "{network.opendss.commands}"
)
_FALLBACK = (
    "{profiles.table.readings.missing} and {profiles.table.readings.missing_customers} say what stands in for readings "
    "that are not there; a profile of its own is not among the rules"
)
_FROM_ASSETS = (
    "It serves the making of a model from an asset register. hostcap is given a model, in which this is already decided"
)
_FORECAST = "It serves scenarios of future years. There are none yet: `scenario` is `base`"
_VOLTS = (
    "by the engine's own meters and reports. Limits of a study are those of {constraints=voltage} alone, there and here"
)

FIELDS: Mapping[str, tuple[Row, ...]] = {
    "IntrinsicWorkPackageInput": (
        here("allocation", "Table `[allocation]`; {allocation=uniform} where it is left out"),
        always(
            "capacityGroupPlacement",
            "Write nothing: it has one value, and groups are headed by distribution transformers here too",
        ),
        _CONSTRAINTS,
        _INITIAL,
        _INJECTION,
        _MODEL,
        _WRITER,
        here("search", "Table `[study]` with {study=lv-headroom}"),
        _SOLVE,
        _SYF,
        _VARIANT,
    ),
    "HvNodeHeadroomWorkPackageInput": (
        _CONSTRAINTS,
        _INITIAL,
        _INJECTION,
        _MODEL,
        here("nodeLocationSelector", "Table `[study]` with {study=hv-node-headroom}"),
        _WRITER,
        here("search", "Table `[study]` with {study=hv-node-headroom}"),
        _SOLVE,
        _SYF,
        _VARIANT,
    ),
    "IntrinsicAllocationConfigInput": (
        here("method", "{allocation=uniform} or {allocation=weighted}"),
        here("scope", "{allocation.weighted.scope}: `feeder-wide` or `within-group`; required there too"),
        here(
            "existingCapacityBasis",
            "{allocation.weighted.basis}: `existing-export` or `existing-import`; or {allocation.weighted.column} for "
            "numbers of your own",
        ),
    ),
    "IntrinsicConstraintsConfigInput": (
        here("thermal", "A table `[[constraints]]` with {constraints=thermal}"),
        here("voltage", "A table `[[constraints]]` with {constraints=voltage}"),
    ),
    "IntrinsicThermalConstraintsInput": (
        here("hv", '{constraints.thermal.voltage_level} `"hv"`; give the table twice for two limits'),
        here("lv", '{constraints.thermal.voltage_level} `"lv"`'),
    ),
    "IntrinsicThermalConstraintInput": (
        here("percentOfRating", "{constraints.thermal.percent_of_rating}"),
        here("ratingBasis", "{constraints.thermal.rating_basis}"),
    ),
    "IntrinsicVoltageConstraintsInput": (
        here("hv", "{constraints.voltage.hv_min_pu}, {constraints.voltage.hv_max_pu}; a side left out is not watched"),
        here("lv", "{constraints.voltage.lv_min_v}, {constraints.voltage.lv_max_v}; or per unit"),
    ),
    "IntrinsicHvVoltageConstraintInput": (
        here("minPu", "{constraints.voltage.hv_min_pu}; no default, as limits have none"),
        here("maxPu", "{constraints.voltage.hv_max_pu}; no default"),
    ),
    "IntrinsicLvVoltageConstraintInput": (
        here("min", "{constraints.voltage.lv_min_v} in volts, phase to neutral; or {constraints.voltage.lv_min_pu}"),
        here("max", "{constraints.voltage.lv_max_v}; or {constraints.voltage.lv_max_pu}"),
        here(
            "measurementType",
            "{constraints.voltage.lv_measurement}, with {constraints.voltage.lv_percentile}; left out, magnitude. The "
            "percentile is over the LV nodes of each capacity group",
        ),
    ),
    "IntrinsicInitialLoadStateConfigInput": (
        here(
            "selectorMode",
            "{initial_state=zero-load}, {initial_state=fixed-load}, {initial_state=fixed-time}, "
            "{initial_state=peak-import}, {initial_state=peak-export}; and, not published, {initial_state=as-modelled} "
            "and {initial_state=instants}",
        ),
        here(
            "startTime",
            "{initial_state.fixed-time.start_time}, in every initial state; with an offset, an instant stands for the "
            "interval that ends there. Optional where nothing follows it",
        ),
        here("endTime", "{initial_state.peak-import.end_time}"),
        here("includeLoads", "{initial_state.fixed-time.include_loads}"),
        here("includeExistingDer", "{initial_state.fixed-time.include_existing_der}; it means net export here too"),
        here("loadScalingFactor", "{initial_state.fixed-time.load_scaling_factor}"),
        here("derScalingFactor", "{initial_state.fixed-time.der_scaling_factor}"),
        here(
            "perCustomerLoadWatts",
            "{initial_state.fixed-load.load_kw_per_customer}, in kW; it or the generation is required",
        ),
        here("perCustomerGenWatts", "{initial_state.fixed-load.generation_kw_per_customer}, in kW"),
        here("perCustomerLoadVar", "{initial_state.fixed-load.load_kvar_per_customer}, in kvar"),
        here("perCustomerGenVar", "{initial_state.fixed-load.generation_kvar_per_customer}, in kvar"),
    ),
    "IntrinsicInjectionResourceConfigInput": (
        here("method", "{injection.negative-load.direction}; {injection=pv-system} exports"),
        here("loadModelType", "{injection=negative-load} or {injection=pv-system}"),
        here(
            "pvProfileId",
            "{injection.pv-system.profile}, a series of {profiles.table.series.files}; the profile's own ratio and "
            "efficiency are {injection.pv-system.dc_ac_ratio} and {injection.pv-system.efficiency}",
        ),
        here("powerFactor", "{injection.negative-load.power_factor}, of either injection; same signs"),
        always(
            "phaseMatching",
            "Write nothing: it has one value, and growth has the phases of the customer's loads here too",
        ),
    ),
    "IntrinsicSearchConfigInput": (
        here("stepKwPerCustomer", "{study.lv-headroom.step_kw_per_customer}"),
        here("maxSteps", "{study.lv-headroom.max_steps}"),
        here("stopOnHvViolation", "{study.lv-headroom.stop_on_hv_violation}"),
        here("lockOutCapacityZoneOnViolation", "{study.lv-headroom.lock_group_on_violation}"),
    ),
    "HvNodeLocationSelectorInput": (
        here("locationKinds", "{study.hv-node-headroom.location_kinds}; a subset by name is `location_names`"),
    ),
    "HvNodeHeadroomSearchConfigInput": (
        here("stepKwPerNode", "{study.hv-node-headroom.step_kw_per_node}"),
        here("maxStepsPerNode", "{study.hv-node-headroom.max_steps_per_node}"),
    ),
    "IntrinsicSyfConfigInput": (
        here("feeders", "{scope.feeders}; the names stand in for `{{feeder}}` in paths"),
        here("scenario", "{scope.scenario}; `base` alone until a scenario plugin exists"),
        here("year", "{scope.year}: projects of the variant that are commissioned by then are built; else a label"),
    ),
    "IntrinsicWriterConfigInput": (
        here(
            "writerType",
            "{writers=parquet}, {writers=csv}, or {writers=postgres} of `hostcap[postgres]`; "
            "{writers.parquet.tables} keeps a chosen few, of any of them",
        ),
    ),
    "HcSolveConfigInput": (
        here("normVMinPu", "{network.opendss.normal_vmin_pu}: " + _VOLTS),
        here("normVMaxPu", "{network.opendss.normal_vmax_pu}: " + _VOLTS),
        here("emergVMinPu", "{network.opendss.emergency_vmin_pu}: " + _VOLTS),
        here("emergVMaxPu", "{network.opendss.emergency_vmax_pu}: " + _VOLTS),
        here("baseFrequency", "{network.opendss.frequency_hz}; required"),
        here("voltageBases", "{network.opendss.voltage_bases_kv}; left out, the model's own"),
        here("maxIter", "{solver.batched.max_iterations}, of either solver"),
        here("maxControlIter", "{solver.batched.max_control_iterations}, of either solver"),
        here(
            "mode",
            "Each state is a snapshot. A stretch of time is {initial_state=instants}, over readings of any stretch: "
            "day or year is the window of {initial_state.instants.start_time} and {initial_state.instants.end_time}",
        ),
        here(
            "stepSizeMinutes",
            "{profiles.table.readings.interval_minutes}: that of the readings, which are not resampled",
        ),
    ),
    "HcModelConfigInput": (
        not_yet("calibration", "There is no calibration of taps"),
        not_yet("closedLoopTimeDelay", _REGULATORS),
        not_yet("closedLoopVBand", _REGULATORS),
        not_yet("closedLoopVLimit", _REGULATORS),
        not_yet("closedLoopVRegEnabled", _REGULATORS),
        not_yet("closedLoopVRegReplaceAll", _REGULATORS),
        not_yet("closedLoopVRegSetPoint", _REGULATORS),
        not_yet("collapseLvNetworks", _SIMPLER),
        not_yet("collapseNegligibleImpedances", _SIMPLER),
        not_yet("collapseSWER", _SIMPLER),
        not_yet("combineCommonImpedances", _SIMPLER),
        not_yet("ctPrimScalingFactor", _REGULATORS),
        not_yet("defaultGenVar", _FALLBACK),
        not_yet("defaultGenWatts", _FALLBACK),
        not_yet("defaultLoadVar", _FALLBACK),
        not_yet("defaultLoadWatts", _FALLBACK),
        not_yet("defaultTapChangerBand", _REGULATORS),
        not_yet("defaultTapChangerSetPointPu", _REGULATORS),
        not_yet("defaultTapChangerTimeDelay", _REGULATORS),
        here(
            "emergAmpScaling",
            "{network.opendss.emergency_factor}, for lines that state no emergency rating of their own",
        ),
        not_yet("feederScenarioAllocationStrategy", _FORECAST),
        not_yet("fixOverloadingConsumers", _REPAIR),
        not_yet("fixSinglePhaseLoads", _REPAIR),
        not_yet("fixUndersizedLvLines", _REPAIR),
        not_yet("fixUndersizedServiceLines", _REPAIR),
        here(
            "genVMaxPu",
            "{network.opendss.generation_vmax_pu}, for the model's generating elements; generation that an initial "
            "state adds has constant power",
        ),
        here("genVMinPu", "{network.opendss.generation_vmin_pu}, likewise"),
        not_yet("inverterControlConfig", "Inverter controls are those of the model, frozen at the start"),
        here(
            "loadIntervalLengthHours",
            "{profiles.table.readings.interval_minutes}: any length that divides a day, in minutes",
        ),
        here(
            "loadModel",
            "{network.opendss.load_model}, with the same numbers; {solver=batched} takes 1 to 5, {solver=opendss} all",
        ),
        not_yet("loadPlacement", _FROM_ASSETS + ". {network.opendss.customers} joins several loads into one customer"),
        here("loadVMaxPu", "{network.opendss.load_vmax_pu}; left out, the model's own"),
        here("loadVMinPu", "{network.opendss.load_vmin_pu}; left out, the model's own"),
        not_yet("maxGenTxRatio", _REPAIR),
        not_yet("maxLoadLvLineRatio", _REPAIR),
        not_yet("maxLoadServiceLineRatio", _REPAIR),
        not_yet("maxLoadTxRatio", _REPAIR),
        not_yet("maxSinglePhaseLoad", _REPAIR),
        not_yet(
            "meterPlacementConfig", "Results are by capacity group, asset and customer; there are no further zones"
        ),
        not_yet("negligibleImpedanceMinHvThreshold", _SIMPLER),
        not_yet("negligibleImpedanceMinLvThreshold", _SIMPLER),
        here("pFactorBaseExports", "{network.opendss.generation_power_factor}; it overrides everything else here too"),
        here("pFactorBaseImports", "{network.opendss.load_power_factor}; likewise"),
        not_yet("pFactorForecastPv", _FORECAST),
        not_yet("ratingThreshold", "Ratings are those that the model states, each by itself"),
        here(
            "seed",
            "{network.pandapower.seed}, of functions that make a net at random; and {profiles.table.readings.seed}, of "
            "whose readings a customer without any follows. Nothing else is drawn: the same input gives the same "
            "model, ids and tables",
        ),
        not_yet("simplifyNetwork", _SIMPLER),
        not_yet("simplifyPLSIThreshold", _SIMPLER),
        not_yet("splitPhaseDefaultLoadLossPercentage", _FROM_ASSETS),
        not_yet("splitPhaseLVKV", _FROM_ASSETS),
        not_yet("swerVoltageToLineVoltage", _FROM_ASSETS),
        not_yet("transformerTapSettings", "Taps are those of the model; set others with {network.opendss.commands}"),
        not_yet(
            "useSpanLevelThreshold", "A model states one normal rating a line; lines that state none are not watched"
        ),
        not_yet("vmPu", "The source's voltage is that of the model; set another with {network.opendss.commands}"),
        not_yet("windowFillMissingLoad", _FALLBACK),
    ),
    "HcVariantConfigInput": (
        here("externalDrivers", "{variants.drivers}, of {projects.driver}"),
        here("externalStatuses", "{variants.statuses}, of {projects.status}"),
        here("maxConflictScore", "{variants.max_conflict_score}, of {projects.conflict_score}, which you state"),
        here("scheduleAssumption", "{variants.schedule_assumption}, of {projects.commissioning_year}, a year"),
    ),
}
"""Fields by published type: the two work packages, and what they are made of."""

VALUES: Mapping[str, tuple[Row, ...]] = {
    "IntrinsicAllocationMethod": (
        here("UNIFORM_PER_INCLUDED_CUSTOMER", "{allocation=uniform}"),
        here("WEIGHTED_BY_EXISTING_CUSTOMER", "{allocation=weighted}"),
    ),
    "IntrinsicAllocationScope": (
        here("FEEDER_WIDE", '{allocation.weighted.scope} `"feeder-wide"`'),
        here("WITHIN_MEASUREMENT_ZONE", '{allocation.weighted.scope} `"within-group"`'),
    ),
    "IntrinsicExistingCapacityBasis": (
        here("EXISTING_EXPORT_KW", '{allocation.weighted.basis} `"existing-export"`'),
        here("EXISTING_IMPORT_KW", '{allocation.weighted.basis} `"existing-import"`'),
    ),
    "IntrinsicCapacityGroupPlacementType": (always("DIST_TRANSFORMERS", "The only placement, there and here"),),
    "IntrinsicInitialStateSelectorMode": (
        here("ZERO_LOAD", "{initial_state=zero-load}"),
        here("FIXED_LOAD", "{initial_state=fixed-load}"),
        here("PEAK_FEEDER_IMPORT", "{initial_state=peak-import}"),
        here("PEAK_FEEDER_EXPORT", "{initial_state=peak-export}"),
        here("FIXED_TIME", "{initial_state=fixed-time}"),
    ),
    "IntrinsicInjectionResourceMethod": (
        here("EXPORT_GENERATION", '{injection.negative-load.direction} `"export"`'),
        here("IMPORT_LOAD", '{injection.negative-load.direction} `"import"`; `"both"` makes two searches'),
    ),
    "IntrinsicLoadModelType": (
        here("NEGATIVE_LOAD", "{injection=negative-load}"),
        here("PV_SYSTEM", "{injection=pv-system}; headroom is then in kW of installed panels"),
    ),
    "IntrinsicPhaseMatching": (always("MATCH_CUSTOMER_PHASES", "The only matching, there and here"),),
    "IntrinsicRatingBasis": (
        here("NORMAL", '{constraints.thermal.rating_basis} `"normal"`'),
        here("EMERGENCY", '{constraints.thermal.rating_basis} `"emergency"`'),
    ),
    "LvConstraintMeasurementType": (
        here("MAGNITUDE", '{constraints.voltage.lv_measurement} `"magnitude"`: every watched node counts'),
        here(
            "PERCENTILE",
            '{constraints.voltage.lv_measurement} `"percentile"`: it is not documented what the percentile is taken '
            "over; here it is the nodes of a group, by nearest rank, as the headroom method says",
        ),
    ),
    "HvNodeLocationKind": (
        here("DTX_HV_TERMINAL", '{study.hv-node-headroom.location_kinds} `"dtx-hv-terminal"`'),
        here("SWITCH_UPSTREAM_TERMINAL", '`"switch-upstream-terminal"` of the same key'),
        here("LINE_TEE", '`"line-tee"` of the same key'),
    ),
    "HcSolveMode": (
        here("YEARLY", "{initial_state=instants} over a window of a year"),
        here("DAILY", "{initial_state=instants} over a window of a day"),
    ),
    "HcWriterType": (
        here("POSTGRES", "{writers=postgres} of `hostcap[postgres]`; an environment variable names the database"),
        here("PARQUET", "{writers=parquet}"),
    ),
    "VariantScheduleAssumption": (
        here("NEUTRAL", '{variants.schedule_assumption} `"neutral"`'),
        here(
            "CONSERVATIVE",
            '{variants.schedule_assumption} `"conservative"`: {projects.conservative_year}, or '
            "{variants.schedule_margin_years} later",
        ),
        here(
            "AGGRESSIVE",
            '{variants.schedule_assumption} `"aggressive"`: {projects.aggressive_year}, or '
            "{variants.schedule_margin_years} sooner",
        ),
    ),
}
"""Values by published enumeration, of those that the types above reach."""

TITLES: Mapping[str, str] = {
    "IntrinsicWorkPackageInput": "The LV work package",
    "HvNodeHeadroomWorkPackageInput": "The HV work package",
    "IntrinsicAllocationConfigInput": "allocation",
    "IntrinsicConstraintsConfigInput": "constraints",
    "IntrinsicThermalConstraintsInput": "constraints.thermal",
    "IntrinsicThermalConstraintInput": "constraints.thermal.hv and .lv",
    "IntrinsicVoltageConstraintsInput": "constraints.voltage",
    "IntrinsicHvVoltageConstraintInput": "constraints.voltage.hv",
    "IntrinsicLvVoltageConstraintInput": "constraints.voltage.lv",
    "IntrinsicInitialLoadStateConfigInput": "initialStateSelector",
    "IntrinsicInjectionResourceConfigInput": "injectionResource",
    "IntrinsicSearchConfigInput": "search of the LV work package",
    "HvNodeLocationSelectorInput": "nodeLocationSelector",
    "HvNodeHeadroomSearchConfigInput": "search of the HV work package",
    "IntrinsicSyfConfigInput": "syf",
    "IntrinsicWriterConfigInput": "resultsWriter",
    "HcSolveConfigInput": "solve",
    "HcModelConfigInput": "model",
    "HcVariantConfigInput": "variant",
}
"""What a type is in a work package."""

_OWN: Mapping[str, tuple[type, str]] = {
    "scope": (Scope, "[scope]"),
    "variants": (Variant, "[variants.NAME]"),
    "projects": (Project, "[[projects]]"),
}
"""Tables that have no plugin: their settings, and their header."""
_NAMED = re.compile(r"(?<!\{)\{([a-z_]+)(?:=([a-z-]+)|\.([a-z0-9_.-]+))\}")


def named(words: str) -> Iterator[tuple[str, str | None, str | None]]:
    """Table, plugin and key of everything that words name; the scope and its like have no plugin, a plugin no key."""
    for table, plugin, path in _NAMED.findall(words):
        if plugin:
            yield table, plugin, None
        elif table in _OWN:
            yield table, None, path
        else:
            first, _, key = path.partition(".")
            yield table, first, key


def missing(rows: Mapping[str, tuple[Row, ...]], registry: Registry) -> list[str]:
    """What the words name and no installed plugin has, a line each."""
    kinds = {kind.table: kind for kind in KINDS}
    found = []
    for published, listed in rows.items():
        for row in listed:
            for table, plugin, key in named(row.words):
                where = f"{published}.{row.name}: {table}.{plugin}.{key}"
                if plugin is None:
                    config: Any = _OWN[table][0]
                elif table in kinds and plugin in registry.names(kinds[table]):
                    config = registry.get(kinds[table], plugin).config
                else:
                    found.append(where)
                    continue
                if key is not None and key not in {each.key for each in describe(config)}:
                    found.append(where)
    return found


def written(words: str) -> str:
    """Words as they stand on the page."""

    def one(match: re.Match[str]) -> str:
        table, plugin, path = match.groups()
        if table in _OWN:
            return f"`{_OWN[table][1]} {path}`"
        header = f"[[{table}]]" if table in REPEATED else f"[{table}]"
        if plugin:
            return f'`{header} plugin = "{plugin}"`'
        key = path.partition(".")[2]
        return f"`{header} {key}`"

    return _NAMED.sub(one, words).replace("{{", "{").replace("}}", "}")


def sections(rows: Mapping[str, tuple[Row, ...]]) -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
    """Type, what it is in a work package, and the cells of its table."""
    for published, listed in rows.items():
        cells = [(f"`{row.name}`", row.how.value, written(row.words)) for row in listed]
        yield published, TITLES.get(published, published), cells
