#!/bin/sh
# Installs the TypeScript compiler into .tools/typescript for the test of the JavaScript client's types.
exec "$(dirname "$0")/npm_tool.sh" typescript .tools/typescript "The TypeScript compiler"
