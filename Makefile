# hone's one Makefile. `make help` lists the goals.
#
# Every src/*/*.c belongs to the library, except src/cli, which is the program. Every
# tests/unit/*_test.c and tests/tools/*.c is a program, tests/golden/*.c together is one, every
# tests/fuzz/*_fuzz.c a fuzz target. A new file needs no line here; its flags come from its name.

VERSION  := 0.1.0
PREFIX   ?= /usr/local
DESTDIR  ?=
BUILD    ?= build
CC       ?= cc
AR       ?= ar
CFLAGS   ?= -O2 -g
GOLDEN   ?= $(or $(HONE_SHARED),../shared)/golden
VECTORS  ?= $(or $(HONE_SHARED),../shared)/data/vectors
CACHE    := $(or $(HONE_TEST_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hone-tests)

# The engine needs three libraries; decoding audio, the store and the program need the others.
# ENGINE_ONLY=1 leaves those out (cross builds that only run engine tests).
ENGINE_DEPS := jansson libutf8proc zlib
# FFmpeg: its headers only; its libraries are opened when the first audio file is (media/ffmpeg.h).
AUDIO_DEPS  := libavformat libavcodec libavutil libswresample
DEPS        := $(ENGINE_DEPS) $(if $(ENGINE_ONLY),,libcurl libzip libcrypto libmicrohttpd sqlite3)
ALSA        := $(shell pkg-config --exists alsa 2>/dev/null && echo alsa)
CLI_DEPS    := libedit $(ALSA)

PKG_CONFIG := $(if $(PKG_CONFIG_LIBDIR),PKG_CONFIG_LIBDIR=$(PKG_CONFIG_LIBDIR)) pkg-config
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(DEPS) $(if $(ENGINE_ONLY),,$(AUDIO_DEPS)) 2>/dev/null)
PKG_LIBS   := $(shell $(PKG_CONFIG) --libs $(DEPS) 2>/dev/null) -lm -pthread
CLI_LIBS   := $(shell $(PKG_CONFIG) --libs $(CLI_DEPS) 2>/dev/null)

WARN       := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS   += $(if $(ALSA),-DHONE_ALSA) $(if $(ENGINE_ONLY),-DHONE_ENGINE_ONLY) -D_GNU_SOURCE -DHONE_VERSION='"$(VERSION)"' -Iinclude -Isrc $(PKG_CFLAGS)
ALL_CFLAGS  = -std=c11 $(WARN) -fPIC -fvisibility=hidden -ffp-contract=off -pthread $(CFLAGS)
COMPILE     = $(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ISA) -MMD -MP

ARCH    := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
KERNELS := $(if $(filter x86_64,$(ARCH)),src/tensor/x86)
KERNELS += $(if $(filter aarch64 arm64,$(ARCH)),src/tensor/arm)
DECODER := src/media/audio_file.c src/media/audio_pcm.c src/media/ffmpeg.c src/media/resample.c
OUTSIDE := src/cli/%.c $(if $(ENGINE_ONLY),src/weights/%.c src/lab/%.c src/route/%.c src/serve/%.c src/base/http%.c src/base/sha256.c \
                           $(DECODER),src/media/audio_none.c)

