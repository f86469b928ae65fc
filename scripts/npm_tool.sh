#!/bin/sh
# Installs the packages of a lock of npm, and does nothing if they are there already. Needs Node and npm:
#   scripts/npm_tool.sh NAME FOLDER WHAT [OPTION OF npm ci]...
# Versions and hashes are in scripts/NAME/package-lock.json. Made by, in that folder:
#   npm install --package-lock-only --omit-lockfile-registry-resolved
set -eu
cd "$(dirname "$0")/.."
name=$1 folder=$2 what=$3
shift 3
if cmp -s "scripts/$name/package-lock.json" "$folder/package-lock.json" && [ -f "$folder/.ready" ]; then
    exit 0
fi
command -v npm >/dev/null || { echo "$what: npm is needed, which is not here. Install Node.js." >&2; exit 1; }
mkdir -p "$folder"
rm -f "$folder/.ready"
cp "scripts/$name/package.json" "scripts/$name/package-lock.json" "$folder"
# Not by --prefix, which npm refuses where a part of the path is a link.
cd "$folder"
npm ci --no-audit --no-fund --loglevel=error "$@"
touch .ready
