# Two commands do everything on a fresh Debian or Ubuntu machine: `make demo` and `make test`.
PYTHON = .venv/bin/python

.PHONY: help setup standins install demo demo-down test lint test-unit bench clean
help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: ## system packages, .venv with .venv/bin/solva
	@tools/setup.sh

install: setup ## put solva on the PATH
	ln -sf "$(CURDIR)/.venv/bin/solva" /usr/local/bin/solva

demo: setup ## bring up the article's application and say where it is
	@$(PYTHON) tools/demo.py up

demo-down: ## end it; its prices stay (VOLUMES=1 forgets them)
	@$(PYTHON) tools/demo.py down

lint: setup ## ruff, mypy --strict, the layers
	.venv/bin/ruff check src tests tools standins
	.venv/bin/mypy
	.venv/bin/lint-imports

test-unit: setup ## no root, under a minute
	$(PYTHON) -m pytest -q tests/unit

standins: setup ## images in place of Docker Hub's, where that cannot be reached
	@$(PYTHON) -m standins up

test: setup lint standins ## everything; JOBS=2 runs test files side by side
	@tools/setup.sh tests
	@for part in unit conformance kernel api scenarios; do \
		echo "== tests/$$part"; began=$$(date +%s); \
		$(PYTHON) -m pytest -q --durations=15 --durations-min=1 $(if $(JOBS),-n $(JOBS) --dist loadfile) tests/$$part || exit 1; \
		echo "== tests/$$part: $$(( $$(date +%s) - began )) s"; \
	done

bench: setup ## figures, paired with a real Docker; BENCH="--only run --runs 3" for some
	@$(PYTHON) -m tools.bench $(BENCH)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
