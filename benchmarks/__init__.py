"""What measures speed; never part of the tests."""

import os

# Nothing goes online: builds of ONNX Runtime since 1.29 report sessions to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
