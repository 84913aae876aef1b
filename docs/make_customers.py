"""Write the customer files of two studies: ``python docs/make_customers.py NETWORKS``, the folder of public networks.

Made choices, no measurements. `p1uhs23-customers.csv`: which home gets a car charger of which kW; businesses get none.
What a load is says the name of its shape, ``res_...`` or ``com_...``. `csiro-p-customers.csv`: which meter of the pool
of ``make_pool.py`` each customer follows, every third of those that have whole days and took anything.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from make_pool import rows_of

STUDIES = Path(__file__).resolve().parent / "how-to" / "studies"
CHARGER_KW = (7.2, 7.2, 3.6, 11.5, 0)


def write(name: str, titles: list[str], rows: Iterable[list[str]]) -> None:
    """Write one file."""
    with (STUDIES / name).open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(titles)
        lines.writerows(rows)


def chargers(loads: str) -> Iterable[list[str]]:
    """A line for each load of p1uhs23."""
    for place, (name, kind) in enumerate(re.findall(r"(?im)^New Load\.(\S+) .*?\byearly=(res|com)_", loads)):
        home = kind.lower() == "res"
        kw = CHARGER_KW[place % len(CHARGER_KW)] if home else 0
        yield [name.lower(), name.lower(), "home" if home else "business", f"{kw:g}"]


def followers(loads: str, pool: str) -> Iterable[list[str]]:
    """A line for each load of CSIRO P."""
    taken: dict[str, float] = {}
    for _, meter, kw in rows_of(json.loads(pool)):
        taken[meter] = taken.get(meter, 0.0) + kw
    meters = [meter for meter, kw in taken.items() if kw > 0]
    for place, name in enumerate(re.findall(r"(?im)^New Load\.(\S+) ", loads)):
        yield [f"house-{name.lower()}", name.lower(), meters[3 * place % len(meters)]]


def main() -> None:
    """Write both files."""
    networks = Path(sys.argv[1])
    p1uhs23 = networks / "us-smartds-p1uhs23" / "substations" / "p1uhs23_1247" / "Loads.dss"
    csiro_p = networks / "au-csiro-lv" / "P" / "Loads.dss"
    pool = networks / "au-halfhour-profiles" / "smartgridsmartcities.json"
    homes = chargers(p1uhs23.read_text(encoding="utf-8"))
    write("p1uhs23-customers.csv", ["customer", "element", "class", "charger_kw"], homes)
    houses = followers(csiro_p.read_text(encoding="utf-8"), pool.read_text(encoding="utf-8"))
    write("csiro-p-customers.csv", ["customer", "element", "meter"], houses)


if __name__ == "__main__":
    main()
