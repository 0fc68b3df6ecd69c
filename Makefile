# `make demo` shows the main job, `make test` checks everything. Both start from a fresh
# clone on a machine with Python >= 3.11, make and git.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint docs docs-serve faults bench clean

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

# Every link, name and docstring on the pages is checked; the site goes into site/.
docs: $(READY) .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-serve: $(READY) .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

.venv/.docs: $(READY)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[docs]'
	touch .venv/.docs

# Hostile input and sudden death, tried: the table says what was survived.
faults: $(READY)
	sh tools/with_display.sh $(BIN)/python -m faults

bench: $(READY)
	sh tools/with_display.sh $(BIN)/python -m benchmarks

$(READY): pyproject.toml tools/set_up.sh
	PYTHON=$(PYTHON) sh tools/set_up.sh
	touch $(READY)

clean:
	rm -rf .venv .venv-lowest demo-result site
