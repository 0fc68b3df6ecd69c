"""Model folders: found, loaded, installed, tested, trusted, and made of bare weights.

It knows folders and what is in them, and runs a network only to test it. The command
line and the widget find models here.
"""

from napari_imagec_ai.system.lazy_names import face

__getattr__ = face(
    __name__,
    folders="ModelEntry find_models install load_model",
    selftest="test_model",
    **{"package.package_model": "package_model"},
)
