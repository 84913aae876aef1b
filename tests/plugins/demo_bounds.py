"""What a planner with a pocket calculator expects of the demo feeder, transformer by transformer.

Written from the design numbers of the feeder (docs/explanation/demo-feeder.md), without a power
flow: volts = amps x ohms along the line, amps = kW over volts. `HAND_BOUNDS` is for `demo.toml`,
`MV_LINE_BOUNDS` for `mv-line.toml`. A level may differ from the engine's by `tolerance_steps`: one
for a thermal limit, two for a voltage limit.
"""

from dataclasses import dataclass
from math import cos, pi, radians, sqrt


@dataclass(frozen=True)
class HandBound:
    """The outcome for one transformer; `metric` and `equipment` are None where nothing binds."""

    transformer: str
    status: str
    metric: str | None
    equipment: str | None
    level: int
    tolerance_steps: int


# ---- demo.toml: export, power factor 1, from zero load; LV 216-253 V; 100 % of nameplate ---------
STEP_KW = 0.1
MAX_STEPS = 150
LV_MAX_V = 253.0
LV_NO_LOAD_V = 415.0 / sqrt(3.0)  # 239.6 V: a 22/0.415 kV unit with nothing connected

# The 22 kV line is short and its source strong, so it lifts everybody by a tenth of a volt: about
# 70 customers x 5 kW over 0.24 ohm of source and 0.28 ohm/km x 0.5 km to mv1, 0.5 km more to mv2;
# beyond it half of the kW over 0.5 km more.
MV_KW = 350.0
MV_RISE_NEAR_V = MV_KW * 1e3 * (0.24 + 0.14) / 22e3**2 * 240.0  # 0.07 V at mv1
MV_RISE_FAR_V = MV_KW * 1e3 * (0.24 + 0.14 + 0.14 + 0.14 / 2) / 22e3**2 * 240.0  # 0.10 V


def steps(kw: float, step_kw: float = STEP_KW) -> int:
    """Return the last whole step at or below `kw`."""
    return int(kw / step_kw)


# T1, long line. Five spans of 120 m at 0.32 ohm/km. Each pole has one customer's kW on each phase,
# so with i amps per customer and phase the spans carry 5, 4, 3, 2 and 1 times i. The last
# customer's three-phase service is 60 m long.
T1_SPAN_OHM = 0.120 * 0.32
T1_TRANSFORMER_OHM = 0.012 * 415.0**2 / 160e3
T1_SERVICE_OHM = 0.060 * 1.15
T1_OHM = (5 + 4 + 3 + 2 + 1) * T1_SPAN_OHM + 5 * T1_TRANSFORMER_OHM + T1_SERVICE_OHM / 3
T1_AMPS = (LV_MAX_V - LV_NO_LOAD_V - MV_RISE_NEAR_V) / T1_OHM
T1_KW = T1_AMPS * 249.0 / 1e3  # 249 V: the customers are between 244 V and 253 V

# T2, small unit. 100 kVA; phase A has five customers, B four, C three. Rated amps per phase: 100
# kVA / (sqrt 3 x 0.415 kV). Customers on A sit at 239.6 V + 1.2 % in the transformer + a volt and a
# half in 80 m of cable = 244 V.
T2_AMPS = 100.0 / (sqrt(3.0) * 0.415)
T2_KW = T2_AMPS * 244.0 / 5 / 1e3

# T3, thin cable. The tail from the 200 kVA transformer to the first pillar is rated 125 A; phase B
# has five customers. Volts on B: 239.6, +1.3 in the transformer, +2.9 in 30 m of tail, +1 in the
# street: 245 V.
T3_KW = 125.0 * 245.0 / 5 / 1e3

# T4, high tap. 433 V over a tap of 0.975 on the 22 kV side: 256.4 V, above 253 V with nothing
# connected.
T4_NO_LOAD_V = 433.0 / 0.975 / sqrt(3.0)

# T5, strong. Three customers of 15 kW on 200 kVA and 50 m of strong cable: 22 % of the kVA, and 45
# kW = 61 A x (0.0083 + 0.0103) ohm = 1.1 V. Nothing stops it before the last step.
T5_RISE_V = 61.0 * (0.050 * 0.165 + 0.012 * 415.0**2 / 200e3)

# T6, split phase. 22 kV between phases A and B to 2 x 240 V, 50 kVA, so 25 kVA = 104 A for each
# half. Leg 1 has four customers, leg 2 two, and one is connected across both legs: half an ampere
# in each leg for each ampere of the others. Volts on leg 1: 240, +1.4 in the half winding, +1.0 in
# the 22 kV winding, +1.5 in the line: 244 V.
T6_HALF_AMPS = 25e3 / 240.0
T6_KW = T6_HALF_AMPS * 244.0 / (4 + 0.5) / 1e3

