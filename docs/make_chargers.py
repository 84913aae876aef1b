"""Write the customer file of a study: ``python docs/make_chargers.py Loads.dss``, with the loads of p1uhs23.

A made choice, no measurement: which home gets a car charger of which kW; businesses get none. What a load is says the
name of its shape, ``res_...`` or ``com_...``.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parent / "how-to" / "studies" / "p1uhs23-customers.csv"
CHARGER_KW = (7.2, 7.2, 3.6, 11.5, 0)


def main() -> None:
    """Write the file."""
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    loads = re.findall(r"(?im)^New Load\.(\S+) .*?\byearly=(res|com)_", text)
    with TARGET.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["customer", "element", "class", "charger_kw"])
        for place, (name, kind) in enumerate(loads):
            home = kind.lower() == "res"
            kw = CHARGER_KW[place % len(CHARGER_KW)] if home else 0
            lines.writerow([name.lower(), name.lower(), "home" if home else "business", f"{kw:g}"])


if __name__ == "__main__":
    main()
