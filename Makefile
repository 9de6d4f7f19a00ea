# Everything a developer does, by one word. Each target sets up first if need be; `make setup` alone prepares .venv.
# ARGS goes on to the program: make test ARGS="-k dialogues", make demo ARGS=--once, make lock ARGS=--upgrade.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/stamp
PACKAGE := $(VENV)/package
ARGS ?=
NAMES ?=

.PHONY: setup test lint format demo man wheel lock certs bench bench-logins bench-poplog faults soak fuzz
.DELETE_ON_ERROR:

setup: $(PACKAGE)

# The lock and the project file are all that the libraries follow from: while they are younger, there is nothing to do.
$(STAMP): requirements-dev.txt pyproject.toml .ci/find-python
	python=$$(.ci/find-python) && "$$python" -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

# An edit of the package counts at once; what is installed beside it is copied.
$(PACKAGE): $(STAMP) $(wildcard contrib/*/*)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

test: setup
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

demo: setup
	$(BIN)/submission demo $(ARGS)

# The pages, to read them with man -l; a wheel writes its own.
man: setup
	$(BIN)/python -m manual build/man

wheel: setup
	$(BIN)/hatchling build --target wheel

# One file for every supported Python and platform. The index that uv was told to ask is nobody else's business.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"
lock: setup
	$(COMPILE) --group dev --output-file requirements-dev.txt $(ARGS) pyproject.toml
	$(COMPILE) --group fuzz --output-file requirements-fuzz.txt $(ARGS)

certs: setup
	$(BIN)/python certs-dev/make-certificates $(NAMES)

# Needs a C compiler and OpenSSL's headers; the peers need root.
bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

# Whether the time of a failed login tells who is there: docs/credentials.md.
bench-logins: setup
	$(BIN)/python -m benchmarks.logins $(ARGS)

# What following logs costs: docs/pop-before-smtp.md.
bench-poplog: setup
	$(BIN)/python -m benchmarks.poplog
	$(BIN)/python -m benchmarks.popwatch

# Ten thousand messages through random faults, and whether the sums agree: docs/faults.md.
faults: setup
	$(BIN)/python -m tests.faults.storm $(ARGS)

# Whether anything grows with thousands of clients, and whether the slow are felt: docs/performance.md. Needs a C compiler.
soak: setup
	$(BIN)/python -m benchmarks.soak $(ARGS)

# One target for so many seconds: make fuzz ARGS="session 600". docs/development.md lists them.
fuzz: setup $(VENV)/fuzz
	$(BIN)/python -m fuzz $(ARGS)

$(VENV)/fuzz: $(PACKAGE) requirements-fuzz.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.txt
	touch $@
