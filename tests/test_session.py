"""A session redoes only what changed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest
from conftest import CountingEngine
from scenes import maps, pairs

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.decoder import Settings, settings_with
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.recipes.session import Session
from napari_imagec_ai.results.class_map import ClassMap, ClassRule
from napari_imagec_ai.run.predicting import Progress
from napari_imagec_ai.run.settings import RunSettings

ONCE = RunSettings()
ALL = ClassMap(class_threshold=0.0)
IMAGE = ai.ImageInput(maps(pairs(), "foreground")[0], "YX", name="scene")


@pytest.fixture
def session(
    make_model: Callable[..., Path],
    counting_engine: CountingEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> Session:
    """A session whose network is the counting engine."""
    monkeypatch.setattr(
        "napari_imagec_ai.recipes.session.open_engine", lambda *_: counting_engine
    )
    return Session(ai.load_model(make_model()))


def run(
    session: Session, image: ai.ImageInput = IMAGE, chosen: RunSettings = ONCE
) -> ai.Prediction:
    ended: list[ai.Prediction] = []

    def drain() -> Generator[Progress, None, None]:
        ended.append((yield from session.run(image, chosen)))

    list(drain())
    return ended[0]


def tuned(session: Session, **changes: object) -> Settings:
    return settings_with(session.defaults, changes)


@pytest.mark.parametrize(
    ("changes", "chosen"),
    [
        pytest.param({"mask_threshold": 0.3}, ALL, id="mask threshold"),
        pytest.param({"min_size": 400}, ALL, id="smallest size"),
        pytest.param({}, ClassMap(class_threshold=0.9), id="class threshold"),
        pytest.param(
            {},
            ClassMap(rules=(ClassRule(source="thing", becomes="cell"),)),
            id="classes",
        ),
    ],
)
def test_tuning_never_runs_the_network(
    session: Session,
    counting_engine: CountingEngine,
    changes: dict[str, object],
    chosen: ClassMap,
) -> None:
    run(session)
    session.result(session.defaults, ALL)
    before = counting_engine.calls
    session.result(tuned(session, **changes), chosen)
    run(session)
    assert counting_engine.calls == before > 0


def test_classes_alone_do_not_decode_again(session: Session) -> None:
    run(session)
    session.result(session.defaults, ALL)
    decoded = session.decoded
    session.result(session.defaults, ClassMap(class_threshold=0.99))
    assert session.decoded is decoded


def test_a_changed_mask_threshold_decodes_again(session: Session) -> None:
    run(session)
    low, high = (
        session.result(tuned(session, mask_threshold=t), ALL) for t in (0.1, 0.9)
    )
    assert low.features["area"].sum() > high.features["area"].sum()


@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.6, 0.8])
def test_a_moving_threshold_shows_its_pixels_and_keeps_objects_apart(
    session: Session, threshold: float
) -> None:
    run(session)
    session.result(session.defaults, ALL)
    moved = tuned(session, mask_threshold=threshold)
    moving = session.result(moved, ALL, moving=True)
    assert session.decoded is not None
    rested = session.result(moved, ALL)
    assert len(moving) == len(rested) == 6
    found, expected = moving.as_labels(), rested.as_labels()
    np.testing.assert_array_equal(found > 0, expected > 0)
    assert (found == expected).mean() > 0.99


def test_a_moving_threshold_finds_what_was_not_there(session: Session) -> None:
    run(session)
    assert len(session.result(tuned(session, mask_threshold=0.99), ALL)) == 0
    moving = session.result(tuned(session, mask_threshold=0.3), ALL, moving=True)
    assert moving.features["area"].min() > 100


def test_what_moved_is_forgotten_when_it_rests(session: Session) -> None:
    run(session)
    rested = session.result(session.defaults, ALL)
    session.result(tuned(session, mask_threshold=0.9), ALL, moving=True)
    again = session.result(session.defaults, ALL)
    np.testing.assert_array_equal(again.as_labels(), rested.as_labels())


@pytest.mark.parametrize(
    ("image", "chosen"),
    [
        pytest.param(ai.ImageInput(IMAGE.data + 0, "YX"), ONCE, id="another image"),
        pytest.param(IMAGE, RunSettings(tile=(64,)), id="another tile size"),
        pytest.param(IMAGE, RunSettings(channels=(0,)), id="other channels"),
    ],
)
def test_what_the_network_sees_runs_it_again(
    session: Session,
    counting_engine: CountingEngine,
    image: ai.ImageInput,
    chosen: RunSettings,
) -> None:
    first = run(session)
    before = counting_engine.calls
    assert run(session, image, chosen) is not first
    assert counting_engine.calls > before


def test_objects_are_those_of_the_last_image(session: Session) -> None:
    run(session)
    assert len(session.result(session.defaults, ALL)) == 6
    run(session, ai.ImageInput(np.zeros((64, 64), np.float32), "YX"))
    assert len(session.result(session.defaults, ALL)) == 0


def test_a_stopped_run_keeps_the_last_prediction(session: Session) -> None:
    first = run(session)
    other = session.run(ai.ImageInput(IMAGE.data + 0, "YX"), RunSettings(tile=(64,)))
    next(other)
    next(other)
    other.close()
    assert session.prediction is first


def test_a_loaded_prediction_can_be_tuned(session: Session, tmp_path: Path) -> None:
    run(session).save(tmp_path / "p.npz")
    expected = session.result(session.defaults, ALL)
    session.hold(ai.Prediction.load(tmp_path / "p.npz"))
    found = session.result(session.defaults, ALL)
    np.testing.assert_array_equal(found.as_labels(), expected.as_labels())


def test_the_recipe_of_a_session_gives_its_objects(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    session = Session(ai.load_model(make_model()))
    run(session)
    settings = tuned(session, mask_threshold=0.3)
    classes = ClassMap(rules=(ClassRule(source="thing", becomes="cell"),))
    found = session.result(settings, classes)
    saved = session.recipe(ONCE, settings, classes).save(tmp_path / "r.yaml")
    again = Recipe.load(saved).run(IMAGE)
    session.close()
    written = [
        ai.write(objects, tmp_path / name).read_bytes()
        for objects, name in ((found, "a.csv"), (again, "b.csv"))
    ]
    assert written[0] == written[1]


def test_a_recipe_says_what_really_ran(session: Session) -> None:
    run(session)
    used = session.recipe(ONCE, session.defaults, ALL).used
    assert (used.engine, used.device) == ("counting", "cpu")


def test_a_session_runs_again_after_it_was_closed(session: Session) -> None:
    run(session)
    session.close()
    assert len(run(session, ai.ImageInput(IMAGE.data + 0, "YX")).maps) == 1


def test_an_unknown_decoder_is_refused(make_model: Callable[..., Path]) -> None:
    with pytest.raises(ai.DecodeError, match="no decoder 'onet'"):
        Session(ai.load_model(make_model()), "onet")
