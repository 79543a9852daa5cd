# make run    the whole sweep and its report            make test   the tests
# make check  lint, types, formatting, documentation   make report Snakemake's own report
# make faults the whole campaign of faults, in hours, and docs/reliability.md; make test runs a part
# make release   wheel and source archive in dist/, checked; uploads nothing
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
READY := $(VENV)/.resomap-ready
TESTS ?= tests
ARGS ?=

.PHONY: run test faults check report lock release clean
.DEFAULT_GOAL := run

$(READY): envs/requirements.lock pyproject.toml envs/setup.sh
	@sh envs/setup.sh $(VENV) $(PYTHON)
	@touch $@

run: $(READY)
	@$(BIN)/snakemake $(ARGS)

# Three workers for two cores, since the tests of the cluster mostly wait.
test: $(READY)
	@$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder -m "not faults" $(TESTS) $(ARGS)

faults: $(READY)
	@$(BIN)/python -m pytest -n 2 -m faults $(TESTS)
	@$(BIN)/python -m tests.faults.campaign --page docs/reliability.md $(ARGS)

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/snakefmt --check Snakefile workflow/Snakefile rules
	@$(BIN)/snakemake --lint
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir $(VENV)/site

report: $(READY)
	@$(BIN)/snakemake --report results/report/snakemake.html

# The lock and the conda files made from it; run after a change of dependencies in pyproject.toml.
lock: $(READY)
	@PATH="$(BIN):$$PATH" uv pip compile -q --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-annotate --no-header pyproject.toml -o envs/requirements.lock
	@$(BIN)/python -m resomap.system.conda_files envs

release: $(READY)
	@PATH="$(BIN):$$PATH" sh envs/release.sh $(VENV)

clean:
	rm -rf results logs .snakemake
