"""Models against the tensors that were published with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import description, discs, onnx_network
from scenes import prediction
from test_cellpose import flow_maps
from test_stardist import star_maps

import napari_imagec_ai as ai
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library import selftest
from napari_imagec_ai.library.folders import load_model

X = np.random.default_rng(0).random((1, 1, 32, 32)).astype(np.float32)


@pytest.fixture
def published(make_model: Callable[..., Path]) -> Callable[..., Path]:
    """A model folder with test tensors, of which the output may be wrong."""

    def make(source: Any = X, target: Any = X, **changes: Any) -> Path:
        rdf = description(**changes)
        rdf["inputs"][0]["test_tensor"] = {"source": "in.npy"}
        rdf["outputs"][0]["test_tensor"] = {"source": "out.npy"}
        folder = make_model(**rdf)
        np.save(folder / "in.npy", source)
        np.save(folder / "out.npy", target)
        return folder

    return make


def test_both_engines_reproduce_what_was_published(shared: Path) -> None:
    model = load_model(shared / "models" / "unet2d_nuclei_broad")
    results = selftest.test_model(model)
    assert [result.engine for result in results] == ["onnx", "torchscript"]
    for result in results:
        assert result.passed, result.problem
        assert result.max_abs_error is not None
        assert result.max_abs_error < 1e-4
        assert (result.device, result.output) == ("cpu", "probability")


def test_a_model_of_two_inputs_reproduces_both_outputs(shared: Path) -> None:
    model = load_model(shared / "models" / "unet2d_multi_tensor")
    results = selftest.test_model(model)
    assert [r.engine for r in results] == ["torchscript", "torchscript"]
    assert [r.output for r in results] == ["output0", "output1"]
    assert all(r.passed for r in results), results


def test_what_the_network_gives_back_passes(published: Callable[..., Path]) -> None:
    (result,) = selftest.test_model(load_model(published()))
    assert (result.passed, result.max_abs_error) == (True, 0.0)
    assert result.problem is None


def test_another_output_than_the_published_one_fails_with_the_difference(
    published: Callable[..., Path],
) -> None:
    (result,) = selftest.test_model(load_model(published(target=X + 0.5)))
    assert not result.passed
    assert result.max_abs_error == pytest.approx(0.5, abs=1e-6)
    assert "difference to the published output is 0.5" in (result.problem or "")


def test_nan_in_place_of_the_published_output_fails(
    published: Callable[..., Path],
) -> None:
    broken = np.where(X > 0.5, np.nan, X)
    (result,) = selftest.test_model(load_model(published(source=broken)))
    assert not result.passed


def test_the_description_may_allow_more(published: Callable[..., Path]) -> None:
    tolerance = [{"absolute_tolerance": 0.6}]
    config = {"bioimageio": {"reproducibility_tolerance": tolerance}}
    folder = published(target=X + 0.5, config=config)
    (result,) = selftest.test_model(load_model(folder))
    assert result.passed


def test_another_shape_than_the_published_one_is_told(
    published: Callable[..., Path],
) -> None:
    (result,) = selftest.test_model(load_model(published(target=X[..., :16])))
    assert not result.passed
    assert "(1, 1, 32, 16)" in (result.problem or "")
    assert "(1, 1, 32, 32)" in (result.problem or "")


def test_a_test_tensor_with_other_axes_than_described_is_told(
    published: Callable[..., Path],
) -> None:
    with pytest.raises(ModelError, match=r"axes 'bcyx'.*shape \(32, 32\)"):
        selftest.test_model(load_model(published(source=X[0, 0])))


def test_a_model_without_test_tensors_says_so(make_model: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="without a test tensor for 'raw'"):
        selftest.test_model(load_model(make_model()))


def test_a_test_tensor_that_is_gone_is_named(published: Callable[..., Path]) -> None:
    folder = published()
    (folder / "out.npy").unlink()
    with pytest.raises(ModelError, match=r"'out.npy'.*not in the folder.*download"):
        selftest.test_model(load_model(folder))


def test_a_test_tensor_that_is_damaged_is_named(published: Callable[..., Path]) -> None:
    folder = published()
    (folder / "in.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ModelError, match=r"'in.npy'.*no array of numbers"):
        selftest.test_model(load_model(folder))


def test_a_model_that_cannot_run_says_why(make_model: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match=r"cannot run.*not in the folder"):
        selftest.test_model(load_model(make_model(network=None)))


def test_an_engine_that_fails_is_a_result_and_no_exception(
    published: Callable[..., Path],
) -> None:
    folder = published()
    path = folder / "weights.onnx"
    path.write_bytes(path.read_bytes()[:-30])
    (result,) = selftest.test_model(load_model(folder))
    assert not result.passed
    assert "could not open" in (result.problem or "")


# -- descriptions that publish labels --------------------------------------------------


def star_labels() -> np.ndarray:
    return discs((64, 64), [(16, 18), (40, 16), (30, 44), (52, 50)], [9, 8, 11, 7])


def flow_labels() -> np.ndarray:
    return discs((64, 64), [(16, 18), (42, 16), (30, 44)], [9, 8, 11])


@pytest.fixture
def publishes_labels(make_model: Callable[..., Path]) -> Callable[..., Path]:
    """A model that gives maps, and whose published output is labels."""

    def make(step: str, maps: np.ndarray, labels: np.ndarray, **kwargs: Any) -> Path:
        rdf = description()
        channels = [f"channel{n}" for n in range(len(maps))]
        rdf["inputs"][0]["axes"][1]["channel_names"] = channels
        rdf["inputs"][0]["test_tensor"] = {"source": "in.npy"}
        output = rdf["outputs"][0]
        output["axes"][1]["channel_names"] = ["label"]
        output["postprocessing"] = [{"id": step, "kwargs": kwargs}]
        output["test_tensor"] = {"source": "out.npy"}
        rdf["config"] = {}
        folder = make_model(step, network=_same(len(maps)), **rdf)
        np.save(folder / "in.npy", maps[None])
        np.save(folder / "out.npy", labels[None, None].astype(np.int32))
        return folder

    return make


def _same(channels: int) -> Callable[[Path], Path]:
    shape = ("b", channels, "y", "x")
    return lambda path: onnx_network(path, channels, shape)


@pytest.mark.parametrize("family", ["stardist", "cellpose"])
def test_published_labels_are_compared_with_what_is_decoded(
    publishes_labels: Callable[..., Path], family: str
) -> None:
    if family == "stardist":
        labels, step = star_labels(), "stardist_postprocessing"
        maps, kwargs = star_maps(labels), {"prob_threshold": 0.5, "nms_threshold": 0.4}
        kwargs["n_rays"] = 32
    else:
        labels, step = flow_labels(), "cellpose_flow_dynamics"
        maps, kwargs = flow_maps(labels), {"cellprob_threshold": 0.0}
    decoded = ai.decode(prediction(maps, family)).as_labels()  # type: ignore[union-attr]
    folder = publishes_labels(step, maps, decoded, **kwargs)
    (result,) = selftest.test_model(load_model(folder))
    assert result.passed, result.problem
    count = int(labels.max())
    assert result.output == "probability"
    assert f"{count} objects of {count}, mean overlap 1.000" in result.compared
    # The order of ids means nothing, the objects do.
    turned = np.where(decoded > 0, decoded.max() + 1 - decoded, 0)
    np.save(folder / "out.npy", turned[None, None])
    assert selftest.test_model(load_model(folder))[0].passed
    wrong = np.where(decoded == 1, 0, decoded)
    np.save(folder / "out.npy", wrong[None, None])
    (result,) = selftest.test_model(load_model(folder))
    assert not result.passed
    assert f"{count} objects of {count - 1}" in (result.problem or "")
    moved = np.roll(decoded, 3, axis=1)
    np.save(folder / "out.npy", moved[None, None])
    (result,) = selftest.test_model(load_model(folder))
    assert not result.passed
    assert 0 < (result.max_abs_error or 0) < 0.6


def test_no_objects_where_none_were_published_pass(
    publishes_labels: Callable[..., Path],
) -> None:
    maps = np.zeros((33, 64, 64), np.float32)
    folder = publishes_labels("stardist_postprocessing", maps, maps[0])
    (result,) = selftest.test_model(load_model(folder))
    assert result.passed, result.problem
    assert result.max_abs_error == 0


def test_published_labels_of_another_size_are_told(
    publishes_labels: Callable[..., Path],
) -> None:
    maps = np.zeros((33, 64, 64), np.float32)
    folder = publishes_labels("stardist_postprocessing", maps, maps[0, :50])
    (result,) = selftest.test_model(load_model(folder))
    assert not result.passed
    assert "(50, 64)" in (result.problem or "")
