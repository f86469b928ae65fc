#!/bin/sh
# Installs httpyac and newman (Postman's runner) into .tools/http_clients for the tests that need them.
exec "$(dirname "$0")/npm_tool.sh" http_clients .tools/http_clients "httpyac and newman" --ignore-scripts
