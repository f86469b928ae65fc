#!/bin/sh
# Installs Azurite, the storage emulator, into .tools for the tests that need it.
exec "$(dirname "$0")/npm_tool.sh" azurite .tools "Azurite"
