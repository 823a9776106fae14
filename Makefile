PYTHON ?= python3
PORT ?= 8000
# onnxruntime and onnxruntime-gpu exclude each other; a machine whose driver answers gets the GPU's
RUNTIME := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
BIN := .venv/bin
DEMO_ROWS := 3000000
# what may call nothing that Linux alone has, unless it asks first
PORTABLE := -p thimble.client -p thimble.export -p thimble.models -p thimble.service
# tests that start no server and train no model
QUICK := tests/models tests/client/test_retries.py tests/service/wire tests/loadtests/report tests/loadtests/results/test_gates.py \
	tests/loadtests/results/test_histogram.py tests/loadtests/generate/test_pacing.py \
	tests/loadtests/generate/test_shapes.py tests/loadtests/test_options.py tests/export/clicks/test_cardinality.py \
	tests/export/clicks/test_lines.py tests/export/clicks/test_rows.py tests/export/artifact/test_lookup_function.py \
	tests/export/metrics \
	tests/export/tradeoff/test_chance.py tests/export/tradeoff/test_choice.py tests/export/tradeoff/test_findings.py \
	tests/export/importing/test_features.py tests/export/importing/test_mapping.py \
	tests/export/importing/test_torch_file.py tests/export/importing/test_vocabulary.py \
	tests/service/engine/test_cost.py tests/service/releases/test_release.py \
	tests/service/releases/test_repository.py tests/service/releases/test_shadow_messages.py \
	tests/images/test_dockerfile.py tests/test_dependencies.py tests/test_imports.py

.PHONY: help run test quick coverage proofs image-test ops lint load demo clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

run: .venv/run ## install, serve what is in artifacts/ on 127.0.0.1:8000 (PORT=) and show a first score
	@exec $(BIN)/python -m thimble.client.first_score http://127.0.0.1:$(PORT) \
	$(BIN)/thimble-serve artifacts --host 127.0.0.1 --port $(PORT)

# two files at a time: most tests wait for a server half of the time, and those of a file share what they set up
test: .venv/dev ops ## install and run every test
	$(BIN)/pytest -n 2 --dist loadfile

quick: .venv/dev ## install and run the tests that take less than a minute together
	$(BIN)/pytest $(QUICK)

coverage: .venv/dev ops ## run every test and list the lines that none reached, in servers and workers too (slower)
	$(BIN)/pytest --cov

proofs: .venv/proofs ops ## proofs that take long: fuzzing, the oldest ONNX Runtime, perf_analyzer, Ray Serve, an hour of load, ten minutes of faults
	$(BIN)/pytest -m proof

image-test: .venv/dev ## build the image, run it locked down and the compose stack under load; needs Docker
	$(BIN)/pytest -m image tests/images

ops: ## build the native lookup, for CPU and, where nvcc is found, CUDA; says why where it cannot
	@$(PYTHON) ops/build.py --fetch-headers

lint: .venv/dev .links ## ruff, ruff format --check and mypy, as on Linux and as on macOS
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# both at once, each takes a core for minutes; neither outlives the target
	$(BIN)/mypy & linux=$$!; $(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin $(PORTABLE); darwin=$$?; \
	wait $$linux && exit $$darwin

load: .venv/load ops ## compare full tables of 2.16 GB with the same model 10,000 times smaller, and report (minutes)
	$(BIN)/thimble-load compare

demo: .venv/dev ## train the demo model anew on 3,000,000 generated clicks and export it as the next version
	$(BIN)/thimble-export train --preset demo --generate $(DEMO_ROWS) --epochs 1
	$(BIN)/thimble-export export runs/demo --precision int8 --cost-rows 1000000

clean: ## remove the environment, training runs, builds and caches; artifacts stay
	rm -rf .venv .links .coverage* runs build ops/*.so *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# mypy follows no mapping of folders to packages, but it follows links
.links: Makefile
	@mkdir -p .links/thimble
	@for folder in client export loadtests models ops service; do ln -sfn ../../$$folder .links/thimble/$$folder; done
	@touch $@

.venv/run: pyproject.toml constraints.txt
	$(call install,$(RUNTIME)$(comma)client)
	@touch $@

.venv/load: pyproject.toml constraints.txt
	$(call install,$(RUNTIME)$(comma)export$(comma)load)
	@touch $@ .venv/run

.venv/dev: pyproject.toml constraints.txt
	$(call install,$(RUNTIME)$(comma)export$(comma)load$(comma)dev)
	@touch $@ .venv/run .venv/load

.venv/proofs: pyproject.toml constraints.txt
	$(call install,$(RUNTIME)$(comma)export$(comma)load$(comma)dev$(comma)ray)
	@touch $@ .venv/run .venv/load .venv/dev

comma := ,
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Thimble needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing what it needs into .venv, once; the first time takes minutes"
	@# pip's warnings are of use only beside its failure
	@$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[$(1)]' 2>.venv/pip.log \
	|| { cat .venv/pip.log >&2; exit 1; }
endef
