"""What the metadata of our layers say, by their keys."""

METADATA = "napari_imagec_ai"
"""Key of a layer's metadata under which the recipe lies."""

PLACE = "napari_imagec_ai_place"
"""Key of a layer's metadata: shape of the image, where the layer's pixels begin in it
(``corner``), and where the image's planes do (``origin``), for each axis."""

CORRECTED = "napari_imagec_ai_corrected"
"""Key of a Labels layer's metadata: how many objects a person corrected in it."""

SCENE = "napari_imagec_ai_scene"
"""Key of a layer's metadata: which image of its file, or of another layer, it is."""
