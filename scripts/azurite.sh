#!/bin/sh
# Installs Azurite, the storage emulator, into .tools for the tests that need it. Needs Node and npm.
set -eu
cd "$(dirname "$0")/.."
version=3.35.0
installed=.tools/node_modules/azurite/package.json
if [ -f "$installed" ] && grep -q "\"version\": \"$version\"" "$installed"; then
    exit 0
fi
command -v npm >/dev/null || { echo "Azurite needs npm, which is not here: install Node.js." >&2; exit 1; }
mkdir -p .tools
exec npm install --no-save --no-package-lock --no-audit --no-fund --loglevel=error --prefix .tools "azurite@$version"
