"""The registry of decoders: names, guesses and those of other packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scenes import maps, pairs, prediction

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.registry import choose_decoder, decoders, guess_decoder


def test_an_unknown_decoder_is_refused_with_the_names_of_the_known() -> None:
    model = prediction(maps(pairs(), "foreground")).model
    with pytest.raises(ai.DecodeError, match=r"no decoder 'onet'.*unet"):
        choose_decoder(model, "onet")


def test_a_model_of_unknown_kind_asks_the_person() -> None:
    model = prediction(
        maps(pairs(), "foreground"), kind="embedding", decoder=None
    ).model
    assert guess_decoder(model) is None
    with pytest.raises(ai.DecodeError, match=r"choose a decoder: unet"):
        choose_decoder(model)


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a decoder that finds one object: all of the image."""
    package = tmp_path / "site"
    info = package / "otherdecoders-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: otherdecoders\n")
    (info / "entry_points.txt").write_text(
        "[napari_imagec_ai.decoders]\n"
        "everything = otherdecoders:EVERYTHING\n"
        "broken = otherdecoders:NOT_THERE\n"
    )
    (package / "otherdecoders.py").write_text(
        "import numpy as np\n"
        "from napari_imagec_ai.decoders import Decoder, Settings\n"
        "from napari_imagec_ai.results.objects import Objects\n"
        "class EverythingSettings(Settings):\n"
        "    confidence: float = 0.9\n"
        "def decode(prediction, settings):\n"
        "    frame = prediction.frame\n"
        "    return Objects(frame, np.ones(1, np.int32), np.zeros(1, np.int32),\n"
        "        np.full(1, settings.confidence, np.float32),\n"
        "        np.float32([[0, 0, *frame.shape]]), ('all',),\n"
        "        np.ones(frame.shape, np.int32))\n"
        "EVERYTHING = Decoder('everything', 'Everything', EverythingSettings, decode,\n"
        "    lambda model: EverythingSettings(), lambda model: False)\n"
    )
    monkeypatch.syspath_prepend(package)
    return package


@pytest.mark.usefixtures("other_package")
def test_a_decoder_of_another_package_decodes() -> None:
    made = prediction(np.zeros((1, 20, 30)), decoder="everything")
    found = ai.decode(made)
    assert found.boxes.tolist() == [[0, 0, 20, 30]]
    assert found.classes == ("all",)


@pytest.mark.usefixtures("other_package")
def test_settings_choose_their_decoder() -> None:
    made = prediction(np.zeros((1, 20, 30)))
    chosen = decoders()["everything"].settings(confidence=0.25)
    assert ai.decode(made, chosen).confidence.tolist() == [0.25]


@pytest.mark.usefixtures("other_package")
def test_a_decoder_that_does_not_load_leaves_the_others_alone() -> None:
    known = decoders()
    assert {"unet", "everything"} <= set(known)
    assert "broken" not in known
