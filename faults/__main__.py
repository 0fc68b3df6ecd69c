"""Try all faults and print the table: ``python -m faults [--quick] [CLASS ...]``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from faults import ALL, children, mutants
from faults.fault import LOST, REFUSED, Outcome


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a class of faults."""

    word: str
    title: str
    outcomes: list[Outcome]

    @property
    def lost(self) -> list[Outcome]:
        """The cases that were not survived."""
        return [each for each in self.outcomes if each.verdict == LOST]

    def losses(self) -> list[str]:
        """Which cases were lost, the first of each kind."""
        kinds: dict[str, list[Outcome]] = {}
        for each in self.lost:
            kinds.setdefault(each.kind, []).append(each)
        lines = []
        for several in kinds.values():
            first = several[0]
            lines.append(f"lost, {len(several)} x: {self.word} --only {first.number}")
            lines.append(f"    {first.name[:200]}: {first.told}")
        return lines

    def row(self) -> str:
        """A row of the table."""
        refused = sum(each.verdict == REFUSED for each in self.outcomes)
        tried, lost = len(self.outcomes), len(self.lost)
        slowest = max((each.seconds for each in self.outcomes), default=0.0)
        return (
            f"| {self.title} | {tried} | {tried - lost} "
            f"({refused} refused, {tried - lost - refused} ran) | {lost} "
            f"| {slowest:.2f} s |"
        )


HEAD = (
    "| fault | tried | survived | lost | slowest |",
    "| --- | ---: | ---: | ---: | ---: |",
)


def try_all(words: list[str], quick: bool, seed: int) -> Iterator[Result]:
    """Try classes of faults, several at a time; in the order of the words."""

    def one(word: str) -> Result:
        fault = ALL[word]
        count = fault.quick if quick else fault.count
        return Result(word, fault.title, [*children.outcomes(word, fault, count, seed)])

    # One more than there are cores: some classes mostly wait.
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        yield from pool.map(one, words)


def main(argv: list[str] | None = None) -> int:
    """Print the table; 1 if anything is lost."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="CLASS", help=", ".join(ALL))
    parser.add_argument("--quick", action="store_true", help="a few cases of each")
    parser.add_argument("--seed", type=int, default=0, help="other cases")
    parser.add_argument("--only", type=int, help="one case, with its traceback")
    parser.add_argument(
        "--mutants", action="store_true", help="show that each lost guard is noticed"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        children.serve(ALL[options.child], options.first, options.count, options.seed)
        return 0
    if options.mutants:
        return _report_mutants(options.words, options.seed)
    unknown = [word for word in options.words if word not in ALL]
    if unknown:
        print(f"There is no fault '{unknown[0]}'; choose from {', '.join(ALL)}.")
        return 1
    words = options.words or list(ALL)
    if options.quick:
        words = [word for word in words if ALL[word].quick]
    if options.only is not None:
        return children.repeat(ALL[words[0]], options.only, options.seed)
    return _report(try_all(words, options.quick, options.seed))


def _until_lost(word: str, first: int, count: int, seed: int) -> tuple[int, bool]:
    """Try cases until one is lost: one is enough, and some hang."""
    tried = 0
    try:
        for outcome in children.outcomes(word, ALL[word], count, seed, first):
            tried += 1
            if outcome.verdict == LOST:
                return tried, True
    except RuntimeError:  # without a guard native code may end the process badly
        if not tried:
            raise
        return tried, True
    return tried, False


def _report_mutants(names: list[str], seed: int) -> int:
    """Take one guard away after the other; 1 if that goes unnoticed."""
    print("| guard that is taken away | noticed by | case |", flush=True)
    print("| --- | --- | ---: |", flush=True)
    unnoticed = []
    for name in names or list(mutants.ALL):
        mutant = mutants.ALL[name]
        os.environ[mutants.WHICH] = name
        first, count = mutant.cases(ALL[mutant.word].quick)
        tried, lost = _until_lost(mutant.word, first, count, seed)
        told = f"the {tried}." if lost else "none"
        print(f"| {mutant.guard} | `{mutant.word}` | {told} |", flush=True)
        unnoticed += [] if lost else [name]
    del os.environ[mutants.WHICH]
    for name in unnoticed:
        print(f"not noticed: {name}")
    return int(bool(unnoticed))


def _report(results: Iterable[Result]) -> int:
    print("\n".join(HEAD), flush=True)
    told: list[str] = []
    for result in results:
        print(result.row(), flush=True)
        told += result.losses()
    print("\n".join(told))
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
