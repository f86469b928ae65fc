#!/bin/sh
# Installs JetBrains' Kotlin compiler into .tools/kotlin for the test of the Kotlin client; running it needs Java.
exec "$(dirname "$0")/npm_tool.sh" kotlin .tools/kotlin "The Kotlin compiler"
