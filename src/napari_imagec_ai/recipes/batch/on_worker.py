"""What is done on a worker of a batch: its network stays open from task to task."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from napari_imagec_ai.recipes.batch import jobs
from napari_imagec_ai.recipes.batch.batch import Batch, Outcome
from napari_imagec_ai.recipes.batch.done_notes import digest
from napari_imagec_ai.recipes.runner import Runner
from napari_imagec_ai.run.in_blocks.plan import Plan
from napari_imagec_ai.system import threads

_open_runner: tuple[str, Runner] | None = None
"""Of this worker."""

_alone = threading.Lock()
"""Held by the task that uses it: a worker with several threads gives them all to it."""


def image_job(batch: Batch, count: int | None, image: Path) -> Outcome | Plan:
    """Do an image, or plan a large one."""
    try:
        with _runner(batch, count) as runner:
            return jobs.do_image(runner, batch, image, apart=True)
    except Exception as error:  # noqa: BLE001 - a bug is raised again
        return Outcome(image, problem=jobs.said(error))


def share_job(batch: Batch, count: int | None, image: Path, plan: Plan) -> str:
    """Do a share of a large image; gives the problem in words, or an empty string."""
    try:
        with _runner(batch, count) as runner:
            return jobs.do_share(runner, batch, image, plan)
    except Exception as error:  # noqa: BLE001 - a bug is raised again
        return jobs.said(error)


def finish_job(batch: Batch, count: int | None, image: Path, plan: Plan) -> Outcome:
    """Decode and export a large image whose shares are done."""
    try:
        with _runner(batch, count) as runner:
            return jobs.finish_image(runner, batch, image, plan)
    except Exception as error:  # noqa: BLE001 - a bug is raised again
        return Outcome(image, problem=jobs.said(error))


@contextlib.contextmanager
def _runner(batch: Batch, count: int | None) -> Iterator[Runner]:
    global _open_runner
    with _alone:
        name = digest(batch.recipe) + batch.state
        # As long as it runs: a network may be opened again, for larger windows.
        before = threads.limit()
        threads.use(_own_threads() if count is None else count)
        try:
            if _open_runner is None or _open_runner[0] != name:
                opened = Runner(batch.recipe.open_model(), batch.recipe)
                _open_runner = (name, opened)
            yield _open_runner[1]
        finally:
            threads.use(before)


def _own_threads() -> int:
    """How many threads a worker of a cluster was started with."""
    from distributed import get_worker

    return int(get_worker().state.nthreads)
