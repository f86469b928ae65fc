#!/bin/sh
# Installs JetBrains' Kotlin compiler into .tools/kotlin for the test of the Kotlin client. Needs Node and npm; running it
# needs Java. Versions and hashes are in scripts/kotlin/package-lock.json. Made by, in that folder:
#   npm install --package-lock-only --omit-lockfile-registry-resolved
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/.*"kotlin-compiler": "\(.*\)".*/\1/p' scripts/kotlin/package.json)
folder=.tools/kotlin
installed=$folder/node_modules/kotlin-compiler/package.json
if [ -f "$installed" ] && grep -q "\"version\": *\"$version\"" "$installed"; then
    exit 0
fi
command -v npm >/dev/null || { echo "The Kotlin compiler needs npm, which is not here: install Node.js." >&2; exit 1; }
mkdir -p "$folder"
cp scripts/kotlin/package.json scripts/kotlin/package-lock.json "$folder"
exec npm ci --no-audit --no-fund --loglevel=error --prefix "$folder"
