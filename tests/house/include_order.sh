#!/bin/sh
# Reads the order of folders from docs/architecture.md and fails on an include that goes uphill.
set -u
order=$(sed -n 's/^Order: `\(.*\)`\.$/\1/p' docs/architecture.md | sed 's/→/ /g')
[ -n "$order" ] || { echo "docs/architecture.md: no line beginning with \"Order:\""; echo "0 passed, 1 failed"; exit 1; }
passed=0 failed=0 seen=""
for folder in $order; do
    seen="$seen $folder"
    uphill=""
    for file in $(find "src/$folder" -name '*.[ch]'); do
        for target in $(sed -n 's/^ *# *include "\([a-z]*\)\/.*/\1/p' "$file"); do
            [ -d "src/$target" ] || [ "$target" = hone ] || continue # what the build generates
            case " $seen hone " in *" $target "*) ;; *) uphill="$uphill
$file includes $target/" ;; esac
        done
    done
    if [ -z "$uphill" ]; then passed=$((passed + 1)); else echo "uphill:$uphill"; failed=$((failed + 1)); fi
done
# every folder has its place in the order
for folder in src/*/; do
    name=$(basename "$folder")
    case " $order " in *" $name "*) ;; *) echo "src/$name is not in the order"; failed=$((failed + 1)) ;; esac
done
# the program sees the library through its public headers, the model store and base
strangers=$(grep -nE '^ *# *include "(tensor|format|text|model|infer)/' src/cli/*.[ch])
if [ -z "$strangers" ]; then passed=$((passed + 1)); else echo "the program looks inside the library:"; echo "$strangers"; failed=$((failed + 1)); fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
