# Two commands do everything: `make demo` and `make test`. Each sets up what it needs first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo resume test test-slurm test-studies coverage bench lint docs clean

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready-$(shell cat requirements.txt requirements-dev.txt requirements-lock.txt | cksum | cut -d' ' -f1)
SNAKEMAKE := $(VENV)/bin/snakemake
TARGETS ?=

help:  ## say what the targets are
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(READY) bedtools  ## install what is missing; nothing if nothing is

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "regdna: $(PYTHON) is older than 3.11; install Python 3.11 and run: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq python3-venv; } || { echo "regdna: $(PYTHON) has no venv; install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -c requirements-lock.txt -r requirements.txt -r requirements-dev.txt
	@rm -f $(VENV)/ready-*
	@touch $@

.PHONY: bedtools
bedtools:
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; command -v bedtools >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq bedtools >/dev/null; \
	elif command -v mamba >/dev/null || command -v conda >/dev/null; then \
	  $$(command -v mamba || command -v conda) create -y -q -p $(VENV)/conda -c conda-forge -c bioconda bedtools && ln -sf ../conda/bin/bedtools $(VENV)/bin/bedtools; \
	else echo "regdna: bedtools is missing; install it (apt install bedtools, or conda install -c bioconda bedtools) and run make again" >&2; exit 1; fi

# Snakemake and the tools it starts come from the environment, whatever is active outside.
run = PATH="$(CURDIR)/$(VENV)/bin:$$PATH" PYTHONNOUSERSITE=1

demo: setup  ## run the embedded study to results/demo/report.html (no network after setup)
	$(run) $(SNAKEMAKE) --config study=demo -- all
	@echo "open results/demo/report.html"

resume: setup  ## after a kill: end what is left of the last run, unlock, go on (TARGETS=... for something else)
	$(run) $(VENV)/bin/python workflow_scripts/resume.py $(TARGETS)

# In the order that pyproject.toml names: what runs the workflow is long, and comes first.
test: setup  ## run all tests
	$(run) $(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slurm: setup  ## run the tests on a Slurm cluster that they start on this machine (Debian, root)
	$(run) $(VENV)/bin/python -m pytest tests/slurm

test-studies: setup  ## run the full studies, small, against stand-ins of their servers, and real peaks (wants the real data beside the checkout)
	$(run) $(VENV)/bin/python -m pytest tests/full -n 2 --dist loadscope

# Bodies that numba compiles are not seen by coverage: a few tests run once more with them as plain Python.
PLAIN := metrics haplotypes alleles tokenisers intervals windows negatives signals homology background agreement measured variants
COVERED := --cov=workflow_scripts/regdna --cov-report= --cov-append -n 2 --dist loadfile

coverage: setup  ## count the lines of the library that unit and step tests run; fails under 90 %
	@rm -f .coverage
	$(run) $(VENV)/bin/python -m pytest $(COVERED) tests/steps tests/unit
	$(run) NUMBA_DISABLE_JIT=1 $(VENV)/bin/python -m pytest $(COVERED) $(PLAIN:%=tests/unit/test_%.py)
	$(run) $(VENV)/bin/coverage report --fail-under=90 --skip-covered --sort=miss

bench: setup  ## measure the hot paths; one JSON object a line
	@for script in tests/benchmarks/bench_*.py; do $(run) PYTHONPATH=workflow_scripts:tests $(VENV)/bin/python $$script || exit 1; done

lint: setup  ## ruff, snakefmt, codespell, snakemake --lint
	$(run) ruff check .
	$(run) ruff format --check .
	$(run) snakefmt --check Snakefile rules
	$(run) codespell
	$(run) $(SNAKEMAKE) --lint

docs: setup  ## write the pages and the picture that are generated, and build all pages into docs/site (open docs/site/index.html)
	$(run) $(VENV)/bin/python docs/generate.py
	$(run) $(VENV)/bin/python docs/draw.py
	$(run) $(VENV)/bin/python -m sphinx -E -W --keep-going -q -d docs/site/.doctrees docs docs/site

clean:  ## remove the environment (results stay)
	rm -rf $(VENV)
