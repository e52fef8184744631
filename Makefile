# Only calls start.py, which does the work and runs without make: python start.py lab
PYTHON ?= python3
export LAB_ARGS

.DEFAULT_GOAL := help
.PHONY: lab check test release book site notebooks train edit lint constraints help

lab check test release book site notebooks train edit lint constraints help:
	@$(PYTHON) start.py $@ $(ARGS)
