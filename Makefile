# make demo    predict the bundled sample case into demo-output/
# make test    run the test suite; JOBS=4 on as many processes (3)
# make test-lowest  run the unit tests, the small fuzz and the check of imports with the lowest versions that
#              pyproject.toml allows (in .venv-lowest)
# make test-slicer-python SLICER_SOURCE=...  run the panel's tests with the Python files of a checkout of 3D Slicer
# make fuzz    feed 10,000 made-up and damaged inputs to it;  make faults  attack it;  make soak  200 predictions in one worker
#              make chaos  cohorts whose workers and clients are killed, and thousands of cases
# make training-demo  simulate patients, train the paper's four configurations in miniature, evaluate them
# make lint    check style, imports, types and workflows;  make format  rewrite what can be;  make types  types alone
# make coverage  the tests again, with all rows of the exhaustive ones, and the lines of the engine that they run: 92 % at least
# make mutation  change the engine's grid, sampling, response and planning line by line: does a test notice? (hours)
# make site    make one site of the pages in build/site; a broken link is an error
# make package  wheel and sdist into dist/, checked
# make system  install the system libraries of the Slicer test host, a DICOM server and a validator (Debian and Ubuntu, as
#              root; else their tests skip)
# make venv    only create the virtual environment
# make clean   remove everything that the other targets made
#
# Needs Python 3.11 or 3.12 with the venv module. Everything is installed into .venv.
#   PYTHON=...            the Python to create the environment with
#   TORCH_INDEX_URL=...   package index to take torch from, for example the CPU-only index of the PyTorch project

SHELL := /bin/sh
VENV ?= .venv
BIN := $(VENV)/bin
SAMPLE := GBMResponse/Resources/SampleData

# A command that exists may still not run (version managers install shims), so each one is tried.
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for candidate in python3.12 python3.11 python3; do \
	if "$$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	>/dev/null 2>&1; then echo "$$candidate"; break; fi; done)
endif

PIP := $(BIN)/python -m pip --disable-pip-version-check
ifdef TORCH_INDEX_URL
TORCH_INDEX := --index-url $(TORCH_INDEX_URL)
endif

# Nothing is downloaded at run time and no settings are written outside this folder.
export HF_HUB_OFFLINE := 1
export MPLCONFIGDIR := $(abspath $(VENV))/matplotlib

# torch is installed uncompiled, see below. Where no process may keep what it has compiled, each of the hundreds that the
# tests start compiles torch again, which takes as long as loading it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo training-demo test test-lowest test-slicer-python lint types coverage mutation site package format fuzz faults soak chaos \
  system venv clean

demo: $(VENV)/.installed-demo
	$(BIN)/gbmresponse predict \
	  --image $(SAMPLE)/btp05_pre_t1gd.nii.gz \
	  --gtv $(SAMPLE)/btp05_pre_gtv.nii.gz \
	  --follow-up $(SAMPLE)/btp05_post_t1gd.nii.gz \
	  --out demo-output --seed 1

training-demo: $(VENV)/.installed-test
	PATH="$(abspath $(BIN)):$$PATH" bash Testing/tools/synthetic_experiment.sh training-demo-output $(ANATOMIES)

# A file's tests stay in one process, which makes their fixtures once. The folders that take longest come first.
JOBS ?= 3
PARALLEL := -n $(JOBS) --dist loadfile --no-loadscope-reorder

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(PARALLEL)

# Slicer's own parameterNodeWrapper, ScriptedLoadableModule, i18n and packaging instead of the host's doubles of them.
test-slicer-python: $(VENV)/.installed-test
	@if [ -z "$(SLICER_SOURCE)" ]; then \
	  echo "Skipped: name a checkout of 3D Slicer, make test-slicer-python SLICER_SOURCE=/path/to/Slicer"; \
	else SLICER_SOURCE="$(abspath $(SLICER_SOURCE))" $(BIN)/python -m pytest $(PARALLEL) Testing/host; fi

# The tests that need no Slicer wheel. torch comes first, see below.
LOWEST := .venv-lowest
LOWEST_PIP := $(LOWEST)/bin/python -m pip --disable-pip-version-check
test-lowest: export MPLCONFIGDIR := $(abspath $(LOWEST))/matplotlib
test-lowest: $(LOWEST)/.installed
	PYTHONPATH=GBMResponse:. $(LOWEST)/bin/lint-imports --no-cache --no-logo
	$(LOWEST)/bin/python -m pytest $(PARALLEL) Testing/fuzz Testing/unit

