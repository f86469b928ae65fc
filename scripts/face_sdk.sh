#!/bin/sh
# Installs Microsoft's JavaScript SDK for Face into .tools/face-sdk for the tests of the simulator.
exec "$(dirname "$0")/npm_tool.sh" face_sdk .tools/face-sdk "The SDK for Face"
