"""Opens weights and runs the network, one batch at a time, here or in another process.

Nobody else imports a runtime. It knows weights and arrays, but no axes and no tiles; a
run calls it, and so does the test of a model.
"""

from napari_imagec_ai.system.lazy_names import face

__getattr__ = face(
    __name__,
    engine="Engine",
    registry="engine_names",
    opening_weights="open_engine open_file",
)
