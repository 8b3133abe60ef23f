# make, make test, make clean, make help. Each step is a target that runs if its inputs changed.

PYTHON ?= python3
RECIPE ?= cnn

BIN := .venv/bin
OUT := build/$(RECIPE)
UV  := $(shell command -v uv 2>/dev/null)

# What each step reads: all files of the rooms it uses.
room   = $(wildcard $(1)/*.py $(1)/*/*.py)
CORE   := $(foreach name,core cli data,$(call room,toolkit/mnistkit/$(name))) $(wildcard toolkit/mnistkit/*.py)
TRAIN  := $(CORE) $(call room,toolkit/mnistkit/training)
RUN    := $(CORE) $(call room,toolkit/mnistkit/runtimes) $(call room,toolkit/mnistkit/device)
EXPORT := $(TRAIN) $(RUN) $(call room,toolkit/mnistkit/formats) $(call room,export/mnistkit_export)
VERIFY := $(RUN) $(call room,toolkit/mnistkit/verify)
BENCH  := $(RUN) $(call room,benchmarks/mnistkit_bench)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all train export verify bench setup device pi test lint types unit test-tflite-runtime test-pi test-pi-full bench-pi c-records benchmarks stress recipes docs clean distclean help

# A record is kept whatever its verdict, and these targets end with the exit code of the verdict.
verdict = case "$$(sed -n 's/^ "verdict": "\(.*\)",$$/\1/p' $(OUT)/verify.json)" in PASS) ;; INCONCLUSIVE) exit 3 ;; *) exit 1 ;; esac

all: $(OUT)/verify.json bench  ## train, export, verify and bench the recipe, then recommend an artifact (RECIPE=cnn, PYTHON=python3)
	@$(BIN)/mnistkit recommend $(OUT)/verify.json $(OUT)/bench.json; code=$$?; $(verdict); exit $$code

train: $(OUT)/run.json                ## train the recipe
export: $(OUT)/bundle/manifest.json   ## export the trained model as a bundle
setup: .venv/train                    ## create .venv with everything that the other targets need
device: .venv/device                  ## create .venv for a board: verify and bench without TensorFlow

# A bundle that was copied here, as on a board, has no model here.
ifdef BUNDLE
verify bench: $(firstword $(wildcard .venv/train .venv/device) .venv/device)
	$(BIN)/mnistkit $@ $(BUNDLE)
else
verify: $(OUT)/verify.json            ## verify the bundle against the original model (or BUNDLE=path)
	@$(verdict)
bench: $(OUT)/bench.json              ## measure the bundle on this machine (or BUNDLE=path)
endif

# Training writes run.json last.
$(OUT)/run.json: $(TRAIN) | .venv/train
	$(BIN)/mnistkit train --recipe $(RECIPE) --out $(OUT)

$(OUT)/bundle/manifest.json: $(OUT)/run.json $(EXPORT)
	$(BIN)/mnistkit export $(OUT)/model.keras --out $(OUT)/bundle --force

$(OUT)/verify.json: $(OUT)/bundle/manifest.json $(VERIFY)
	$(BIN)/mnistkit verify $(OUT)/bundle --json $@ --force || case $$? in 1 | 3) ;; *) exit 2 ;; esac

# After verify, never in parallel: background load disturbs the measurements.
$(OUT)/bench.json: $(OUT)/bundle/manifest.json $(BENCH) | $(OUT)/verify.json
	$(BIN)/mnistkit bench $(OUT)/bundle --json $@ --force

# A port becomes part of the board's name with '#', as in mnistkit.fleet.inventory.
HASH  := \#
BOARD := $(OUT)/boards/$(subst :,$(HASH),$(lastword $(subst @, ,$(HOST))))
pi: $(OUT)/bundle/manifest.json .venv/fleet  ## deploy to a board, verify and bench there, recommend an artifact (HOST=pi@raspberrypi.local)
	@$(if $(HOST),,echo "pass the board: make pi HOST=pi@raspberrypi.local" >&2; exit 2)
	$(BIN)/mnistkit fleet verify $(OUT)/bundle --host $(HOST) --results-dir $(dir $(BOARD))
	$(BIN)/mnistkit fleet bench $(OUT)/bundle --host $(HOST) --results-dir $(dir $(BOARD))
	$(BIN)/mnistkit recommend '$(BOARD)/verify.json' '$(BOARD)/bench.json'

# constraints.txt has the versions that were last tested; QUIET keeps pip's progress bars out of logs.
comma := ,
QUIET := $(if $(MAKE_TERMOUT),,-q)
define install
	@echo "creating .venv: this takes a minute or two"
	@test -x $(BIN)/python || $(if $(UV),uv venv -q --python $(PYTHON) .venv,$(PYTHON) -m venv .venv)
	@$(if $(UV),uv pip install $(QUIET) --python $(BIN)/python,$(BIN)/python -m pip install $(QUIET) --disable-pip-version-check) \
		-c constraints.txt -e '.[$(1)]'
	@touch $@
endef

.venv/train: pyproject.toml constraints.txt tools/preflight.py
	@$(PYTHON) tools/preflight.py
	$(call install,train)

.venv/device: pyproject.toml constraints.txt
	$(call install,device)

.venv/fleet: .venv/train
	$(call install,train$(comma)fleet)

.venv/dev: .venv/train
	$(call install,train$(comma)dev)

test: lint types unit                 ## create .venv, then lint, types, tests

lint: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/dev
	$(BIN)/mypy

unit: .venv/dev
	$(BIN)/pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

# The last tflite-runtime needs Python 3.11 and numpy 1: an environment of its own.
PYTHON_3_11 ?= python3.11
OLD := .venv/tflite-runtime
test-tflite-runtime: $(OLD)/done $(OUT)/bundle/manifest.json  ## verify the bundle with tflite-runtime, under Python 3.11
	$(OLD)/bin/mnistkit verify $(OUT)/bundle --runtime tflite-runtime

$(OLD)/done: pyproject.toml | .venv/train
	$(if $(UV),uv venv -q --clear --python $(PYTHON_3_11) $(OLD),$(PYTHON_3_11) -m venv --clear $(OLD))
	$(if $(UV),uv pip install $(QUIET) --python $(OLD)/bin/python,$(OLD)/bin/python -m pip install $(QUIET) --disable-pip-version-check) \
		-e '.[tflite-runtime]'
	@touch $@

# Emulated boards are exact in everything but time. Skipped, with the reason, if QEMU is missing.
test-pi: .venv/dev                    ## run the bundle on emulated boards (minutes)
	$(BIN)/pytest tests/pi -m 'not full' --numprocesses=auto --dist=loadfile

test-pi-full: .venv/dev               ## the same on all images, also on a Pi 3 and Python 3.13
	$(BIN)/pytest tests/pi

bench-pi: .venv/dev $(OUT)/bundle/manifest.json      ## count instructions on emulated boards, compare with the record
	$(BIN)/python tools/bench_pi.py $(OUT)/bundle

c-records: .venv/dev                  ## count instructions of the generated C on emulated processors and record them (10 minutes)
	$(BIN)/python tools/record_c.py
	$(BIN)/python tools/docs.py

benchmarks: .venv/dev all             ## measure mnistkit itself against its targets
	$(BIN)/python benchmarks/performance.py

stress: .venv/dev all                 ## attack the tool with mutated files, kills and random networks, and record the outcomes (an hour)
	$(BIN)/python tools/stress.py
	$(BIN)/python tools/record_operators.py
	$(BIN)/python tools/docs.py

recipes: .venv/dev                    ## train every recipe with several seeds and record the results (an hour)
	$(BIN)/python tools/record_recipes.py
	$(BIN)/python tools/docs.py

docs: .venv/dev                       ## regenerate the generated parts of the docs
	$(BIN)/python tools/docs.py

clean:                                ## remove build products
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

distclean: clean                      ## remove .venv too
	rm -rf .venv

help:                                 ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