# T7, SWER. 12.7 kV to 250 V on the +2.5 % tap: 243.9 V. The charging current of 6 km x 5 nF/km
# lifts that by its kvar through the 4 % reactance of the 50 kVA isolating unit. Then, per kW and
# customer: five customers through the isolating unit (2 % of 50 kVA), 15 ohm of wire, the
# distribution unit (2 % of 50 kVA), 40 m of line (five customers), 40 m more (three customers), and
# a service of 22 m.
T7_NO_LOAD_V = 250.0 / 1.025
T7_CHARGING_KVAR = 2 * pi * 50 * 6 * 5e-9 * 12.7e3**2 / 1e3
T7_CHARGING_RISE_V = T7_CHARGING_KVAR / 50.0 * 0.04 * T7_NO_LOAD_V
T7_HV_PER_UNIT_PER_KW = 5 * (0.02 / 50.0 + 15.0 * 1e3 / 12.7e3**2 + 0.02 / 50.0)
T7_LV_OHM = 5 * 0.040 * 0.64 + 3 * 0.040 * 0.64 + 0.022 * 2.3
T7_V_PER_KW = T7_HV_PER_UNIT_PER_KW * T7_NO_LOAD_V + T7_LV_OHM * 1e3 / 251.0
T7_KW = (LV_MAX_V - T7_NO_LOAD_V - T7_CHARGING_RISE_V - MV_RISE_FAR_V) / T7_V_PER_KW

# T9, ordinary street. Three spans of 80 m; eleven one-phase customers (3, 3 and 5) and four
# three-phase ones. In units of one customer's amps the spans carry A 4.33, 3.00, 1.67, B the same,
# C 6.33, 4.00, 2.67. The shared neutral couples the phases: a phase sees (2 r1 + r0)/3 of its own
# amps, less half of (r0 - r1)/3 of the others' (they lie 120 degrees apart).
T9_SELF = (2 * 0.32 + 1.28) / 3
T9_MUTUAL = (1.28 - 0.32) / 3
T9_C = (5 + 4 / 3) + 4 + (2 + 2 / 3)
T9_A = (3 + 4 / 3) + 3 + (1 + 2 / 3)
T9_OHM = (
    0.080 * (T9_SELF * T9_C - 0.5 * T9_MUTUAL * (T9_A + T9_A))
    + 0.012 * 415.0**2 / 200e3 * (5 + 4 / 3)
    + 0.030 * 2.3  # the service of the last customer on C
)
T9_KW = (LV_MAX_V - LV_NO_LOAD_V - MV_RISE_FAR_V) / T9_OHM * 250.0 / 1e3

HAND_BOUNDS = [
    HandBound("t1_long_line", "bound", "voltage-high", "t1_c15", steps(T1_KW), 2),
    HandBound("t2_small_unit", "bound", "thermal", "t2_small_unit", steps(T2_KW), 1),
    HandBound("t3_thin_cable", "bound", "thermal", "t3_span1", steps(T3_KW), 1),
    HandBound("t4_high_tap", "bound_at_start", "voltage-high", "t4_bb", 0, 0),
    HandBound("t5_strong", "unconstrained", None, None, MAX_STEPS, 0),
    HandBound("t6_split_phase", "bound", "thermal", "t6_split_phase", steps(T6_KW), 1),
    HandBound("t7_swer", "bound", "voltage-high", "t7_c5", steps(T7_KW), 2),
    HandBound("t8_spare", "no_customers", None, None, 0, 0),
    HandBound("t9_mixed", "bound", "voltage-high", "t9_c13", steps(T9_KW), 2),
]

# ---- mv-line.toml: import, power factor 1, from the model's snapshot -----------------------------
# The quarry at 22 kV takes most of the line.
MV_STEP_KW = 0.2
MV_LINE_AMPS = 32.0
AMPS_PER_KW = 1 / (sqrt(3.0) * 22.0)  # of a balanced three-phase kW
PAIR_AMPS_PER_KW = cos(radians(30.0)) / 22.0  # in phase with the volts, of a kW between two phases
QUARRY_KW, QUARRY_KVAR = 900.0, 180.0
# Customers: 51 on one phase (17 on each), 11 on three phases; between two phases seven (T6, A-B)
# and five (T7, B-C), so phase B carries both. Each third one has PV at 0.6 of its peak in the
# snapshot.
BALANCED_CUSTOMERS, PAIR_CUSTOMERS = 51 + 11, 7 + 5
BALANCED_KW = 51 * 1.2 + 11 * 3.0 - 0.6 * (16 * 3.0 + 4 * 6.0)
PAIR_KW = (11 * 1.2 + 2.0) - 0.6 * (4 * 3.0 + 4.0)
CUSTOMER_KVAR = 0.25 * (51 * 1.2 + 11 * 3.0 + 11 * 1.2 + 2.0)  # power factor 0.97
# Losses beyond the first section: 0.2 % of 1 160 kVA in the cores, 1 kW in the line, 2 % of 250 kW
# below the transformers.
LOSS_KW = 0.002 * 1160.0 + 1.0 + 0.02 * 250.0
MV_REACTIVE_AMPS = (QUARRY_KVAR + CUSTOMER_KVAR) * AMPS_PER_KW
MV_ACTIVE_AMPS = sqrt(MV_LINE_AMPS**2 - MV_REACTIVE_AMPS**2)
MV_START_AMPS = (QUARRY_KW + BALANCED_KW + LOSS_KW) * AMPS_PER_KW + PAIR_KW * PAIR_AMPS_PER_KW
MV_AMPS_PER_KW = BALANCED_CUSTOMERS * AMPS_PER_KW + PAIR_CUSTOMERS * PAIR_AMPS_PER_KW
MV_LEVEL = steps((MV_ACTIVE_AMPS - MV_START_AMPS) / MV_AMPS_PER_KW, MV_STEP_KW)

MV_LINE_BOUNDS = [
    HandBound(b.transformer, b.status, None, None, 0, 0)
    if b.status == "no_customers"
    else HandBound(b.transformer, "stopped_by_hv", "thermal", "mv_l1", MV_LEVEL, 1)
    for b in HAND_BOUNDS
]
