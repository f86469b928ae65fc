#!/bin/sh
# Installs Microsoft's parser of Kusto queries into .tools/kusto for the tests that need it. Needs Node and npm.
# Versions and hashes are in scripts/kusto/package-lock.json. Made by, in that folder:
#   npm install --package-lock-only --omit-lockfile-registry-resolved
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/.*"@kusto\/language-service-next": "\(.*\)".*/\1/p' scripts/kusto/package.json)
# In a folder of its own: npm removes what it did not install itself from a folder.
folder=.tools/kusto
installed=$folder/node_modules/@kusto/language-service-next/package.json
if [ -f "$installed" ] && grep -q "\"version\": *\"$version\"" "$installed"; then
    exit 0
fi
command -v npm >/dev/null || { echo "The parser of Kusto queries needs npm, which is not here: install Node.js." >&2; exit 1; }
mkdir -p "$folder"
cp scripts/kusto/package.json scripts/kusto/package-lock.json "$folder"
exec npm ci --no-audit --no-fund --loglevel=error --prefix "$folder"
