"""A batch on many processes: dask, on this machine or on a cluster that is there.

One image, or one share of a large one, is a task. Each worker opens the model once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.recipes.batch import jobs
from napari_imagec_ai.recipes.batch.jobs import Batch, Outcome
from napari_imagec_ai.recipes.runner import Runner
from napari_imagec_ai.run.in_blocks.plan import Plan
from napari_imagec_ai.system import threads
from napari_imagec_ai.system.progress import Progress

_log = logging.getLogger(__name__)

_RETRIES = 2
"""How often a task is tried again whose worker died."""

_MEMORY = 0.95
"""Part of this machine's memory that all workers may take before one is stopped."""

Report = Callable[[Path, Progress], None]


def spread(
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
        If the cluster cannot be reached.
    """
    with _client(workers, scheduler) as (client, threads):
        yield from _Course(batch, client, threads, progress).run(images)


@contextlib.contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[tuple[Any, int | None]]:
    """A client, and threads for a worker's network; None: as it was started."""
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="10s")
        except (OSError, ValueError, TimeoutError) as error:
            raise ImagecAIError(
                f"The dask scheduler at '{scheduler}' cannot be reached ({error}); "
                "start one with 'dask scheduler', or leave out --scheduler."
            ) from error
        if not client.scheduler_info()["workers"]:  # they may be on their way
            _log.warning(
                "The dask scheduler at '%s' has no workers yet; waiting for one: "
                "'dask worker %s'.",
                *(scheduler, scheduler),
            )
        try:
            yield client, None
        finally:
            client.close()
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    with dask.config.set(_workers_config(threads)):
        # Work is handed out before the workers are there, each begins when it is.
        cluster = LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            dashboard_address=None,
            # Any port: two batches may run at once on a machine.
            scheduler_kwargs={"dashboard": False, "dashboard_address": ":0"},
            memory_limit=_MEMORY / workers,
        )
        try:
            client = Client(cluster)
            cluster.scale(workers)
            try:
                yield client, threads
            finally:
                client.close()
        finally:
            cluster.close()


def _workers_config(threads: int) -> dict[str, Any]:
    """How worker processes are started, beside what dask does by itself."""
    # Without dask's own MALLOC_TRIM_THRESHOLD_, with which the system takes the memory
    # of every large array back, and clears it for the next one.
    memory, without = "distributed.worker.memory", ("target", "spill", "pause")
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {
        "distributed.worker.daemon": False,
        "distributed.worker.profile.enabled": False,
        # A worker holds nothing that could go to the disk: it may only be stopped.
        **dict.fromkeys((f"{memory}.{name}" for name in without), False),
        f"{memory}.terminate": 0.95,
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(names, str(threads)),
    }


@dataclass(slots=True)
class _Large:
    """A large image under way."""

    plan: Plan
    left: set[Any] = field(default_factory=set)


class _Course:
    """Hands out tasks, and what follows from them."""

    def __init__(
        self, batch: Batch, client: Any, threads: int | None, progress: Report | None
    ) -> None:
        self._batch, self._client, self._threads = batch, client, threads
        self._progress = progress
        self._of: dict[Any, Path] = {}
        self._large: dict[Path, _Large] = {}

    def run(self, images: Sequence[Path]) -> Iterator[Outcome]:
        from distributed import as_completed

        running = as_completed([self._submit(_image_job, image) for image in images])
        for future in running:
            image = self._of.pop(future)
            done = self._result(image, future)
            if isinstance(done, Outcome):
                yield done
            for following in self._next(image, future, done):
                running.add(following)

    def _submit(self, job: Any, image: Path, *plan: Plan) -> Any:
        given = (self._batch, self._threads, image, *plan)
        future = self._client.submit(job, *given, pure=False, retries=_RETRIES)
        self._of[future] = image
        return future

    def _result(self, image: Path, future: Any) -> Any:
        """What a task gave: an outcome, a plan, or None for a share that is done."""
        large = self._large.get(image)
        if future.status == "cancelled":
            return None
        error = future.exception()
        if error is not None:
            done: Any = Outcome(image, problem=_died(image, error))
        else:
            done = future.result()
        if isinstance(done, str):
            done = Outcome(image, problem=done) if done else None
        if isinstance(done, Outcome) and large is not None:
            self._client.cancel(list(large.left - {future}))
            del self._large[image]
        return done

    def _next(self, image: Path, future: Any, done: Any) -> Iterator[Any]:
        """What is to be done now."""
        if isinstance(done, Plan):
            large = self._large[image] = _Large(done)
            for share in done.to_do():
                one = self._submit(_share_job, image, done.only(share))
                large.left.add(one)
                yield one
        elif image not in self._large or done is not None:
            return
        large = self._large[image]
        large.left.discard(future)
        if self._progress is not None:
            total = len(large.plan.shares)
            self._progress(image, Progress(total - len(large.left), total, "blocks"))
        if not large.left:
            yield self._submit(_finish_job, image, large.plan)


def _died(image: Path, error: BaseException) -> str:
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        times = error.allowed_failures + 1
        return (
            f"The worker at '{error.last_worker.address}' died with '{image.name}', as "
            f"did others before it ({times} times in all); if memory ran out, try "
            "fewer workers, or smaller tiles."
        )
    what = " ".join(str(error).split())[:200] or type(error).__name__
    return f"The worker that had '{image.name}' failed ({what})."


# -- on the worker ---------------------------------------------------------------------

_open_runner: tuple[str, Runner] | None = None
"""Of this worker: the network stays open from one task to the next."""

_alone = threading.Lock()
"""Held by the task that uses it: a worker with several threads gives them all to it."""


@contextlib.contextmanager
def _runner(batch: Batch, count: int | None) -> Iterator[Runner]:
    global _open_runner
    with _alone:
        name = jobs.digest(batch.recipe) + batch.state
        # As long as it runs: a network may be opened again, for larger windows.
        before = threads.limit()
        count = _own_threads() if count is None else count
        threads.use(count)
        try:
            if _open_runner is None or _open_runner[0] != name:
                opened = Runner(batch.recipe.open_model(), batch.recipe)
                _open_runner = (name, opened)
            yield _open_runner[1]
        finally:
            threads.use(before)


def _own_threads() -> int:
    """How many threads this worker was started with."""
    from distributed import get_worker

    return int(get_worker().state.nthreads)


def _image_job(batch: Batch, threads: int | None, image: Path) -> Outcome | Plan:
    try:
        with _runner(batch, threads) as runner:
            return jobs.do_image(runner, batch, image, apart=True)
    except ImagecAIError as error:
        return Outcome(image, problem=str(error))


def _share_job(batch: Batch, threads: int | None, image: Path, plan: Plan) -> str:
    try:
        with _runner(batch, threads) as runner:
            return jobs.do_share(runner, batch, image, plan)
    except ImagecAIError as error:
        return str(error)


def _finish_job(batch: Batch, threads: int | None, image: Path, plan: Plan) -> Outcome:
    try:
        with _runner(batch, threads) as runner:
            return jobs.finish_image(runner, batch, image, plan)
    except ImagecAIError as error:
        return Outcome(image, problem=str(error))
