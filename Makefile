# `make run` opens the app, `make test` checks everything; both set up their environment first.
.PHONY: run test check screenshots bench clean
.DEFAULT_GOAL := run

VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(shell command -v uv 2>/dev/null)
ARGS ?=

# pip honours its own setting for a local folder of wheels; hand the same to uv.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

ifdef UV
CREATE = $(UV) venv --quiet --allow-existing --python ">=3.11" $(VENV)
INSTALL = $(UV) pip install --quiet --python $(PYTHON)
else
CREATE = python3 -m venv $(VENV)
INSTALL = $(PYTHON) -m pip install --quiet --disable-pip-version-check
endif

run: $(VENV)/.app
	$(PYTHON) app.py --open $(ARGS)

test: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	rm -f demos/widgets/*.pyi  # Gradio writes these stubs at import and doesn't keep them fresh
	$(VENV)/bin/pyright
	$(PYTHON) -m pytest -m "not browser" -n 2 --dist loadfile $(ARGS)
	$(PYTHON) -m pytest -m browser $(ARGS)  # alone: they wait for pages that others would slow down

screenshots: $(VENV)/.dev
	$(PYTHON) -m tests.browser.screenshots

bench: $(VENV)/.dev
	for name in matching scenes stereo preflight nerf splats splat_fit splat_view control inpainting inpainting_patch inpainting_learned inpainting_prior inpainting_repaint video captioning startup; do $(PYTHON) -m tests.bench.$$name; done

clean:
	rm -rf $(VENV) screenshots

$(VENV)/bin/python:
	$(CREATE)

$(VENV)/.app: requirements.txt | $(VENV)/bin/python
	$(INSTALL) -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.app
	$(INSTALL) -r requirements-dev.txt
	touch $@
