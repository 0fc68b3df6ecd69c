# `make demo` shows the main job, `make test` checks everything. Both start from a fresh
# clone on a machine with Python >= 3.11, make and git.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint bench clean

demo: $(READY)
	$(BIN)/imagec-ai demo -o demo-result

test: $(READY)
	sh tools/with_display.sh $(BIN)/python -m pytest
	$(MAKE) lint

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/npe2 validate --imports napari-imagec-ai

bench: $(READY)
	sh tools/with_display.sh $(BIN)/python -m benchmarks

$(READY): pyproject.toml tools/set_up.sh
	PYTHON=$(PYTHON) sh tools/set_up.sh
	touch $(READY)

clean:
	rm -rf .venv demo-result
