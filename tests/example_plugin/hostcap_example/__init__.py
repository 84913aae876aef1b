"""What this distribution offers; light to import, as it is read whenever plugins are listed."""

from hostcap.plugins import AllocationPlugin, ConstraintPlugin, WriterPlugin, hookimpl
from hostcap_example.parts import ByPhases, NeutralCurrent, OneFile, VoltageUnbalance

UNBALANCE = ConstraintPlugin(
    name="voltage-unbalance",
    summary="Negative over positive sequence of every three-phase bus",
    config=VoltageUnbalance,
    make=lambda config: config,
)
NEUTRAL = ConstraintPlugin(
    name="neutral-current",
    summary="Current of every neutral conductor of a line",
    config=NeutralCurrent,
    make=lambda config: config,
)
BY_PHASES = AllocationPlugin(
    name="by-phases",
    summary="Customers on one phase grow less than those on three",
    config=ByPhases,
    make=lambda config: config,
)
ONE_FILE = WriterPlugin(
    name="one-file", summary="All tables of a feeder in one text file", config=OneFile, make=lambda config: config
)


@hookimpl
def hostcap_constraints():
    """Two limits."""
    return [UNBALANCE, NEUTRAL]


@hookimpl
def hostcap_allocations():
    """One allocation."""
    return [BY_PHASES]


@hookimpl
def hostcap_writers():
    """One writer."""
    return [ONE_FILE]
