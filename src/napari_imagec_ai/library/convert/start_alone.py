"""Limits what a process may take, and then runs a script in it.

This file is run as a script by :mod:`.sandbox`, never imported by the package: it is
what each program that executes code of strangers begins with. Its arguments are bytes
of memory, seconds of processor time, a number of processes, and the script.
"""

from __future__ import annotations

import sys

MOST_IN_A_FILE = 4 << 30


def limit(memory: int, seconds: int, processes: int) -> None:
    """Memory, processor time, size of files, number of processes."""
    try:
        import resource
    except ImportError:  # Windows has none
        return
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, MOST_IN_A_FILE),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, processes),
    ):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))


def main() -> None:
    """Limit, and run."""
    memory, seconds, processes, script = sys.argv[1:]
    del sys.argv[1:]
    limit(int(memory), int(seconds), int(processes))
    code = compile(script, "<script>", "exec", dont_inherit=True)
    exec(code, sys.modules["__main__"].__dict__)


if __name__ == "__main__":
    main()
