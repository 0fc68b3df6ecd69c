"""Folders that are searched, and zips that are unpacked or refused."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import yaml
from conftest import description

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library import zips
from napari_imagec_ai.library.folders import (
    bundled_models,
    find_models,
    install,
    load_model,
    user_models,
)

MakeModel = Callable[..., Path]


def zipped(folder: Path, path: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, inside + file.name)
    return path


# -- searching -------------------------------------------------------------------------


def test_one_broken_description_never_hides_another(
    make_model: MakeModel, tmp_path: Path
) -> None:
    make_model("a")
    (make_model("b") / "rdf.yaml").write_bytes(b"\t{broken")
    make_model("c")
    (tmp_path / "made" / "d").mkdir()
    entries = find_models(tmp_path / "made")
    assert [entry.path.name for entry in entries] == ["a", "b", "c"]
    assert [entry.problem is None for entry in entries] == [True, False, True]
    assert entries[1].model is None
    assert "not valid YAML" in (entries[1].problem or "")


def test_a_model_that_cannot_run_is_listed_with_the_reason(
    make_model: MakeModel,
) -> None:
    (entry,) = find_models(make_model(network=None))
    assert entry.model is not None
    assert "not in the folder" in (entry.problem or "")


def test_a_folder_that_is_not_there_is_an_entry_with_a_problem(tmp_path: Path) -> None:
    (entry,) = find_models(tmp_path / "gone")
    assert entry.model is None
    assert "There is no folder" in (entry.problem or "")


def test_an_empty_folder_has_no_models(tmp_path: Path) -> None:
    assert find_models(tmp_path) == []


def test_a_model_in_two_search_folders_is_listed_once(
    make_model: MakeModel, tmp_path: Path
) -> None:
    folder = make_model()
    assert len(find_models(tmp_path, folder, folder.parent)) == 1


def test_hidden_folders_are_not_searched(make_model: MakeModel, tmp_path: Path) -> None:
    make_model(".installing-x")
    assert find_models(tmp_path / "made") == []


def test_folders_of_the_environment_are_searched_where_none_is_named(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model("from-environment")
    monkeypatch.setenv("IMAGEC_AI_MODELS", str(folder.parent))
    assert folder in [entry.path for entry in find_models()]


def test_a_folder_in_a_loop_of_links_ends(
    make_model: MakeModel, tmp_path: Path
) -> None:
    make_model()
    (tmp_path / "made" / "loop").symlink_to(tmp_path / "made")
    assert len(find_models(tmp_path / "made")) == 1


# -- loading ---------------------------------------------------------------------------


def test_a_folder_a_description_and_a_zip_give_the_same_model(
    make_model: MakeModel, tmp_path: Path
) -> None:
    folder = make_model()
    package = zipped(folder, tmp_path / "tiny.zip")
    models = [load_model(p) for p in (folder, str(folder / "rdf.yaml"), package)]
    assert {model.source for model in models} == {models[0].source}
    assert all(model.usable for model in models)


def test_a_model_is_found_by_its_name_and_by_its_folder(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model("in-library", name="Nice name")
    monkeypatch.setenv("IMAGEC_AI_MODELS", str(folder.parent))
    assert load_model("in-library").folder == folder
    assert load_model("Nice name").folder == folder


def test_an_unknown_name_is_answered_with_the_known_ones(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model("in-library")
    monkeypatch.setenv("IMAGEC_AI_MODELS", str(folder.parent))
    with pytest.raises(ModelError, match=r"no model 'nope'.*'in-library'"):
        load_model("nope")


def test_an_empty_folder_is_no_model_and_the_error_says_what_is_missing(
    tmp_path: Path,
) -> None:
    with pytest.raises(ModelError, match=r"no model description \(rdf.yaml"):
        load_model(tmp_path)


def test_a_folder_here_does_not_hide_the_model_that_was_made_of_it(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model("my-stardist")
    monkeypatch.setenv("IMAGEC_AI_MODELS", str(folder.parent))
    source = tmp_path / "work" / "my-stardist"
    source.mkdir(parents=True)
    (source / "weights_best.h5").write_bytes(b"")
    monkeypatch.chdir(source.parent)
    assert load_model("my-stardist").folder == folder
    with pytest.raises(ModelError, match=r"imagec-ai convert .*my-stardist"):
        load_model(source)


def test_a_file_of_weights_is_no_model_and_the_error_says_what_to_do(
    make_model: MakeModel,
) -> None:
    with pytest.raises(ModelError, match=r"imagec-ai package weights.onnx --decoder"):
        load_model(make_model() / "weights.onnx")


# -- zips ------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["", "some-folder/", "./"])
def test_a_zip_is_installed_under_its_own_name(
    inside: str, make_model: MakeModel, tmp_path: Path
) -> None:
    package = zipped(make_model(), tmp_path / "nice.zip", inside)
    target = install(package)
    assert target == user_models() / "nice"
    assert load_model(target).usable
    assert [path.name for path in user_models().iterdir()] == ["nice"]


def test_a_zip_with_an_entry_for_its_top_folder_is_installed(
    make_model: MakeModel, tmp_path: Path
) -> None:
    package = zipped(make_model(), tmp_path / "nice.zip")
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr(zipfile.ZipInfo("./"), b"")
    assert load_model(install(package)).usable


def test_installing_twice_is_refused_and_changes_nothing(
    make_model: MakeModel, tmp_path: Path
) -> None:
    package = zipped(make_model(), tmp_path / "nice.zip")
    target = install(package, tmp_path / "models")
    (target / "note.txt").write_text("mine")
    with pytest.raises(ModelError, match="is there already; remove it first"):
        install(package, tmp_path / "models")
    assert (target / "note.txt").read_text() == "mine"


@pytest.mark.parametrize("member", ["../evil", "a/../../evil", "/evil", "..\\evil"])
@pytest.mark.parametrize("use", [install, load_model])
def test_a_zip_that_reaches_outside_is_left_alone(
    use: Callable[[Path], object], member: str, make_model: MakeModel, tmp_path: Path
) -> None:
    package = zipped(make_model(), tmp_path / "bad.zip")
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr(member, b"x")
    with pytest.raises(ModelError, match="outside its folder; it was left alone"):
        use(package)
    assert not list(tmp_path.parent.rglob("*evil*"))
    assert not (user_models() / "bad").exists()


def test_a_zip_with_a_link_is_left_alone(make_model: MakeModel, tmp_path: Path) -> None:
    package = zipped(make_model(), tmp_path / "bad.zip")
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ModelError, match=r"'link'.*left alone"):
        install(package)


def test_a_bomb_is_left_alone(make_model: MakeModel, tmp_path: Path) -> None:
    package = zipped(make_model(), tmp_path / "bomb.zip")
    with zipfile.ZipFile(package, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(20 << 20))
    with pytest.raises(ModelError, match="would unpack to 3 files"):
        install(package)
    assert not (user_models() / "bomb").exists()


def test_a_bomb_of_members_that_overlap_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "bomb.zip"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rdf.yaml", yaml.safe_dump(description()))
        archive.writestr("noise", np.random.default_rng(0).bytes(50_000))
    found = zipfile.ZipFile.infolist
    # As a directory would say that names the same bytes a thousand times.
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda self: found(self) * 1000)
    with pytest.raises(ModelError, match="would unpack to 2000 files"):
        install(package)


def test_a_zip_with_too_many_files_is_left_alone(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "_MAX_FILES", 1)
    with pytest.raises(ModelError, match="would unpack to 2 files"):
        install(zipped(make_model(), tmp_path / "many.zip"))


def test_a_zip_without_a_model_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    for use in (install, load_model):
        with pytest.raises(ModelError, match="holds no model description"):
            use(tmp_path / "a.zip")


def test_a_zip_with_a_broken_description_is_not_installed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("rdf.yaml", "\t{")
    with pytest.raises(ModelError, match="not valid YAML"):
        install(tmp_path / "a.zip")
    assert list(user_models().iterdir()) == []


@pytest.mark.parametrize("use", [install, load_model])
def test_a_truncated_zip_is_to_be_downloaded_again(
    use: Callable[[Path], object], make_model: MakeModel, tmp_path: Path
) -> None:
    package = zipped(make_model(), tmp_path / "half.zip")
    package.write_bytes(package.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"cannot be unpacked.*download it again"):
        use(package)


@pytest.mark.parametrize("at", range(40, 100, 12))
def test_a_zip_with_damaged_bytes_is_to_be_downloaded_again(
    at: int, tmp_path: Path
) -> None:
    package = tmp_path / "damaged.zip"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rdf.yaml", yaml.safe_dump(description()))
    content = bytearray(package.read_bytes())
    content[at : at + 8] = b"\xff" * 8
    package.write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot be unpacked.*download it again"):
        load_model(package)


def test_a_zip_that_changed_is_unpacked_anew(
    make_model: MakeModel, tmp_path: Path
) -> None:
    package = tmp_path / "tiny.zip"
    zipped(make_model("one", name="One"), package)
    assert load_model(package).name == "One"
    zipped(make_model("two", name="Another"), package)
    assert load_model(package).name == "Another"


def test_a_cache_that_cannot_be_written_is_told_with_a_way_out(
    make_model: MakeModel, tmp_path: Path
) -> None:
    package = zipped(make_model(), tmp_path / "tiny.zip")
    Path(platformdirs.user_cache_dir()).write_text("a file where the folder should be")
    with pytest.raises(ModelError, match=r"Could not unpack.*give the folder"):
        load_model(package)


def test_a_copy_of_a_bundled_model_is_the_same_model_and_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundled_models() / "nuclei-unet"
    shutil.copytree(folder, tmp_path / "models" / "nuclei-unet")
    monkeypatch.chdir(tmp_path)
    listed = [entry.path for entry in find_models() if entry.path.name == folder.name]
    assert [path.resolve() for path in listed] == [
        (tmp_path / "models" / "nuclei-unet").resolve()
    ]
    assert find_models(bundled_models())
    # Another model of that name is another model.
    rdf = tmp_path / "models" / "nuclei-unet" / "rdf.yaml"
    rdf.write_text(rdf.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    listed = [entry.path for entry in find_models() if entry.path.name == folder.name]
    assert len(listed) == 2
