"""What a prediction means: objects, images or scores, a family of networks each.

It starts from the raw output and runs no network. Recipes, sessions and the widget call
it with the settings that a person tunes.
"""

from napari_imagec_ai.system.lazy_names import face

__getattr__ = face(
    __name__,
    decoder="Decoder Settings as_described settings_with",
    decoding="decode",
    registry="choose_decoder decoders get_decoder",
)
