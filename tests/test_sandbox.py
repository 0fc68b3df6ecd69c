"""Programs that execute code of strangers are limited, whatever they convert."""

from __future__ import annotations

import json
import sys

import psutil
import pytest

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert import sandbox
from napari_imagec_ai.library.convert.sandbox import run_alone

needs_limits = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no limits of this kind"
)

LIMITS = """
import json, resource, sys
kinds = ("AS", "CPU", "FSIZE", "CORE", "NPROC")
given = sys.stdin.buffer.read().decode()
most = [resource.getrlimit(getattr(resource, f"RLIMIT_{kind}"))[0] for kind in kinds]
print(json.dumps([given, sys.argv[1:], most]))
"""


def nothing() -> None:
    """Nobody stops it."""


@needs_limits
def test_every_program_is_limited_before_its_first_line() -> None:
    answer = run_alone(LIMITS, b"a job", [], nothing)
    given, arguments, (memory, seconds, size, core, processes) = json.loads(answer)
    assert given == "a job"
    assert arguments == []  # the script is alone with its job
    assert 0 < memory < psutil.virtual_memory().total
    assert 0 < seconds < 1e6
    assert 0 < size <= sandbox.MOST_BYTES
    assert core == 0
    assert processes > 0


@needs_limits
def test_a_program_that_fills_the_memory_ends_in_a_sentence() -> None:
    with pytest.raises(ModelError, match=r"MemoryError|memory"):
        run_alone("held = bytearray(1 << 50)", b"", [], nothing)


def test_what_a_program_says_last_is_told() -> None:
    with pytest.raises(ModelError, match="failed: ValueError: no such layer"):
        run_alone("raise ValueError('no such layer')", b"", [], nothing)
