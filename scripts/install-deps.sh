#!/bin/sh
# Installs what hone is built with, where something is missing. usage: install-deps.sh [--tests]
#
# --tests adds what only `make test` wants. On Debian and Ubuntu packages come by apt-get, without a
# question; elsewhere the line to type is printed. What is there already costs nothing.
set -u

build_packages="build-essential pkg-config libjansson-dev libutf8proc-dev libcurl4-openssl-dev
    libedit-dev libzip-dev libssl-dev libmicrohttpd-dev libsqlite3-dev libjs-chart.js zlib1g-dev libavformat-dev libavcodec-dev
    libavutil-dev libswresample-dev libasound2-dev python3 python3-pip ca-certificates"
test_packages="clang valgrind python3-venv chromium nodejs npm"
fedora_packages="gcc make pkgconf-pkg-config jansson-devel utf8proc-devel libcurl-devel
    libedit-devel libzip-devel openssl-devel libmicrohttpd-devel sqlite-devel zlib-devel ffmpeg-free-devel
    alsa-lib-devel python3 python3-pip"
macos_packages="pkg-config jansson utf8proc curl libedit libzip openssl@3 libmicrohttpd sqlite zlib ffmpeg
    python"
arm_packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
    libjansson-dev:arm64 libutf8proc-dev:arm64 zlib1g-dev:arm64"

with_tests=false
[ "${1:-}" = --tests ] && with_tests=true

has_build_packages() {
    command -v make >/dev/null && command -v cc >/dev/null && command -v pkg-config >/dev/null &&
        pkg-config --exists jansson libutf8proc zlib libcurl libedit libzip libcrypto libmicrohttpd sqlite3 \
            libavformat libavcodec libavutil libswresample &&
        python3 -m pip --version >/dev/null 2>&1
}
has_test_packages() {
    for program in clang valgrind chromium node npm; do
        command -v "$program" >/dev/null || return 1
    done
    python3 -c "import ensurepip" 2>/dev/null
}
has_arm_packages() {
    command -v aarch64-linux-gnu-gcc >/dev/null &&
        { command -v qemu-aarch64 >/dev/null || command -v qemu-aarch64-static >/dev/null; } &&
        [ -e /usr/lib/aarch64-linux-gnu/libjansson.so ] &&
        [ -e /usr/lib/aarch64-linux-gnu/libutf8proc.so ] &&
        [ -e /usr/lib/aarch64-linux-gnu/libz.so ]
}

print_lines() {
    cat >&2 <<END
hone needs libraries that are not there. Install them, then call this again:
  Debian, Ubuntu:  sudo apt-get install$(printf ' %s' $build_packages)
  Fedora:          sudo dnf install$(printf ' %s' $fedora_packages)
  macOS:           brew install$(printf ' %s' $macos_packages)
END
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@" # nobody is there to type a password
    fi
}
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
        -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"
}
install() { # packages…
    apt install "$@" >"$log" 2>&1 && return
    apt update >"$log" 2>&1 && apt install "$@" >"$log" 2>&1 && return
    tail -n 15 "$log" >&2
    return 1
}

# For the plots of reports; asked for only where that takes no password.
wants_charts() {
    command -v apt-get >/dev/null && [ ! -e /usr/share/javascript/chart.js/chart.min.js ] &&
        { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }
}

$with_tests || ! has_build_packages || wants_charts || exit 0
can_install() {
    command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }
}
if ! can_install; then
    has_build_packages && exit 0
    print_lines
    exit 1
fi
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

if ! has_build_packages; then
    echo "Installing libraries …" >&2
    if ! install $build_packages || ! has_build_packages; then
        print_lines
        exit 1
    fi
fi
if wants_charts; then
    install libjs-chart.js || echo "reports will have no plots" >&2
fi
$with_tests || exit 0

# Tests that lack their tool are skipped with the reason, so these may fail.
if ! has_test_packages; then
    echo "Installing what the tests use …" >&2
    install $test_packages || echo "some tests will be skipped" >&2
fi
if ! has_arm_packages && [ "$(dpkg --print-architecture)" = amd64 ]; then
    echo "Installing what the Arm tests use …" >&2
    as_root dpkg --add-architecture arm64 && apt update >"$log" 2>&1 &&
        install $arm_packages || echo "the Arm tests will be skipped" >&2
fi
exit 0
