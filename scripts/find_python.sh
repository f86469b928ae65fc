#!/bin/sh
# Prints the newest Python on this machine from 3.11 up, on the path or in pyenv's folder.
# With a version as argument ("3.11"), prints that Python, or nothing.
newest() {
    for minor in ${1:-3.14 3.13 3.12 3.11}; do
        for candidate in $(command -v "python$minor" 2>/dev/null) \
            "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$minor".*/bin/python \
            $(command -v python3 2>/dev/null) $(command -v python 2>/dev/null); do
            # A pyenv shim is on the path even if its version is not selected, so run it.
            if [ -x "$candidate" ] && "$candidate" -c \
                "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$minor')" 2>/dev/null; then
                echo "$candidate"
                return
            fi
        done
    done
}
newest "$@"
