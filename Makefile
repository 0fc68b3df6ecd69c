# `make demo` shows the main job, `make test` checks everything. Both start from a fresh
# clone on a machine with Python >= 3.11, make and git.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PINS := requirements/py$(shell $(PYTHON) -c 'import sys; print("%d%d" % sys.version_info[:2])').txt
# Tests run side by side in as many processes: each may take 2 GB.
JOBS ?= 2
PINNED := $(if $(wildcard $(PINS)),-c $(PINS))

.PHONY: demo test fresh lint docs docs-serve faults bench lock clean

demo: $(READY)
	$(BIN)/imagec-ai demo -o demo-result

test: $(READY)
	sh tools/with_display.sh $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
	$(MAKE) lint

# Property tests with examples that nobody has seen: what they find is kept as @example.
fresh: $(READY)
	sh tools/with_display.sh $(BIN)/python -m pytest -q --hypothesis-profile=fresh \
		$$(grep -l '^@given' tests/test_*.py)

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
	VIRTUAL_ENV=.venv $(BIN)/uv pip install -q $(PINNED) -e '.[docs]'
	touch .venv/.docs

# Hostile input and sudden death, tried: the first table says what was survived, the
# second that each guard that is taken away is missed.
faults: $(READY)
	sh tools/with_display.sh $(BIN)/python -m faults
	sh tools/with_display.sh $(BIN)/python -m faults --mutants

bench: $(READY)
	sh tools/with_display.sh $(BIN)/python -m benchmarks

# Pins what the tests and pages need: the newest versions of today.
lock: $(READY)
	UV=$(BIN)/uv sh tools/lock.sh

$(READY): pyproject.toml tools/set_up.sh tools/torch.sh $(wildcard requirements/*.txt)
	PYTHON=$(PYTHON) sh tools/set_up.sh
	touch $(READY)

clean:
	rm -rf .venv .venv-lowest .venv-newest demo-result site