$(LOWEST)/.installed: pyproject.toml constraints-lowest.txt
	$(MAKE) venv VENV=$(LOWEST)
	$(LOWEST_PIP) install -c constraints-lowest.txt $(TORCH_INDEX) torch
	$(LOWEST_PIP) install -c constraints-lowest.txt -e '.[training,dicom,cluster]' \
	  pytest pytest-xdist hypothesis import-linter torchmetrics
	@touch $@

lint: $(VENV)/.installed-lint types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=GBMResponse:. $(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/shellcheck .ci/run Testing/tools/*.sh

types: $(VENV)/.installed-lint
	$(BIN)/mypy

coverage: export GBMRESPONSE_ALL_ROWS := 1
coverage: $(VENV)/.installed-test
	rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/coverage run -m pytest $(PARALLEL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# MODULES="grid response" for some of them, EVERY=10 for every tenth change. See docs/mutation.md.
mutation: $(VENV)/.installed-test
	$(BIN)/python Testing/tools/mutate.py $(MODULES) --every $(or $(EVERY),1)

site: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

package: $(VENV)/.installed-package
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

# Many inputs and attacks: minutes to hours, see docs/reliability.md. SEED and INPUTS choose the inputs.
fuzz: $(VENV)/.installed-test
	cd Testing && $(abspath $(BIN))/python -m fuzz --inputs $(or $(INPUTS),10000) --seed $(or $(SEED),1)

faults: $(VENV)/.installed-test
	cd Testing && $(abspath $(BIN))/python -m faults

chaos: $(VENV)/.installed-test
	cd Testing && $(abspath $(BIN))/python -m chaos

soak: $(VENV)/.installed-test
	$(BIN)/python Testing/tools/soak.py

format: $(VENV)/.installed-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Qt and Mesa draw without a screen. Nothing is done where the libraries are there, or without apt-get or the rights.
HOST_LIBRARIES := libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri libxkbcommon0 libdbus-1-3 libfontconfig1 libglib2.0-0 fonts-dejavu-core
# A DICOM server, which the tests start themselves, so that the system's need not run; and a validator.
DICOM_PROGRAMS := orthanc orthanc-dicomweb dicom3tools
system:
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && ! dpkg -s $(HOST_LIBRARIES) >/dev/null 2>&1; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(HOST_LIBRARIES) \
	  || echo "The system libraries could not be installed: the tests of the Slicer test host will skip."; fi
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && ! dpkg -s $(DICOM_PROGRAMS) >/dev/null 2>&1; then \
	  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(DICOM_PROGRAMS); } \
	  || echo "Orthanc and dicom3tools could not be installed: the tests with a DICOM server and a validator will skip."; \
	  if command -v systemctl >/dev/null; then systemctl disable --now orthanc >/dev/null 2>&1 || true; fi; fi

venv: $(VENV)/.created

$(VENV)/.created:
	@test -n "$(PYTHON)" || { \
	  echo "No Python 3.11 or 3.12 with the venv module was found. Install one, or set PYTHON=/path/to/python."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch comes first and alone: the pinned version is then in place before another package asks for it. Files are compiled
# when they are imported, which most never are: a third less to do until the demo is there.
$(VENV)/.installed-torch: $(VENV)/.created constraints.txt
	$(PIP) install --no-compile -c constraints.txt $(TORCH_INDEX) torch
	@touch $@

$(VENV)/.installed-demo: $(VENV)/.installed-torch pyproject.toml constraints.txt
	$(PIP) install --no-compile -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed-torch pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[test]'
	@touch $@

# Beside what is installed already.
$(VENV)/.installed-lint $(VENV)/.installed-docs $(VENV)/.installed-package: $(VENV)/.installed-%: $(VENV)/.installed-test
	$(PIP) install -c constraints.txt -e '.[$*]'
	@touch $@

clean:
	rm -rf .venv .venv-lowest demo-output training-demo-output build dist gbmresponse.egg-info .hypothesis .pytest_cache .ruff_cache
	find GBMResponse GBMResponseTraining Testing -name __pycache__ -type d -prune -exec rm -rf {} +
