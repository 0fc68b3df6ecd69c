"""Corrections follow their class, whatever it is called."""

from __future__ import annotations

import pytest

from napari_imagec_ai.results.correction.followed_names import followed


def places(**names: str) -> dict[tuple[str, str], str]:
    return {(source, "becomes"): name for source, name in names.items()}


def outcome(before: dict, now: dict, known: str = "") -> tuple[dict, list]:
    found = followed(before, now, known.split().__contains__)
    return found.renamed, found.joined


@pytest.mark.parametrize(
    ("before", "now", "known", "renamed", "joined"),
    [
        (places(), places(a="x"), "x", {}, []),
        (places(a="x"), places(a="x"), "x", {}, []),
        (places(a="x"), places(a="y"), "x", {"x": "y"}, []),
        # Two change names: nothing is joined.
        (
            places(a="x", b="y"),
            places(a="y", b="x"),
            "x y",
            {"x": "y", "y": "x"},
            [],
        ),
        # One takes over the name of another that has a new one.
        (
            places(a="x", b="y"),
            places(a="y", b="z"),
            "x y",
            {"x": "y", "y": "z"},
            [],
        ),
        # One becomes what another is and stays.
        (places(a="x", b="y"), places(a="y", b="y"), "x y", {}, [("x", "y")]),
        # Both become what neither was.
        (
            places(a="x", b="y"),
            places(a="z", b="z"),
            "x y",
            {"x": "z"},
            [("y", "z")],
        ),
        # The other one is left out at the moment, and has objects all the same.
        (places(a="x", b="y"), places(a="y"), "x y", {}, [("x", "y")]),
        # It was known before any place named it, from corrections that were kept.
        (places(a="x"), places(a="y"), "x y", {}, [("x", "y")]),
        # Part of a class has a name of its own: corrections stay with the rest.
        (places(a="x", b="x"), places(a="x", b="y"), "x", {}, []),
    ],
)
def test_what_becomes_of_a_class_s_corrections(
    before: dict, now: dict, known: str, renamed: dict, joined: list
) -> None:
    assert outcome(before, now, known) == (renamed, joined)


def test_a_class_that_is_left_out_is_renamed_when_it_comes_back() -> None:
    left_out = followed(places(a="x", b="y"), places(b="y"), ["x", "y"].__contains__)
    assert (left_out.renamed, left_out.joined) == ({}, [])
    assert left_out.named == places(a="x", b="y")
    back = places(a="z", b="y")
    assert outcome(left_out.named, back, "x y") == ({"x": "z"}, [])