LIB_SRC  := $(filter-out $(OUTSIDE),$(wildcard src/*/*.c) $(wildcard $(addsuffix /*.c,$(KERNELS))))
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o)
CLI_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/cli/*.c))
UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*_test.c))
TOOLS    := $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(wildcard tests/tools/*.c))
# choices are asked by the lab
GOLD_SRC := $(filter-out $(if $(ENGINE_ONLY),tests/golden/choice.c),$(wildcard tests/golden/*.c))
FUZZ     := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
BENCHES  := $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c))
LIB      := $(BUILD)/libhone.a

all: $(BUILD)/hone $(LIB) $(BUILD)/libhone.so ## build the program and the library (the default)

# --- rules ---

# Instruction-set flags go to files named for their set and to no other. (Sanitizers set
# SIMD_OPT=-O1: gcc needs many minutes for their checks in unrolled intrinsics.)
SIMD_OPT ?= -O3
AVX2   := $(SIMD_OPT) -mavx2 -mfma -mf16c
AVX512 := $(AVX2) -mavx512f -mavx512bw -mavx512dq -mavx512vl
X86    := $(BUILD)/src/tensor/x86
ARM    := $(BUILD)/src/tensor/arm
$(X86)/avx2.o $(X86)/avx2_%.o: ISA := $(AVX2)
$(X86)/avx512.o $(X86)/avx512_attention.o $(X86)/avx512_encode.o: ISA := $(AVX512)
$(X86)/avx512_limits.o: ISA := $(AVX512) -mavx512vnni -mavx512bf16
$(X86)/avx512_vnni.o $(X86)/avx512_vnni_rows.o: ISA := $(AVX512) -mavx512vnni
$(X86)/avx512_bf16.o: ISA := $(AVX512) -mavx512bf16
$(ARM)/neon.o $(ARM)/neon_attention.o $(ARM)/neon_limits.o: ISA := $(SIMD_OPT)
$(ARM)/neon_dotprod.o: ISA := $(SIMD_OPT) -march=armv8.2-a+dotprod

# The parts of the API's description as string literals, a comma behind each (serve/description.c).
API_PARTS := $(wildcard src/serve/api/*.json)
$(BUILD)/api/parts.inc: $(API_PARTS)
	@mkdir -p $(@D)
	for part in $(API_PARTS); do \
	    sed -e 's/\\/\\\\/g; s/"/\\"/g; s/^ */"/; s/$$/\\n"/' $$part && echo ,; done > $@
$(BUILD)/src/serve/description.o: $(BUILD)/api/parts.inc
$(BUILD)/src/serve/description.o: CPPFLAGS += -I$(BUILD)
# Files that a report's page carries; Chart.js comes from a package (docs/dependencies.md).
CHART_JS ?= $(firstword $(wildcard /usr/share/javascript/chart.js/chart.min.js \
                                   node_modules/chart.js/dist/chart.umd.js))
$(BUILD)/src/lab/report_embed.o: CPPFLAGS += -DHONE_REPORT_STYLE='"src/lab/report_page.css"' \
    -DHONE_REPORT_SCRIPT='"src/lab/report_page.js"' $(if $(CHART_JS),-DHONE_CHART_JS='"$(CHART_JS)"')
$(BUILD)/src/lab/report_embed.o: src/lab/report_page.css src/lab/report_page.js $(CHART_JS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

$(LIB): $(LIB_OBJ)
	rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libhone.so: $(LIB_OBJ)
	$(CC) -shared -Wl,-soname,libhone.so.0 $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/hone: $(CLI_OBJ) $(LIB)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) $(CLI_LIBS)

$(BUILD)/example: docs/example.c $(LIB)
	$(CC) -std=c11 $(WARN) -Iinclude $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS)

define program
	@mkdir -p $(@D)
	$(COMPILE) -Itests -MF $@.d $(LDFLAGS) -o $@ $(filter tests/%.c bench/%.c,$^) $(LIB) $(PKG_LIBS) $(MORE_LIBS)
endef
# This one also writes audio files, of every kind.
$(BUILD)/tests/audio_test: MORE_LIBS = $(shell $(PKG_CONFIG) --libs $(AUDIO_DEPS))
$(UNIT): $(BUILD)/tests/%: tests/unit/%.c $(LIB) ; $(program)
# makes its files with FFmpeg's encoders
$(BUILD)/tests/audio_test: PKG_LIBS += $(shell $(PKG_CONFIG) --libs $(AUDIO_DEPS) 2>/dev/null)
$(TOOLS): $(BUILD)/tests/%: tests/tools/%.c $(LIB) ; $(program)
$(BENCHES): $(BUILD)/bench/%: bench/%.c $(LIB) ; $(program)
$(BUILD)/tests/golden: $(GOLD_SRC) $(wildcard tests/golden/*.h tests/*.h) $(LIB) ; $(program)

# --- goals ---

# Goals that build first use all cores, unless -j says otherwise (only recipes can see that).
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1))

test: ## everything that must hold; ends with `N passed, N failed`
	@$(MAKE) --no-print-directory $(JOBS) all tests
	@sh tests/run.sh $(BUILD)

tests: $(UNIT) $(TOOLS) $(BUILD)/tests/golden $(BUILD)/example

demo: ## install what is missing, build, fetch the default model, ask it, tune it, compare it
	@sh scripts/demo.sh

golden: $(BUILD)/hone $(BUILD)/tests/golden ## compare with reference outputs: make golden GOLDEN=folder
	@sh tests/fetch_model.sh $(BUILD)/hone $(CACHE)/models || true
	@HONE_TEST_MODELS=$(CACHE)/models $(BUILD)/tests/golden $(GOLDEN)

vectors: $(TOOLS) ## tokenizer and template vectors: make vectors VECTORS=folder
	@HONE_TEST_CACHE=$(CACHE) sh tests/vectors.sh $(BUILD) $(VECTORS)

SANITIZED := CC=$(CC) SIMD_OPT=-O1 CFLAGS="-O1 -g -fno-omit-frame-pointer
ADDRESS   := -fsanitize=address,undefined -fno-sanitize-recover=all
sanitize: ## the tests under address and undefined behaviour sanitizers, threads apart
	$(MAKE) $(JOBS) BUILD=$(BUILD)/asan $(SANITIZED) $(ADDRESS)" all tests
	sh tests/sanitize.sh $(BUILD)/asan
	$(MAKE) $(JOBS) BUILD=$(BUILD)/tsan $(SANITIZED) -fsanitize=thread" all tests
	sh tests/sanitize.sh $(BUILD)/tsan

FUZZ_SECONDS ?= 60
FUZZ_CC      ?= clang
# Vector kernels parse nothing, and clang needs many minutes for their checks: they go without.
fuzz: ## every fuzz target for a minute (FUZZ_SECONDS), under sanitizers; needs clang
	$(MAKE) $(JOBS) BUILD=$(BUILD)/fuzzing CC=$(FUZZ_CC) SIMD_OPT="-O1 -fno-sanitize=all" \
	    CFLAGS="-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all" fuzzers
	sh tests/fuzz.sh $(BUILD)/fuzzing $(FUZZ_SECONDS)

fuzzers: $(FUZZ)
$(FUZZ): LDFLAGS += -fsanitize=fuzzer
$(FUZZ): $(BUILD)/fuzz/%: tests/fuzz/%.c $(LIB) ; $(program)

soak: ## long runs: ten minutes of each fuzz target, every sanitizer, the tests ten times over
	$(MAKE) fuzz FUZZ_SECONDS=600
	$(MAKE) sanitize
	for i in 1 2 3 4 5 6 7 8 9 10; do $(MAKE) test || exit 1; done

load: $(BUILD)/hone ## the server under 200 clients for two minutes, and faults
	python3 tests/serve/load.py $(BUILD)/hone --seconds 120

bench: all $(BENCHES) ## speed of the default model on this machine
	@$(BUILD)/hone bench smollm2:135m

install: all ## into PREFIX (/usr/local), below DESTDIR
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig \
	    $(DESTDIR)$(PREFIX)/include/hone $(DESTDIR)$(PREFIX)/share/man/man1 \
	    $(DESTDIR)$(PREFIX)/share/hone/tasks \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	    $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
	    $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 755 $(BUILD)/hone $(DESTDIR)$(PREFIX)/bin/hone
	install -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib/libhone.a
	install -m 755 $(BUILD)/libhone.so $(DESTDIR)$(PREFIX)/lib/libhone.so.0
	ln -sf libhone.so.0 $(DESTDIR)$(PREFIX)/lib/libhone.so
	install -m 644 include/hone/*.h $(DESTDIR)$(PREFIX)/include/hone/
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@LIBS@|$(PKG_LIBS)|' scripts/hone.pc.in \
	    > $(DESTDIR)$(PREFIX)/lib/pkgconfig/hone.pc
	install -m 644 tasks/*.json tasks/*.jsonl $(DESTDIR)$(PREFIX)/share/hone/tasks/
	install -m 644 man/hone.1 $(DESTDIR)$(PREFIX)/share/man/man1/hone.1
	install -d $(DESTDIR)$(PREFIX)/share/hone
	install -m 644 packaging/hone.service packaging/serve.conf packaging/grafana-hone.json \
	    $(DESTDIR)$(PREFIX)/share/hone/
	install -m 644 completions/hone.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/hone
	install -m 644 completions/_hone $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_hone
	install -m 644 completions/hone.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/hone.fish
	test -n "$(DESTDIR)" || ldconfig 2>/dev/null || true # programs find the library at once

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	    awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

.PHONY: all test tests demo golden vectors sanitize fuzz fuzzers soak load bench install clean help
-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(wildcard $(BUILD)/tests/*.d $(BUILD)/bench/*.d)
