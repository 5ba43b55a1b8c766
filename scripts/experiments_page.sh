# What the scripts of the experiments share: read by them, with $build and $model set. Pages are docs/experiments/NAME.md.
hone=$build/hone out=docs/experiments
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
mkdir -p "$out"

page() { # file title
    file=$out/$1.md
    {
        echo "# $2"
        echo
        echo "Written by \`scripts/${0##*/}\` on $("$hone" version --json | python3 -c '
import json, sys
v = json.load(sys.stdin)
print("%s, %d cores, kernels %s, hone %s" % (v["cpu"], v["usable_cores"], v["kernels"], v["version"]))')."
        echo
    } >"$file"
}
say() { # text: a paragraph
    printf '%s\n\n' "$1" >>"$file"
}
shown() { # command…: as a shell would take it, without folders
    for word; do
        case $word in
        *[!A-Za-z0-9_./:,=-]*) printf "'%s' " "$word" ;;
        *) printf '%s ' "$word" ;;
        esac
    done | sed "s|$build/||; s| $||" | bare
}
bare() { # filter: files without the folders they lay in
    sed "s|$work/||g; s|${model%"${model##*/}"}||g"
}
run() { # command…: it and its output
    shown "$@" >&2
    echo >&2
    {
        echo '```'
        printf '$ %s\n' "$(shown "$@")"
        { "$@" 2>/dev/null || echo "(exit code $?)"; } | bare
        echo '```'
        echo
    } >>"$file"
}
table() { # command…: it, and its output as part of the page
    shown "$@" >&2
    echo >&2
    {
        printf '    $ %s\n\n' "$(shown "$@")"
        { "$@" 2>/dev/null || echo "(exit code $?)"; } | bare
        echo
    } >>"$file"
}
