# make review   build the NSSI review into build/nssi
# make test     every test        make check   format, lint, types, tests
.PHONY: setup review test check format pin benchmarks clean
BIN := .venv/bin

setup:
	@sh scripts/setup.sh

review: setup
	@$(BIN)/comfrey build reviews/nssi -o build/nssi

test: setup
	@$(BIN)/python -m pytest -n 2

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n 2

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Writes the pinned versions anew from pyproject.toml.
pin: setup
	@$(BIN)/uv pip compile pyproject.toml --group dev --upgrade --generate-hashes --universal --python-version 3.11 \
		--no-header --no-emit-index-url --no-annotate -q -o requirements/constraints.txt
	@echo uv | $(BIN)/uv pip compile --upgrade --generate-hashes --universal --python-version 3.11 \
		--no-header --no-emit-index-url --no-annotate -q -o requirements/bootstrap.txt -

benchmarks: setup
	@$(BIN)/python benchmarks/run.py

clean:
	rm -rf build .venv
