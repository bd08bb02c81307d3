#!/bin/sh
# Prints the ABI: dump.sh LIBRARY [HEADER]
#
# The exported symbols, from the library; from the header the prototypes, the
# constants with their values, and the layout of each visible struct, as a
# program sees it that the C compiler builds.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
library=$1
header=${2:-$here/../include/auditrail.h}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The header without comments, and a declaration a line.
${CC:-cc} -E -P -fpreprocessed "$header" 2>/dev/null >"$scratch/plain"
sed -e '/^#/d' -e '/^extern "C"/d' "$scratch/plain" | tr '\n' ' ' | sed -e 's/[ \t][ \t]*/ /g' \
    -e 's/\([;{]\) /\1\n/g' >"$scratch/declarations"

echo '# symbols'
nm -D --defined-only "$library" | awk '{ print $NF }' | LC_ALL=C sort

echo '# functions'
grep -E '\bauditrail_[a-z_]+\(' "$scratch/declarations" | grep -v '^ *typedef' | sed -e 's/^[ }]*//' |
    LC_ALL=C sort -t'(' -k1

echo '# types'
grep -E '^ *typedef' "$scratch/declarations" | grep -v '{' | sed -e 's/^ *//' | LC_ALL=C sort

{
    echo '#include <auditrail.h>'
    echo '#include <stdio.h>'
    echo 'int main(void) {'
    echo 'puts("# constants");'
    sed -n 's/^#define \(AUDITRAIL_[A-Z_]*\) -\{0,1\}[0-9].*/\1/p' "$header" | grep -v '^AUDITRAIL_VERSION' |
        LC_ALL=C sort | sed 's/.*/printf("& %d\\n", (int)&);/'
    echo 'puts("# structs");'
    awk '/typedef struct auditrail_[a-z_]+ \{/ { name = $3; printf "printf(\"%s size %%zu\\n\", sizeof(%s));\n", name, name; next }
        /^ *\}/ { name = "" }
        name != "" && match($0, /[a-z_0-9]+(\[[0-9]+\])?;/) {
            field = substr($0, RSTART, RLENGTH - 1); sub(/\[.*/, "", field)
            printf "printf(\"%s.%s at %%zu, %%zu bytes\\n\", __builtin_offsetof(%s, %s), sizeof(((%s *)0)->%s));\n",
                name, field, name, field, name, field
        }' "$scratch/declarations"
    echo 'return 0; }'
} >"$scratch/layout.c"
${CC:-cc} -I"$(dirname "$header")" "$scratch/layout.c" -o "$scratch/layout"
"$scratch/layout"
