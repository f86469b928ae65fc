#!/bin/sh
# Installs Azurite, the storage emulator, into .tools for the tests that need it. Needs Node and npm.
# Versions and hashes are in scripts/azurite/package-lock.json. Made by, in that folder:
#   npm install --package-lock-only --omit-lockfile-registry-resolved
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/.*"azurite": "\(.*\)".*/\1/p' scripts/azurite/package.json)
installed=.tools/node_modules/azurite/package.json
if [ -f "$installed" ] && grep -q "\"version\": \"$version\"" "$installed"; then
    exit 0
fi
command -v npm >/dev/null || { echo "Azurite needs npm, which is not here: install Node.js." >&2; exit 1; }
mkdir -p .tools
cp scripts/azurite/package.json scripts/azurite/package-lock.json .tools/
exec npm ci --no-audit --no-fund --loglevel=error --prefix .tools
