PYTHON ?= python3
PORT ?= 8000
# onnxruntime and onnxruntime-gpu exclude each other; a machine whose driver answers gets the GPU's
RUNTIME := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
BIN := .venv/bin
DEMO := artifacts/demo/1/model.onnx
DEMO_ROWS := 800000

.PHONY: help run test proofs ops lint demo clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

run: $(DEMO) ops ## install, train the demo model if it is not there, serve it on 127.0.0.1:8000 (PORT=) and show a first score
	@$(BIN)/python -m service.first_score http://127.0.0.1:$(PORT) & \
	exec $(BIN)/thimble-serve artifacts --port $(PORT)

test: .venv/dev ops ## install and run every test
	$(BIN)/pytest

proofs: .venv/dev ops ## proofs that take minutes: long fuzzing, the oldest ONNX Runtime
	$(BIN)/pytest -m proof

ops: ## build the native lookup, for CPU and, where nvcc is found, CUDA; says why where it cannot
	@$(PYTHON) export/ops/build.py --fetch-headers

lint: .venv/dev ## ruff, ruff format --check and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: $(DEMO) ## train and export the demo model: Criteo-TB's 96.1 GB of tables in a 10 MB array

clean: ## remove the environment, training runs, artifacts and caches
	rm -rf .venv runs artifacts build service/*.so *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEMO): | .venv/run
	$(BIN)/thimble-export train --preset demo --generate $(DEMO_ROWS)
	$(BIN)/thimble-export export runs/demo --version 1

.venv/run: pyproject.toml constraints.txt
	$(call install,$(RUNTIME),export)
	@touch $@

.venv/dev: pyproject.toml constraints.txt
	$(call install,$(RUNTIME),export,load,dev)
	@touch $@ .venv/run

comma := ,
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Thimble needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(1)$(comma)$(2)$(if $(3),$(comma)$(3))$(if $(4),$(comma)$(4))]'
endef
