# Penstock.  make, make test, make demo; make help lists the rest.
#
# A program is cmd/NAME.c or the files of cmd/NAME/ and its rooms; it is linked against two
# archives, libcommon (streams, formats, stores) and kernels (computation), and
# what several programs join of both, cmd/shared/.  A
# unit test is tests/unit/NAME_test.c, a test of programs tests/filters/NAME.t,
# a fuzz target tests/fuzz/NAME_fuzz.c: new files need no line here.

CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
BUILD   ?= build/obj
BIN     ?= bin
VERSION := 0.1.0

# CFLAGS and LDFLAGS belong to the user; what the code needs is in NEED.
PKGS    := sndfile soxr fftw3f jansson libpcre2-8 libutf8proc libcrypto libcurl libzmq hwloc zlib
UNAME   := $(shell uname -s)
ifeq ($(UNAME),Darwin)
BREW    := $(shell brew --prefix 2>/dev/null)
export PKG_CONFIG_PATH := $(BREW)/opt/openssl@3/lib/pkgconfig:$(BREW)/opt/curl/lib/pkgconfig:$(PKG_CONFIG_PATH)
BLAS    := -DACCELERATE_NEW_LAPACK
BLASLIB := -framework Accelerate
MSGPACK := $(or $(shell pkg-config --exists msgpack-c 2>/dev/null && echo msgpack-c),msgpack)
else
PKGS    += openblas
BLAS    :=
BLASLIB :=
MSGPACK := $(or $(shell pkg-config --exists msgpack-c 2>/dev/null && echo msgpack-c),msgpack)
NEEDED  := -Wl,--as-needed
endif
PKGS    += $(MSGPACK)
NEED     = -std=c11 -D_GNU_SOURCE -D_DARWIN_C_SOURCE -DPENSTOCK_VERSION='"$(VERSION)"' -I. $(BLAS) \
           -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -pthread -MMD -MP
PKGFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS     := $(NEEDED) $(shell pkg-config --libs $(PKGS) 2>/dev/null) $(BLASLIB) -lm -pthread

COMMON  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard libcommon/*/*.c libcommon/*/*/*.c))
KERNELS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard kernels/*/*.c kernels/*/*/*.c))
SHARED  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard cmd/shared/*/*.c))
ARCHIVES := $(BUILD)/shared.a $(BUILD)/libcommon.a $(BUILD)/kernels.a
ONEFILE := $(patsubst cmd/%.c,%,$(wildcard cmd/*.c))
FOLDERS := $(patsubst cmd/%/,%,$(dir $(wildcard cmd/*/main.c)))
PROGRAMS := $(ONEFILE) $(FOLDERS)
UNITS   := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*_test.c))
HELPERS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%.o,$(filter-out %_test.c,$(wildcard tests/unit/*.c)))
FILTERS := $(wildcard tests/filters/*.t)
# Apple's clang has no libFuzzer.
FUZZERS := $(if $(and $(filter-out Darwin,$(UNAME)),$(shell command -v clang)),$(patsubst tests/fuzz/%.c,build/fuzz/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c)))

all: deps-check $(addprefix $(BIN)/,$(PROGRAMS))

# --- objects -----------------------------------------------------------------
# Kernels may hold instructions that only some processors have: such code lives
# in files of its own, named for them, and is reached through a table.
X86 := $(filter x86_64 amd64,$(shell $(CC) -dumpmachine | cut -d- -f1))
ISA =
ifneq ($(X86),)
WIDEST = -mprefer-vector-width=512
$(BUILD)/%_avx2.o: ISA = -mavx2 -mfma -mf16c
$(BUILD)/%_avx512.o: ISA = -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c
$(BUILD)/%_avx512bf16.o: ISA = -mavx512bf16 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c
endif
$(BUILD)/kernels/%.o: OPT = -O3 -fno-math-errno
# Plain loops that the compiler shall turn into vectors, as wide as the set has.
$(BUILD)/kernels/linalg/vec/%.o: OPT = -O3 -fno-math-errno -fno-trapping-math -fno-signed-zeros -ffp-contract=fast -fopenmp-simd $(WIDEST)

# make V=1 shows the commands whole.
say = $(if $(V),,@echo '  $(1)';)
$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC $@)$(CC) $(NEED) $(PKGFLAGS) $(CFLAGS) $(OPT) $(ISA) -c -o $@ $<

# Made anew when the compiler or its flags change, so that all else is.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(NEED) $(PKGFLAGS) $(CFLAGS) $(LDFLAGS)' | cmp -s - $@ || \
	 echo '$(CC) $(NEED) $(PKGFLAGS) $(CFLAGS) $(LDFLAGS)' > $@

# A changed list of members makes an archive anew, so that a deleted file leaves.
$(BUILD)/libcommon.a: $(COMMON)
$(BUILD)/kernels.a: $(KERNELS)
$(BUILD)/shared.a: $(SHARED)
$(ARCHIVES):
	@rm -f $@
	$(call say,AR $@)$(AR) rcs $@ $^

$(addprefix $(BIN)/,$(ONEFILE)): $(BIN)/%: $(BUILD)/cmd/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(ARCHIVES) $(LIBS)

define folder
$(BIN)/$(1): $(patsubst %.c,$(BUILD)/%.o,$(wildcard cmd/$(1)/*.c cmd/$(1)/*/*.c)) $(ARCHIVES)
	@mkdir -p $$(@D)
	$$(call say,LD $$@)$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
