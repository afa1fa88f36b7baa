# The front door: each target is one or two cmake/ctest lines. docs/HACKING.md explains them.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
CTEST = ctest --test-dir $(1) -j$(JOBS) --output-on-failure --no-tests=error
BUILD = tools/deps.sh $(2) && cmake --preset $(1) -Wno-dev >/dev/null && cmake --build --preset $(1) -j$(JOBS)

.PHONY: all test check deep sim sim-forever asan tsan coverage fuzz tidy fmt bench demo install uninstall clean
all: ## the program and the library, in build/
	@$(call BUILD,release,build)
test: ## everything quick; T=name runs the tests whose name matches
ifdef T
	@JOBS=$(JOBS) tools/test_some.sh dev '$(T)'
else
	@tools/test.sh
endif
check: ## the quick part of test: dev build, lint, unit, scenario, golden, short simulation
	@$(call BUILD,dev,test) && $(call CTEST,build-dev) -LE 'slow|e2e|deep'
deep: ## everything, for a release
	@tools/test.sh deep
sim: ## one simulated world from its seed: make sim S=42
	@$(call BUILD,dev,test) && build-dev/tests/sim/sim --seed $(or $(S),1) --trace
sim-forever: ## new seeds on every core until one fails
	@$(call BUILD,dev,test) && build-dev/tests/sim/sim --seed $$(date +%s)000000 --for-ever --jobs $(JOBS)
asan tsan: ## the tests under a sanitizer; T=name as above
ifdef T
	@JOBS=$(JOBS) tools/test_some.sh $@ '$(T)'
else
	@$(call BUILD,$@,test) && $(call CTEST,build-$@) -LE 'lint|e2e|deep'
endif
coverage: ## branches and conditions of format and core that their tests take (clang 19)
	@tools/deps.sh deep && JOBS=$(JOBS) tools/coverage.sh
fuzz: ## one fuzz target or all: make fuzz T=batch S=60 (seconds)
	@tools/deps.sh test && JOBS=$(JOBS) tools/fuzz.sh "$(T)" $(S)
tidy: ## the checkers, with clang-tidy
	@$(call BUILD,dev,test) && $(call CTEST,build-dev) -L lint -LE deep && tools/clang_tidy.py build-dev --all
fmt: ## format the sources in place
	@tools/format.sh
bench: all
	@build/tidemark bench $(or $(T),append)
demo: all ## a leader, two followers, real input, a crash
	@build/tidemark demo
install: all
	@cmake --install build --prefix $(PREFIX)
uninstall: ## removes what the last install wrote
	@xargs -d '\n' -r rm -vf < build/install_manifest.txt
clean:
	@rm -rf build build-*
