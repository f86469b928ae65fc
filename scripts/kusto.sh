#!/bin/sh
# Installs Microsoft's parser of Kusto queries into .tools/kusto for the tests that need it.
exec "$(dirname "$0")/npm_tool.sh" kusto .tools/kusto "The parser of Kusto queries"
