"""Run the benchmarks and print their tables: ``python -m benchmarks [NAME ...]``."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import decoders, engines, export, network, slider, window

ALL: dict[str, Callable[[], list[str]]] = {
    "decoders": decoders.table,
    "engines": engines.table,
    "export": export.table,
    "network": network.table,
    "slider": slider.table,
    "window": window.table,
}


def main(names: list[str]) -> int:
    """Print the tables of the named benchmarks, or of all."""
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"There is no benchmark '{unknown[0]}'; choose from {', '.join(ALL)}.")
        return 1
    for name in names or ALL:
        print("\n".join([f"## {name}", "", *ALL[name](), ""]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
