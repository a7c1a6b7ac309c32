# Two commands: `make demo` (films to a served model) and `make test`. Nothing has to be installed
# first but Python 3.11+; everything lands in .tools/ and .venv/ inside this folder.

PYTHON ?= python3
UV := .tools/bin/uv
RUN := .venv/bin/python
PORT ?= 8000
# Ray's tests that wait for the tests without Ray, so that two cores end with both at about one time.
LATE := tests/serve tests/test_many_classes.py tests/test_parity.py tests/lucency/test_bulk.py \
  tests/lucency/test_batch.py tests/lucency/search

.PHONY: demo test lint bench env clean

demo: env ## make demo [DATA=folder] [KEEP=1] [PORT=8000] [ARGS="a.b=c ..."]
	@$(RUN) jobs/pipeline.py \
	  $(if $(DATA),configs/pipeline/chest_xray.yaml "dataset.root=$(DATA)",configs/pipeline/phantom.yaml) \
	  serve.port=$(PORT) $(if $(KEEP),serve.keep=true) $(ARGS)

test: env ## everything that a change must keep; with ARGS what these name
ifdef ARGS
	@$(RUN) -m pytest $(ARGS)
else
	@beside=$$(mktemp); \
	  ( trap 'kill $$one; exit 130' TERM; \
	    $(RUN) -m pytest -m "not ray" & one=$$!; wait $$one; others=$$?; \
	    $(RUN) -m pytest -m ray $(LATE) & one=$$!; wait $$one; exit $$((others + $$?)) \
	  ) > $$beside 2>&1 & rest=$$!; \
	  trap "kill $$rest; rm -f $$beside; exit 130" INT TERM; \
	  $(RUN) -m pytest -m ray $(LATE:%=--ignore=%); ray=$$?; wait $$rest; others=$$?; \
	  cat $$beside; rm -f $$beside; exit $$((ray + others))
endif

lint: env ## format, lint, types, import layers
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@.venv/bin/lint-imports

bench: env ## where the README's figures come from; about a quarter of an hour, best on a quiet machine
	@$(RUN) bench/pipeline.py
	@$(RUN) bench/prepare.py
	@$(RUN) bench/feeding.py
	@$(RUN) bench/drift.py

env: .venv/.made

# uv itself comes by pip into a folder of its own, at the version that wrote the lock file.
$(UV):
	@echo "==> uv into .tools/" >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1); Lucency needs Python 3.11 to 3.13: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .tools && .tools/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

.venv/.made: pyproject.toml uv.lock | $(UV)
	@echo "==> packages of uv.lock into .venv/ (about 6.5 GB, torch is most of it)" >&2
	@$(UV) sync --quiet --frozen --python "$$(command -v $(PYTHON))" --all-extras --group dev
	@touch $@

clean: ## forget the environment and everything made in work/
	rm -rf .venv .tools work
