#!/bin/sh
# Cross-builds for 64-bit Arm and runs kernel and golden tests under qemu-user.
# usage: arm.sh BUILD SHARED. Exit code 77 and a reason on the last line where that cannot be done.
set -u
build=$1 shared=$2 triple=aarch64-linux-gnu
for need in $triple-gcc qemu-aarch64; do
    command -v $need >/dev/null || { echo "$need is not installed"; exit 77; }
done
libraries="/usr/lib/$triple/pkgconfig"
for library in jansson libutf8proc; do
    [ -f "$libraries/$library.pc" ] || { echo "$library for arm64 is not installed"; exit 77; }
done
make -s -j"$(nproc)" BUILD="$build/arm" CC=$triple-gcc AR=$triple-ar ENGINE_ONLY=1 LDFLAGS=-static \
    PKG_CONFIG_LIBDIR="$libraries" "$build/arm/tests/kernels_test" "$build/arm/tests/golden" || exit 1
export QEMU_CPU=max
passed=0 failed=0
run() {
    out=$("$@" 2>&1) || true
    line=$(echo "$out" | tail -n 1)
    case $line in
    [0-9]*" passed, 0 failed"*) ;;
    *) echo "$out" | tail -n 40; failed=$((failed + 1)) ;;
    esac
    set -- $(echo "$line" | tr -cd '0-9 ')
    passed=$((passed + ${1:-0})) failed=$((failed + ${2:-0}))
}
run qemu-aarch64 "$build/arm/tests/kernels_test"
QEMU_CPU=cortex-a53 run qemu-aarch64 "$build/arm/tests/kernels_test" # without the dot product
if [ -d "$shared/golden" ]; then
    for folder in qwen2-untied qwen2-tied llama3-rope llama-spm llama-smol quant; do
        run qemu-aarch64 "$build/arm/tests/golden" "$shared/golden/$folder"
    done
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
