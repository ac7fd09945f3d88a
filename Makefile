# make demo   sets up everything, builds a paired dataset from the bundled portraits, trains a small model on it for
#             three minutes and draws faces with it and with the bundled model, in demo/
# make test   sets up everything and runs the quick tests in two processes: minutes on two cores
# make test-all       the quick tests, then those that need a server, a scheduler, a browser or a minute each
# make docs   builds the documentation site, strictly and offline, in site/
.PHONY: demo test integration test-all slow bench lint docs clean
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
# Processes that run tests.
JOBS ?= 2

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another with make PYTHON=...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/sketchprep build --source portraits -o demo/portraits
	$(BIN)/sketchprep preview demo/portraits --stages photo,hed,canny,photocopy,simplify -n 6 -o demo/stages.jpg
	$(BIN)/sketchprep crop-components demo/portraits -o demo/components --images
	$(BIN)/sketchprep train --data demo/portraits --run demo/model --preset tiny --max-minutes 3 \
	  --set ce.max_minutes=1.8 --set batch=4 --set ema_half_life=40 --set ce.schedule.warm_up=40 --set fm-is.lr=5.0e-4
	$(BIN)/sketchprep synthesize sketchprep/data/sketches/*.png --run demo/model -o demo/faces
	$(BIN)/sketchprep synthesize sketchprep/data/sketches/*.png -o demo/drawn
	@echo "Look at demo/portraits/preview.jpg, demo/stages.jpg, demo/components/preview.jpg, demo/drawn/sheet.jpg (bundled model), demo/faces/sheet.jpg (three minutes of training)"

test: $(STAMP)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadgroup

integration: $(STAMP)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadgroup -m 'integration and not slow and not gpu'

test-all:
	$(MAKE) test
	$(MAKE) integration

slow: $(STAMP)
	$(BIN)/python -m pytest -q -m slow

bench: $(STAMP)
	@for f in tests/benchmarks/bench_*.py; do echo "## $$f"; $(BIN)/python $$f || exit 1; done

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) demo build dist site
