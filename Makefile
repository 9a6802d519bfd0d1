# The whole vocabulary. Everything is created inside the clone: .venv (tools and sessiond), .cache (services' own
# environments). `make clean` removes both.
SHELL := /bin/bash
PY := .venv/bin/python
STAMP := .venv/.made

.PHONY: demo test test-code-server check fix bench docs clean

demo: $(STAMP)  ## JupyterLab in your browser, started by the daemon; Ctrl-C ends it all. DEMO_ONCE=1: until it answers
	@scripts/demo

test: $(STAMP)  ## every test; installs what they need (as root on Debian also packages)
	@scripts/test

test-code-server: $(STAMP)  ## the real code-server in Chromium; npm installs it, some minutes and 800 MB, so no part of `make test`
	$(PY) -m pytest -q tests/live/code_server.py

check: $(STAMP)  ## what a commit needs: format, lint, types, layers, quick tests
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/shellcheck -x scripts/bootstrap scripts/demo scripts/test .ci/run tests/live/bed/host.sh
	$(PY) -m pytest -q tests/test_layers.py tests/core tests/config tests/store tests/runtime tests/remote tests/api tests/render tests/forms tests/cli tests/gateway

fix: $(STAMP)  ## format, and what the linter can mend by itself
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: $(STAMP)  ## the measurements; each prints a table
	@for script in bench/cli.py bench/gateway.py bench/daemon.py bench/tunnel.py bench/clusters.py; do echo "== $$script"; $(PY) $$script || exit 1; done

docs: $(STAMP)  ## write the generated pages anew
	$(PY) -m tests.core.states_doc > docs/states.md
	$(PY) -m tests.docs.manpages man

clean:
	rm -rf .venv .cache .demo

$(STAMP): pyproject.toml scripts/bootstrap
	@scripts/bootstrap
