"""Classes that a person tells, where the weights do not carry them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from detectors import SceneEngine, detector_rdf, scene

import napari_imagec_ai as ai
from napari_imagec_ai.run.settings import RunSettings, class_names

BOXES = [(4, 6, 20, 30, 0), (36, 40, 60, 52, 1)]


class Turned(SceneEngine):
    """A network whose rows come first though they have no objectness.

    Each row ends with numbers that are no scores, as an angle or key points are.
    """

    def __init__(self, extra: int = 0) -> None:
        super().__init__("scores", masks=False)
        self.extra = extra

    def run(self, inputs: Any) -> list[np.ndarray]:
        (table,) = super().run(inputs)
        rows = np.swapaxes(table, 1, 2)
        noise = np.full((*rows.shape[:2], self.extra), 0.99, np.float32)
        return [np.concatenate([rows, noise], axis=2)]


def unnamed(make_model: Any, name: str = "unnamed", width: int = 6) -> ai.Model:
    """A detector whose description has no classes."""
    rdf = detector_rdf("objectness", masks=False)
    rdf["config"] = {"napari_imagec_ai": {"decoder": "yolo"}}
    rdf["outputs"][0]["axes"][2]["size"] = width
    return ai.load_model(make_model(name, network=None, **rdf))


def picture() -> ai.ImageInput:
    return ai.ImageInput(scene((64, 64), BOXES)[0], "YX", name="scene")


def test_the_number_of_classes_decides_how_rows_are_read(make_model: Any) -> None:
    model = unnamed(make_model)
    alone = ai.decode(ai.predict(model, picture(), engine=Turned()))
    assert len(alone) != 2 or alone.classes != ("class 1", "class 2")
    raw = ai.predict(model, picture(), engine=Turned(), classes=("round", "rod"))
    objects = ai.decode(raw)
    assert objects.classes == ("round", "rod")
    assert objects.boxes.tolist() == [list(box[:4]) for box in BOXES]
    assert objects.class_id.tolist() == [0, 1]


@pytest.mark.parametrize("masks", [True, False])
def test_one_class_less_leaves_its_scores_out(make_model: Any, masks: bool) -> None:
    model = ai.load_model(
        make_model("scores", network=None, **detector_rdf("scores", masks))
    )
    engine = SceneEngine("scores", masks)
    found = ai.decode(ai.predict(model, picture(), engine=engine, classes=("round",)))
    assert found.classes == ("round",)
    assert found.boxes.tolist() == [list(BOXES[0][:4])]
    assert any("1 numbers of each box" in sentence for sentence in found.assumed)
    if masks:
        assert found.as_labels()[4:20, 6:30].all()


def test_numbers_beyond_the_classes_are_left_out(make_model: Any) -> None:
    model = unnamed(make_model, width=8)
    rows = SceneEngine("objectness", masks=False)

    class Posed(SceneEngine):
        def run(self, inputs: Any) -> list[np.ndarray]:
            (table,) = rows.run(inputs)
            noise = np.full((*table.shape[:2], 3), 0.99, np.float32)
            return [np.concatenate([table, noise], axis=2)]

    found = ai.decode(ai.predict(model, picture(), engine=Posed(), classes=("a", "b")))
    assert found.boxes.tolist() == [list(box[:4]) for box in BOXES]
    assert any("3 numbers of each box" in sentence for sentence in found.assumed)


def test_more_classes_than_fit_are_refused_in_a_sentence(make_model: Any) -> None:
    names = tuple("abcdefgh")
    with pytest.raises(ai.DecodeError, match=r"at most \d classes.*found 8"):
        ai.predict(unnamed(make_model), picture(), engine=Turned(), classes=names)
    with pytest.raises(ai.ModelError, match="different name for each class"):
        unnamed(make_model, "again").with_classes(["a", "a"])


def test_what_was_told_is_in_the_saved_prediction(
    make_model: Any, tmp_path: Path
) -> None:
    model = unnamed(make_model)
    raw = ai.predict(model, picture(), engine=Turned(), classes=("round", "rod"))
    raw.save(tmp_path / "raw.npz")
    again = ai.Prediction.load(tmp_path / "raw.npz")
    assert again.model.classes == ("round", "rod")
    assert again.model.classes_by_hand
    assert ai.decode(again).counts() == {"round": 1, "rod": 1}


@pytest.mark.parametrize(
    ("text", "names"),
    [("3", ("class 1", "class 2", "class 3")), (" a, b ", ("a", "b")), ("a", ("a",))],
)
def test_flags_take_names_or_a_number(text: str, names: tuple[str, ...]) -> None:
    assert class_names(text) == names


@pytest.mark.parametrize("text", ["0", "", " , ", "99999999"])
def test_flags_say_what_is_no_number_of_classes(text: str) -> None:
    with pytest.raises(ai.ImagecAIError, match="Expected names of classes"):
        class_names(text)


def test_names_told_on_the_command_line_are_in_the_files_and_the_recipe(
    run_cli: Any, make_model: Any, tmp_path: Path
) -> None:
    folder = make_model("dense", config={"napari_imagec_ai": {"decoder": "unet"}})
    values = np.zeros((32, 32), np.float32)
    values[8:20, 8:20] = 0.9
    tifffile.imwrite(tmp_path / "one.tif", values)
    words = ["predict", folder, tmp_path / "one.tif", "-o", "out", "--classes", "yeast"]
    assert run_cli(*words)[0] == 0
    table = Path("out/one.objects.csv").read_text(encoding="utf-8")
    assert "yeast" in table
    recipe = ai.Recipe.load("out/one.recipe.yaml")
    assert recipe.predict == RunSettings(
        **recipe.predict.model_dump() | {"classes": ("yeast",)}
    )
    assert (
        run_cli("run", "out/one.recipe.yaml", tmp_path / "one.tif", "-o", "re")[0] == 0
    )
    assert Path("re/one.objects.csv").read_text(encoding="utf-8") == table
