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
export HONE_SHARED="$shared"
passed=0 failed=0
run() { # cpu program argument…
    cpu=$1
    shift
    out=$(QEMU_CPU=$cpu qemu-aarch64 "$@" 2>&1)
    line=$(echo "$out" | tail -n 1 | grep -E '^[0-9]+ passed, [0-9]+ failed') || line="0 passed, 1 failed"
    case $line in
    *" passed, 0 failed"*) echo "ok $cpu $*: $line" ;;
    *) echo "FAILED $cpu $*" && echo "$out" | tail -n 40 ;;
    esac
    set -- $(echo "$line" | tr -cd '0-9 ')
    passed=$((passed + $1)) failed=$((failed + $2))
}
# The cortex-a53 has no dot product. Emulated floating point is slow and the models' checks do not
# depend on the dot product, so each family runs once: qwen2, llama with scaled rope, and SPM.
for cpu in max cortex-a53; do
    run $cpu "$build/arm/tests/kernels_test"
    [ ! -d "$shared/golden" ] || run $cpu "$build/arm/tests/golden" "$shared/golden/quant"
done
if [ -d "$shared/golden" ]; then
    run cortex-a53 "$build/arm/tests/golden" "$shared/golden/qwen2-tied"
    for folder in llama3-rope llama-spm; do
        run max "$build/arm/tests/golden" "$shared/golden/$folder"
    done
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
