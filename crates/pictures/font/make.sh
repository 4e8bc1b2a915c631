#!/usr/bin/env bash
# Makes the two fonts beside this script: Noto Sans of the npm package @expo-google-fonts/noto-sans 0.4.2 (Google Fonts'
# files, unchanged), cut down to Latin, Greek, Cyrillic and punctuation. Needs npm and fonttools 4.68 (pip).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
npm pack --silent @expo-google-fonts/noto-sans@0.4.2
tar xzf ./*.tgz
sha256sum --check --quiet <<'SUMS'
fe8c022f48d8dd29f17b744d16f9346f4357e16f7d4f7be58b000ae7c291b614  package/400Regular/NotoSans_400Regular.ttf
e691fe27813ec6ed11d0a5be4c6c1f6739996ed682462eaa3244a6185217dd6c  package/600SemiBold/NotoSans_600SemiBold.ttf
SUMS
characters=U+0020-007E,U+00A0-024F,U+02B0-036F,U+0370-052F,U+1E00-1EFF,U+2010-2027,U+202F-203A,U+2044,U+2070-209F
characters+=,U+20AC,U+2116,U+2122,U+2212,U+2248,U+2260,U+2264-2265,U+FFFD
for pair in 400Regular/NotoSans_400Regular:NotoSans-Regular 600SemiBold/NotoSans_600SemiBold:NotoSans-SemiBold; do
    SOURCE_DATE_EPOCH=0 pyftsubset "package/${pair%%:*}.ttf" --unicodes="$characters" --output-file="$here/${pair##*:}.ttf" \
        --layout-features=kern,mark,mkmk,ccmp,locl --no-hinting --name-IDs='*' --notdef-outline --no-recalc-timestamp
done
cp package/LICENSE_FONT "$here/OFL.txt"
