#!/bin/sh
# Installs httpyac and newman (Postman's runner) into .tools/http_clients for the tests that need them. Needs Node and npm.
# Versions and hashes are in scripts/http_clients/package-lock.json. Made by, in that folder:
#   npm install --package-lock-only --omit-lockfile-registry-resolved
set -eu
cd "$(dirname "$0")/.."
folder=.tools/http_clients
if cmp -s scripts/http_clients/package-lock.json "$folder/package-lock.json" && [ -f "$folder/.ready" ]; then
    exit 0
fi
command -v npm >/dev/null || { echo "httpyac and newman need npm, which is not here: install Node.js." >&2; exit 1; }
mkdir -p "$folder"
rm -f "$folder/.ready"
cp scripts/http_clients/package.json scripts/http_clients/package-lock.json "$folder"
cd "$folder"
npm ci --no-audit --no-fund --loglevel=error --ignore-scripts
touch .ready
