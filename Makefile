# make demo       build, then see a counting script carried over, in this terminal
# make test       everything: unit tests and system tests (root)
# make vm-test    system tests in a virtual machine with another kernel (FILTER=Suite, VM='--kernel 6.12 ...')
# make two-hosts  programs carried between two releases of Debian, each a host of its own (minutes, and the network at first)
# make two-kernels  programs carried between this kernel and Debian's 6.1 and 6.12 in virtual machines (minutes, and the network at first)
# make test-hosts   both of these
# make migrations   redis under writes and a download of nginx move between two such hosts with their addresses (SIZE=1024 MiB of redis)
# make slurm      a job of Slurm is preempted on one such host and goes on on the other
# make fuzz       damaged images and texts for all that reads them (SEED=1, N=100000 or DURATION=60, TARGETS='images ...')
# make help       the other targets
SHELL = /bin/bash
SWIFT ?= swift
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
UNITDIR ?= $(PREFIX)/lib/systemd/system

# One self-contained file: it starts in about a millisecond and runs where no Swift is installed.
RELEASE = -c release --static-swift-stdlib -Xswiftc -static-executable
# Not APUS: that names the program under test, in the environment, and is to reach the scripts.
BUILT = .build/apus
# Generated code is not formatted.
OURS = $(shell git ls-files -co --exclude-standard '*.swift' 2>/dev/null | grep -v '^Sources/ImageMessages/')

.PHONY: all help deps build debug subjects test vm-test two-hosts two-kernels test-hosts migrations slurm fuzz demo bench lint format install install-criu-link uninstall clean

all: build

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile
	@echo 'make build      the static executable $(BUILT)'
	@echo 'make bench      how long dump and restore take, beside what the machine can do (BENCH=--quick)'
	@echo 'make lint       check the format of the sources; make format puts it right'
	@echo 'make install    PREFIX=$(PREFIX), DESTDIR; make uninstall takes it away again'
	@echo 'make install-criu-link   beside it a link named criu, for programs that call that name'
	@echo 'make deps       install the packages needed to build and to test'
	@echo 'make clean      remove all that was built'

deps:
	@scripts/deps.sh

build: deps
	$(SWIFT) build $(RELEASE) --product apus
	@install -m 0755 "$$($(SWIFT) build $(RELEASE) --show-bin-path)/apus" $(BUILT).new
	@strip $(BUILT).new
	@mv $(BUILT).new $(BUILT)
	@ls -l $(BUILT) | awk '{ printf "built %s, %.1f MB\n", $$NF, $$5 / 1e6 }'

subjects: deps
	@$(MAKE) --no-print-directory -C Tests/Subjects

test:
	@SWIFT="$(SWIFT)" scripts/test.sh

vm-test:
	@scripts/vm-test.sh $(VM)

two-hosts: build
	@APUS="$${APUS:-$(CURDIR)/$(BUILT)}" scripts/two-hosts.sh

two-kernels: build
	@APUS="$${APUS:-$(CURDIR)/$(BUILT)}" scripts/two-kernels.sh

test-hosts: two-hosts two-kernels

migrations: build
	@APUS="$${APUS:-$(CURDIR)/$(BUILT)}" scripts/migrations.sh

slurm: build
	@APUS="$${APUS:-$(CURDIR)/$(BUILT)}" scripts/slurm.sh

fuzz: build subjects
	@SWIFT="$(SWIFT)" scripts/fuzz.sh

demo: build
	@scripts/demo.sh "$(CURDIR)/$(BUILT)"

bench: build
	@python3 Benchmarks/bench.py "$(CURDIR)/$(BUILT)" --output .build $(BENCH)

lint:
	@$(SWIFT) format lint --strict --parallel $(OURS) && echo 'lint: $(words $(OURS)) files are well formatted'

format:
	@$(SWIFT) format format --in-place --parallel $(OURS)

install:
	@test -x $(BUILT) || { echo 'nothing to install yet: run make build first' >&2; exit 1; }
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(BASHDIR)" "$(DESTDIR)$(ZSHDIR)" "$(DESTDIR)$(FISHDIR)" "$(DESTDIR)$(UNITDIR)"
	install -m 0755 $(BUILT) "$(DESTDIR)$(BINDIR)/apus"
	install -m 0644 $(wildcard man/*.1) "$(DESTDIR)$(MANDIR)/man1/"
	install -m 0644 completions/apus.bash "$(DESTDIR)$(BASHDIR)/apus"
	install -m 0644 completions/_apus "$(DESTDIR)$(ZSHDIR)/_apus"
	install -m 0644 completions/apus.fish "$(DESTDIR)$(FISHDIR)/apus.fish"
	sed 's,@BINDIR@,$(BINDIR),' systemd/apus-receive.service >"$(DESTDIR)$(UNITDIR)/apus-receive.service"
	chmod 0644 "$(DESTDIR)$(UNITDIR)/apus-receive.service"

install-criu-link: install
	ln -sfn apus "$(DESTDIR)$(BINDIR)/criu"

uninstall:
	rm -f "$(DESTDIR)$(BINDIR)/apus" "$(DESTDIR)$(BASHDIR)/apus" "$(DESTDIR)$(ZSHDIR)/_apus" "$(DESTDIR)$(FISHDIR)/apus.fish"
	rm -f "$(DESTDIR)$(UNITDIR)/apus-receive.service"
	rm -f $(patsubst man/%,"$(DESTDIR)$(MANDIR)/man1/%",$(wildcard man/*.1))
	@if [ "$$(readlink "$(DESTDIR)$(BINDIR)/criu")" = apus ]; then rm -f "$(DESTDIR)$(BINDIR)/criu"; fi

clean:
	rm -rf .build Tests/Subjects/build
