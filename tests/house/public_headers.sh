#!/bin/sh
# Each public header compiles alone as C11 and as C++; the shared library exports hone_… only; the
# example of the documentation runs. usage: public_headers.sh BUILD
set -u
build=$1 passed=0 failed=0
count() { if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else echo "FAILED $2"; failed=$((failed + 1)); fi; }
for header in include/hone/*.h; do
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror -pedantic -Iinclude -fsyntax-only -include "$header" -x c /dev/null
    count $? "$header as C11"
    ${CXX:-c++} -Wall -Wextra -Werror -pedantic -Iinclude -fsyntax-only -include "$header" -x c++ /dev/null
    count $? "$header as C++"
done
foreign=$(nm -D --defined-only "$build/libhone.so" | awk '{print $NF}' | grep -v '^hone_')
[ -z "$foreign" ] || echo "exported without the prefix: $foreign"
[ -z "$foreign" ]; count $? "exports only hone_ symbols"
nm -D --defined-only "$build/libhone.so" | grep -q ' T hone_generate$'; count $? "exports hone_generate"
# in the static library, what is not ours to the outside is hidden
visible=$(objdump -t "$build/libhone.a" | awk '$2 ~ /^g$/ && / F | O /' | grep -v '\.hidden' | awk '{print $NF}' | grep -v '^hone_' | sort -u)
[ -z "$visible" ] || echo "visible without the prefix: $visible"
[ -z "$visible" ]; count $? "hides everything else"
if [ -d "${HONE_SHARED:-../shared}/models" ]; then
    out=$("$build/example" "${HONE_SHARED:-../shared}/models/stories260K.gguf" "Once upon a time" 2>&1)
    case $out in ", there was a little girl named Lily."*) true ;; *) echo "the example says: $out"; false ;; esac
    count $? "docs/example.c answers"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