$(foreach p,$(FOLDERS),$(eval $(call folder,$(p))))

# --- tests -------------------------------------------------------------------
$(UNITS): $(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(HELPERS) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(HELPERS) $(ARCHIVES) $(LIBS)

# Many wait for most of their time, so that one more than there are processors runs at once; PROVE=-v shows all.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
prove = prove --timer -j$(if $(filter 1 2 3 4 5 6 7,$(CORES)),$(shell expr $(CORES) + 1),8) $(PROVE)

check: all $(UNITS)
	@rm -f $(BUILD)/failures
	@PATH="$(abspath $(BIN)):$$PATH" BUILD="$(abspath $(BUILD))" TEST_FAILURES="$(abspath $(BUILD))/failures" \
	  $(prove) -e 'perl tests/exec' $(FILTERS) $(UNITS) || { cat $(BUILD)/failures 2>/dev/null; exit 1; }

# --- 64-bit ARM: the kernels' unit tests under qemu, for whoever asks ------------
check-arm:
	sh tests/arm

# --- sanitizers: the same tests ------------------------------------------------
SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
asan:
	ASAN_OPTIONS=detect_leaks=$(or $(LEAKS),0) $(MAKE) check BUILD=build/asan BIN=build/asan/bin \
	  CFLAGS='$(SANITIZE)' LDFLAGS='-fsanitize=address,undefined'

# --- fuzzing: clang's libFuzzer, a corpus a target ------------------------------
FUZZSECONDS ?= 60
$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(ARCHIVES) $(LIBS)
fuzz:
ifeq ($(FUZZERS),)
	@echo 'nothing to fuzz: libFuzzer needs clang'
else
	@$(MAKE) --no-print-directory CC=clang BUILD=build/fuzz CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined' \
	  LDFLAGS='-fsanitize=fuzzer,address,undefined' $(FUZZERS)
	@$(prove) -e 'perl tests/exec tests/fuzz/run $(FUZZSECONDS)' $(FUZZERS)
endif

# --- what is missing -------------------------------------------------------------
deps:
	sh tests/deps install
deps-check:
	@sh tests/deps check

part = $(MAKE) --no-print-directory -j$(CORES)
test: deps
	$(part) check
	$(part) asan
	$(part) fuzz FUZZSECONDS=5

demo: deps
	$(MAKE) all
	PATH="$(abspath $(BIN)):$$PATH" sh pipelines/demo.sh

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(ARCHIVES) $(LIBS)
bench: deps
	$(MAKE) all
	PATH="$(abspath $(BIN)):$$PATH" sh tests/bench/run
test-oracle: all
	PATH="$(abspath $(BIN)):$$PATH" sh tests/oracle/run

PLACE = $(DESTDIR)$(PREFIX)
install: all
	install -d $(PLACE)/bin $(PLACE)/share/man/man1 $(PLACE)/share/man/man7 $(PLACE)/share/penstock
	install -m 755 $(addprefix $(BIN)/,$(PROGRAMS)) $(PLACE)/bin/
	install -m 644 docs/*.1 $(PLACE)/share/man/man1/
	install -m 644 docs/*.7 $(PLACE)/share/man/man7/
	cp -R pipelines $(PLACE)/share/penstock/
uninstall:
	rm -f $(addprefix $(PLACE)/bin/,$(PROGRAMS))
	rm -f $(addprefix $(PLACE)/share/man/man1/,$(notdir $(wildcard docs/*.1)))
	rm -f $(addprefix $(PLACE)/share/man/man7/,$(notdir $(wildcard docs/*.7)))
	rm -rf $(PLACE)/share/penstock

clean:
	rm -rf build $(BIN)

help:
	@echo 'make            build the programs into bin/'
	@echo 'make test       all tests, also under sanitizers, and a short fuzz run'
	@echo 'make demo       fine-tune a small Whisper on the speech in tests/data'
	@echo 'make check      the tests alone; make asan: under sanitizers; make fuzz: longer'
	@echo 'make check-arm  the kernels for 64-bit ARM, under qemu'
	@echo 'make bench      speed beside the rivals; make test-oracle: against transformers'
	@echo 'make install PREFIX=/usr/local, make uninstall; make clean; make deps (install what is missing)'

.PHONY: all check check-arm test asan fuzz deps deps-check demo bench test-oracle install uninstall clean help FORCE
.SECONDARY:
-include $(COMMON:.o=.d) $(KERNELS:.o=.d) $(wildcard $(BUILD)/cmd/*.d $(BUILD)/cmd/*/*.d $(BUILD)/cmd/*/*/*.d $(BUILD)/tests/*/*.d)
