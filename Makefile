# Thin: every target is one script or one cmake call. `make help` lists them.
PREFIX ?= /usr/local
DESTDIR ?=
MAKEFLAGS += --no-print-directory

.PHONY: help deps build demo test unit bench lint lint-full format install clean

help:
	@echo "make deps       install the Debian packages that building and testing need"
	@echo "make build      build every executable into build/bin/"
	@echo "make demo       build, then show the whole system working on this machine"
	@echo "make test       build, then run every check, on this machine's kernel and in the VM"
	@echo "make unit       only the unit tests"
	@echo "make bench      measure against peers and against the physical floor"
	@echo "make lint       style, sizes, dependency rules, static analysis of what changed (lint-full: of everything)"
	@echo "make install    install into DESTDIR PREFIX (now: $(DESTDIR)$(PREFIX))"

deps:
	@tools/deps

build: build/build.ninja
	@cmake --build build

# CMake runs itself again when one of its files changed; only the first configuration is ours.
build/build.ninja:
	@cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX)

demo: deps build
	@conformance/demo/run

test: deps
	@tools/test

unit: build
	@tools/test unit

bench: deps build
	@bench/run

lint: build/build.ninja
	@tools/lint

lint-full: build/build.ninja
	@tools/lint --full

format:
	@tools/format

install: build
	@DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)"

clean:
	rm -rf build
