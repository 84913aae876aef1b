"""What this distribution offers; light to import, as it is read whenever plugins are listed."""

from hostcap.plugins import AllocationPlugin, ConstraintPlugin, WriterPlugin, hookimpl
from hostcap_example.parts import ByPhases, NeutralCurrent, OneFile, VoltageUnbalance


def itself(config):
    """Settings that do the work themselves."""
    return config


UNBALANCE = ConstraintPlugin(
    name="voltage-unbalance", summary="Negative over positive sequence voltage", config=VoltageUnbalance, make=itself
)
NEUTRAL = ConstraintPlugin(
    name="neutral-current", summary="Current of every neutral conductor of a line", config=NeutralCurrent, make=itself
)
BY_PHASES = AllocationPlugin(
    name="by-phases", summary="Customers on one phase grow less than others", config=ByPhases, make=itself
)
ONE_FILE = WriterPlugin(name="one-file", summary="All tables of a feeder in one text file", config=OneFile, make=itself)


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
