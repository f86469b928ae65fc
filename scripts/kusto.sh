#!/bin/sh
# Installs Microsoft's parser of Kusto queries into .tools/kusto for the tests that need it. Needs Node and npm.
set -eu
cd "$(dirname "$0")/.."
version=12.4.1
# In a folder of its own: npm removes what it did not install itself from a folder without a package.json.
folder=.tools/kusto
installed=$folder/node_modules/@kusto/language-service-next/package.json
if [ -f "$installed" ] && grep -q "\"version\": *\"$version\"" "$installed"; then
    exit 0
fi
command -v npm >/dev/null || { echo "The parser of Kusto queries needs npm, which is not here: install Node.js." >&2; exit 1; }
mkdir -p "$folder"
exec npm install --no-save --no-package-lock --no-audit --no-fund --loglevel=error --prefix "$folder" \
    "@kusto/language-service-next@$version"
