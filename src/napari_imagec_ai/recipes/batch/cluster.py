"""A batch on many processes: of this machine, or of a dask cluster that is there.

One image, or one share of a large one, is a task. Each worker opens the model once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.recipes.batch import on_worker
from napari_imagec_ai.recipes.batch.batch import Batch, Outcome
from napari_imagec_ai.recipes.batch.workers import Failed, Workers
from napari_imagec_ai.run.in_blocks.plan import Plan
from napari_imagec_ai.system.progress import Progress

_log = logging.getLogger(__name__)

WAIT = "IMAGEC_AI_WAIT"
"""Environment variable: seconds that a batch waits for a first worker."""

_LIMIT, _MINUTE = 600.0, 60.0

_RETRIES = 2
"""How often a task is tried again whose worker died."""

Report = Callable[[Path, Progress], None]


def share_out(
    batch: Batch,
    images: Sequence[Path],
    workers: int,
    scheduler: str | None = None,
    progress: Report | None = None,
) -> Iterator[Outcome]:
    """Do images on workers; yields what became of each, as it is known.

    Parameters
    ----------
    batch : Batch
        What to do.
    images : sequence of Path
        Files that all workers see.
    workers : int
        How many processes of this machine.
    scheduler : str, optional
        Address of a dask scheduler whose workers do it instead.
    progress : callable, optional
        Called with a large image and how many of its shares are done.

    Raises
    ------
    ImagecAIError
        If a worker does not come up, or the cluster cannot be reached.
    """
    team = Workers(workers) if scheduler is None else _Cluster(scheduler)
    with team as hands:
        yield from _Course(batch, hands, progress).run(images)


class _Hands(Protocol):
    """Whoever does tasks: see :class:`Workers`."""

    @property
    def threads(self) -> int | None: ...

    def submit(self, name: str, job: Callable[..., Any], *given: Any) -> Any: ...

    def cancel(self, numbers: Collection[Any], /) -> None: ...

    def completed(self) -> Iterator[tuple[Any, Any]]: ...


class _Cluster:
    """Workers of a dask cluster; a context manager."""

    threads = None
    """A worker's network takes as many as the worker was started with."""

    def __init__(self, scheduler: str) -> None:
        from distributed import Client, as_completed

        try:
            self._client = Client(scheduler, timeout="10s")
        except (OSError, ValueError, TimeoutError) as error:
            raise ImagecAIError(
                f"The dask scheduler at '{scheduler}' cannot be reached ({error}); "
                "start one with 'dask scheduler', or leave out --scheduler."
            ) from error
        if not self._client.scheduler_info()["workers"]:  # they may be on their way
            _log.warning(
                "The dask scheduler at '%s' has no workers yet; waiting for one: "
                "'dask worker %s'.",
                *(scheduler, scheduler),
            )
            self._wait(scheduler)
        self._running = as_completed([])
        self._names: dict[Any, str] = {}

    def _wait(self, scheduler: str) -> None:
        """Wait for the first worker, and say so each minute."""
        waited, limit = 0.0, float(os.environ.get(WAIT, _LIMIT))
        while True:
            step = min(_MINUTE, limit - waited)
            try:
                self._client.wait_for_workers(1, timeout=max(step, 0.1))
                return
            except TimeoutError:
                waited += step
            if waited >= limit:
                self._client.close()
                raise ImagecAIError(
                    f"The dask scheduler at '{scheduler}' had no worker for "
                    f"{waited:.0f} seconds; start one with 'dask worker {scheduler}', "
                    f"leave out --scheduler, or set {WAIT} to more seconds."
                )
            _log.warning(
                "Still no worker at '%s' after %.0f seconds: 'dask worker %s'.",
                *(scheduler, waited, scheduler),
            )

    def __enter__(self) -> _Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def submit(self, name: str, job: Callable[..., Any], *given: Any) -> Any:
        future = self._client.submit(job, *given, pure=False, retries=_RETRIES)
        self._names[future] = name
        self._running.add(future)
        return future

    def cancel(self, numbers: Collection[Any]) -> None:
        for future in numbers:
            self._names.pop(future, None)
        self._client.cancel(list(numbers))

    def completed(self) -> Iterator[tuple[Any, Any]]:
        for future in self._running:
            name = self._names.pop(future, None)
            if name is None or future.status == "cancelled":
                continue
            error = future.exception()
            yield future, future.result() if error is None else _died(name, error)


def _died(name: str, error: BaseException) -> Failed:
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        times = error.allowed_failures + 1
        return Failed(
            f"The worker at '{error.last_worker.address}' died with '{name}', as "
            f"did others before it ({times} times in all); if memory ran out, try "
            "fewer workers, or smaller tiles."
        )
    what = " ".join(str(error).split())[:200] or type(error).__name__
    return Failed(f"The worker that had '{name}' failed ({what}).")


@dataclass(slots=True)
class _Large:
    """A large image under way."""

    plan: Plan
    left: set[Any] = field(default_factory=set)


class _Course:
    """Hands out tasks, and what follows from them."""

    def __init__(self, batch: Batch, hands: _Hands, progress: Report | None) -> None:
        self._batch, self._hands, self._progress = batch, hands, progress
        self._of: dict[Any, Path] = {}
        self._large: dict[Path, _Large] = {}

    def run(self, images: Sequence[Path]) -> Iterator[Outcome]:
        for image in images:
            self._submit(on_worker.image_job, image)
        for number, result in self._hands.completed():
            image = self._of.pop(number)
            done = self._result(image, number, result)
            if isinstance(done, Outcome):
                yield done
            self._go_on(image, number, done)

    def _submit(self, job: Callable[..., Any], image: Path, *plan: Plan) -> Any:
        given = (self._batch, self._hands.threads, image, *plan)
        number = self._hands.submit(image.name, job, *given)
        self._of[number] = image
        return number

    def _result(self, image: Path, number: Any, done: Any) -> Any:
        """What a task gave: an outcome, a plan, or None for a share that is done."""
        large = self._large.get(image)
        if isinstance(done, Failed):
            done = Outcome(image, problem=str(done))
        if isinstance(done, str):
            done = Outcome(image, problem=done) if done else None
        if isinstance(done, Outcome) and large is not None:
            self._hands.cancel(large.left - {number})
            del self._large[image]
        return done

    def _go_on(self, image: Path, number: Any, done: Any) -> None:
        """Hand out what is to be done now."""
        if isinstance(done, Plan):
            large = self._large[image] = _Large(done)
            for share in done.to_do():
                large.left.add(
                    self._submit(on_worker.share_job, image, done.only(share))
                )
        elif image not in self._large or done is not None:
            return
        large = self._large[image]
        large.left.discard(number)
        if self._progress is not None:
            total = len(large.plan.shares)
            self._progress(image, Progress(total - len(large.left), total, "blocks"))
        if not large.left:
            self._submit(on_worker.finish_job, image, large.plan)
