"""A recipe on many images: here, on workers, again after it was stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import description, torchscript_network
from scipy.ndimage import gaussian_filter

import napari_imagec_ai as ai
from napari_imagec_ai.library import trust
from napari_imagec_ai.recipes.batch.run_batch import Batch, expand, run_batch
from napari_imagec_ai.recipes.recipe import Recipe, describe_model

Run = Callable[..., tuple[int, str, str]]
MakeModel = Callable[..., Path]


@pytest.fixture
def plate(tmp_path: Path, make_model: MakeModel) -> Path:
    """A folder of images with 1, 2, 3 and 4 spots, and a recipe."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "a plate with ümlauts"
    folder.mkdir()
    for count in range(1, 5):
        image = rng.random((64, 96)).astype(np.float32) * 0.1
        image[16, [12 + 24 * i for i in range(count)]] = 120
        tifffile.imwrite(folder / f"well{count}.tif", gaussian_filter(image, 3))
    rdf = description(weights={"torchscript": {"source": "weights.pt"}})
    model = ai.load_model(make_model(network=torchscript_network, **rdf))
    trust.remember(model)
    Recipe(model=describe_model(model)).save(tmp_path / "recipe.yaml")
    return folder


def reports(out: str) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in out.splitlines()]
    return {Path(row["image"]).stem: row for row in rows}


def counts(found: dict[str, Any]) -> dict[str, int]:
    return {name: row["objects"] for name, row in sorted(found.items())}


EXPECTED = {f"well{n}": n for n in range(1, 5)}


def tables(folder: Path) -> dict[str, bytes]:
    found = [*folder.glob("*.csv"), *folder.glob("*.png")]
    return {path.name: path.read_bytes() for path in found}


def test_workers_write_the_same_bytes_as_one(plate: Path, run_cli: Run) -> None:
    recipe = plate.parent / "recipe.yaml"
    argv = ("run", recipe, plate / "*.tif", "--json", "-o")
    code, out, err = run_cli(*argv, "one", "--workers", "1")
    assert (code, err) == (0, "")
    assert counts(reports(out)) == EXPECTED
    code, out, _ = run_cli(*argv, "two", "--workers", "2")
    assert code == 0
    assert counts(reports(out)) == EXPECTED
    # Two tables and a contact sheet are over all images.
    assert len(tables(Path("one"))) == 4 + 3
    assert tables(Path("one")) == tables(Path("two"))


def test_a_stopped_batch_goes_on_where_it_was(
    plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch(Recipe.load(plate.parent / "recipe.yaml"), tmp_path / "out")
    images = expand([str(plate / "*.tif")])
    run = run_batch(batch, images)
    stopped = [next(run), next(run)]
    run.close()
    # Of what is there nothing is made again, of what was deleted it is.
    (tmp_path / "out" / "well1.objects.csv").unlink()
    kept = tmp_path / "out" / "well2.objects.csv"
    before = kept.stat().st_mtime_ns
    found = list(run_batch(batch, images))
    assert [outcome.report["objects"] for outcome in found if outcome.report] == (
        [2, 1, 3, 4]
    )
    assert stopped[1].report == found[0].report
    assert kept.stat().st_mtime_ns == before
    # Another model, or another image, is other work.
    weights = Path(Recipe.load(plate.parent / "recipe.yaml").model.path)
    weights.write_bytes(weights.read_bytes() + b"\n")
    anew = list(run_batch(batch, images))
    assert [outcome.image.stem for outcome in anew] == [f"well{n}" for n in range(1, 5)]
    assert kept.stat().st_mtime_ns != before
    images[1].touch()
    assert [o.image.stem for o in run_batch(batch, images)][-1] == "well2"


def test_an_image_that_fails_stops_no_other(plate: Path, run_cli: Run) -> None:
    (plate / "broken.tif").write_bytes(b"II*\0nonsense")
    for workers in ("1", "2"):
        code, out, err = run_cli(
            *("run", plate.parent / "recipe.yaml", plate / "*.tif", "--json"),
            *("-o", f"out{workers}", "--workers", workers),
        )
        assert code == 1
        assert counts(reports(out)) == EXPECTED
        assert "1 of 5 images failed: broken.tif" in err


def test_workers_of_a_cluster_do_it_too(plate: Path, run_cli: Run) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        code, out, _ = run_cli(
            *("run", plate.parent / "recipe.yaml", plate / "well?.tif", "--json"),
            *("-o", "out", "--scheduler", cluster.scheduler_address),
        )
    assert code == 0
    assert counts(reports(out)) == EXPECTED


def test_a_cluster_without_workers_is_waited_for_and_named(
    plate: Path, run_cli: Run, caplog: pytest.LogCaptureFixture
) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=0, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        later = threading.Timer(0.5, cluster.scale, (1,))
        later.start()
        code, out, _ = run_cli(
            *("run", plate.parent / "recipe.yaml", plate / "well1.tif", "--json"),
            *("-o", "out", "--scheduler", cluster.scheduler_address),
        )
        later.join()
    assert code == 0
    assert counts(reports(out)) == {"well1": 1}
    assert "has no workers yet; waiting for one: 'dask worker" in caplog.text


def test_a_cluster_that_gets_no_worker_is_given_up_in_words(
    plate: Path,
    run_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from distributed import LocalCluster

    from napari_imagec_ai.recipes.batch import cluster as waiting

    monkeypatch.setattr(waiting, "_MINUTE", 0.2)
    monkeypatch.setenv(waiting.WAIT, "0.5")
    with LocalCluster(
        n_workers=0, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        code, out, err = run_cli(
            *("run", plate.parent / "recipe.yaml", plate / "well1.tif", "--json"),
            *("-o", "out", "--scheduler", cluster.scheduler_address),
        )
    assert (code, out) == (1, "")
    assert "had no worker for" in err
    assert waiting.WAIT in err
    assert "Still no worker" in caplog.text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--workers", "0"), "Expected 1 worker or more, found 0"),
        (("--split-above", "0"), "Expected pixels above 0 for --split-above, found 0"),
        (("-o", __file__), "test_batch.py': expected a folder"),
        (("--scheduler", "tcp://127.0.0.1:1"), "cannot be reached"),
        (("--scheduler", "nowhere"), "cannot be reached"),
    ],
)
def test_what_cannot_work_is_told(
    flags: Any, message: str, plate: Path, run_cli: Run
) -> None:
    recipe = plate.parent / "recipe.yaml"
    code, _, err = run_cli("run", recipe, plate / "*.tif", "-o", "out", *flags)
    assert code == 1
    assert message in err
    assert err.count("\n") == 1


def test_images_of_one_name_are_refused(plate: Path, tmp_path: Path) -> None:
    other = tmp_path / "well1.png"
    other.touch()
    assert len(expand([str(plate / "*.tif"), str(plate / "well1.tif")])) == 4
    with pytest.raises(ai.ImagecAIError, match="Two images are named 'well1'"):
        expand([str(plate / "*.tif"), str(other)])
