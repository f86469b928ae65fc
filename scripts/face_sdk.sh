#!/bin/sh
# Installs Microsoft's JavaScript SDK for Face into .tools/face-sdk for the tests of the simulator. Needs Node and npm.
# Versions and hashes are in scripts/face_sdk/package-lock.json. Made by, in that folder:
#   npm install --package-lock-only --omit-lockfile-registry-resolved
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/.*"@azure-rest\/ai-vision-face": "\(.*\)".*/\1/p' scripts/face_sdk/package.json)
# In a folder of its own: npm removes what it did not install itself from a folder.
folder=.tools/face-sdk
installed=$folder/node_modules/@azure-rest/ai-vision-face/package.json
if [ -f "$installed" ] && grep -q "\"version\": *\"$version\"" "$installed"; then
    exit 0
fi
command -v npm >/dev/null || { echo "The SDK needs npm, which is not here: install Node.js." >&2; exit 1; }
mkdir -p "$folder"
cp scripts/face_sdk/package.json scripts/face_sdk/package-lock.json "$folder"
exec npm ci --no-audit --no-fund --loglevel=error --prefix "$folder"
