# hone's one Makefile. `make help` lists the goals.
#
# Every src/*/*.c belongs to the library, except src/cli, which is the program. Every
# tests/unit/*_test.c, tests/fuzz/*_fuzz.c and tests/tools/*.c is one program. A new file needs no
# line here. Instruction sets: files in src/tensor/x86 and src/tensor/arm get the flags of their name.

VERSION := 0.1.0
PREFIX  ?= /usr/local
BUILD   ?= build
CC      ?= cc
CFLAGS  ?= -O2 -g
DEPS    := jansson libutf8proc libcurl libzip libcrypto
CLI_DEPS := libedit

WARN     := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS += -D_GNU_SOURCE -DHONE_VERSION='"$(VERSION)"' -Iinclude -Isrc
ALL_CFLAGS = -std=c11 $(WARN) -fPIC -fvisibility=hidden -ffp-contract=off -pthread $(CFLAGS)
PKG_CFLAGS := $(shell pkg-config --cflags $(DEPS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(DEPS) 2>/dev/null) -lm -pthread
CLI_LIBS   := $(shell pkg-config --libs $(CLI_DEPS) 2>/dev/null)

ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))

LIB_SRC := $(filter-out $(wildcard src/cli/*.c),$(wildcard src/*/*.c))
ifeq ($(ARCH),x86_64)
LIB_SRC += $(wildcard src/tensor/x86/*.c)
endif
ifeq ($(ARCH),aarch64)
LIB_SRC += $(wildcard src/tensor/arm/*.c)
endif
CLI_SRC  := $(wildcard src/cli/*.c)
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o)
CLI_OBJ  := $(CLI_SRC:%.c=$(BUILD)/%.o)
LIB      := $(BUILD)/libhone.a
UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*_test.c))
TOOLS    := $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(wildcard tests/tools/*.c))

all: $(BUILD)/hone $(LIB)

# ISA flags go to files named for their ISA and to no other.
AVX2   := -O3 -mavx2 -mfma -mf16c
AVX512 := $(AVX2) -mavx512f -mavx512bw -mavx512dq -mavx512vl
X86    := $(BUILD)/src/tensor/x86
ARM    := $(BUILD)/src/tensor/arm
$(X86)/avx2.o $(X86)/avx2_%.o: ISA := $(AVX2)
$(X86)/avx512.o: ISA := $(AVX512)
$(X86)/avx512_vnni.o: ISA := $(AVX512) -mavx512vnni
$(ARM)/neon.o: ISA := -O3
$(ARM)/neon_dotprod.o: ISA := -O3 -march=armv8.2-a+dotprod

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(ALL_CFLAGS) $(ISA) -MMD -MP -c -o $@ $<

$(LIB): $(LIB_OBJ)
	rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/hone: $(CLI_OBJ) $(LIB)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) $(CLI_LIBS)

$(BUILD)/tests/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(PKG_CFLAGS) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS)

$(BUILD)/tests/%: tests/tools/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(PKG_CFLAGS) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS)

tests: $(UNIT) $(TOOLS)

clean:
	rm -rf $(BUILD)

.PHONY: all tests clean
-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(wildcard $(BUILD)/tests/*.d)
