"""What comes out at the end: objects, images or scores."""

from __future__ import annotations

from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.scores import Scores

Result = Objects | Images | Scores
"""What a decoder may give."""
