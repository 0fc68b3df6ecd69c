"""A class of faults: how its cases are made, and what may become of one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ImagecAIError

RAN, REFUSED, LOST = "ran", "refused", "lost"

_LONGEST = 1500
"""Letters of a refusal; more is a dump, and no sentence."""


class Lost(Exception):
    """Something came out that must not: a wrong result, a half-written file."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to try.

    Attributes
    ----------
    name : str
        What is wrong with it.
    run : callable
        Tries it.
    """

    name: str
    run: Callable[[], Any]


class Chance(random.Random):
    """Random numbers that follow from a seed and a case's own number.

    Attributes
    ----------
    number : int
        Of the case.
    """

    def __init__(self, seed: int, number: int) -> None:
        super().__init__(f"{seed}-{number}")
        self.number = number


Make = Callable[[random.Random], Case]


@dataclass(frozen=True, slots=True)
class Fault:
    """A class of faults.

    Attributes
    ----------
    title : str
        For the table.
    prepare : callable
        Given an empty folder, gives a function that makes one case of random numbers.
    count, quick : int
        How many cases are tried, and how many of them in a hurry.
    seconds : float
        Processor time that one case may take.
    refusal : type of exception
        The only one that may come out.
    gigabytes : float
        Address space of the process; what asks for more gets a MemoryError.
    """

    title: str
    prepare: Callable[[Path], Make]
    count: int
    quick: int
    seconds: float = 10.0
    refusal: type[Exception] = ImagecAIError
    gigabytes: float = 16.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case."""

    number: int
    name: str
    verdict: str
    seconds: float = 0.0
    told: str = ""

    @property
    def kind(self) -> str:
        """Losses of one kind have one cause, as far as can be told."""
        return self.told.rpartition("(")[2] or self.told[:40]


def attempt(fault: Fault, number: int, case: Case) -> Outcome:
    """Try one case in this process."""
    started = time.process_time()
    try:
        case.run()
        verdict, told = RAN, ""
    except fault.refusal as error:
        verdict, told = _judged(str(error))
    except BaseException as error:  # noqa: BLE001 - whatever else comes out is the find
        verdict, told = LOST, f"{type(error).__name__}: {error} ({_place(error)})"
    seconds = time.process_time() - started
    if seconds > fault.seconds:
        verdict, told = LOST, f"took {seconds:.1f} s; {told}"
    return Outcome(number, case.name, verdict, seconds, told[:600])


def _judged(sentence: str) -> tuple[str, str]:
    """A refusal is for people: one line, not too long, ended as a sentence is."""
    if not sentence.strip() or "\n" in sentence or len(sentence) > _LONGEST:
        return LOST, f"refused, but in no sentence: {sentence!r}"
    return REFUSED, sentence


def _place(error: BaseException) -> str:
    """Where it was raised, in the package's own code."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if "napari_imagec_ai" in file.parts:
            place = f"{file.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def use(prediction: Any) -> None:
    """Decode, classify and draw, as everybody does with a prediction."""
    import napari_imagec_ai as ai

    found = ai.decode(prediction)
    if isinstance(found, ai.Objects):
        ai.classify(found).as_labels()
