#!/bin/sh
# Makes a virtual environment with the packages of a lock, and does nothing if it is there already:
#   scripts/environment.sh FOLDER PYTHON LOCK "HOW MUCH IS FETCHED, HOW LONG IT TAKES"
# A copy of the lock in the folder says what is installed. The environment is made anew if its Python is gone or is
# not the chosen one, and if the folder was moved or copied: the programs inside start the Python of the old place.
set -eu
folder=$1 python=$2 lock=$3 size=$4
version='import sys; print("%d.%d" % sys.version_info[:2])'

if [ -z "$python" ]; then
    echo "Python 3.11 or newer is needed, with its modules venv and ensurepip: none was found." >&2
    echo "Install one, or name one: make run PYTHON=/path/to/python3" >&2
    exit 1
fi
chosen=$("$python" -c "$version" 2>/dev/null) || { echo "PYTHON=$python does not run." >&2; exit 1; }
case $chosen in
3.1[1-9]) ;;
*) echo "Python 3.11 or newer is needed: PYTHON=$python is Python $chosen." >&2; exit 1 ;;
esac

problem() {
    if ! present=$("$folder/bin/python" -c "$version" 2>/dev/null); then
        echo "its Python does not run"
    elif [ "$present" != "$chosen" ]; then
        echo "it has Python $present, and the chosen one is $chosen"
    elif ! grep -qsF "$(cd "$folder" && pwd -P)/bin/python" "$folder/bin/pip"; then
        echo "it is incomplete, or was moved here"
    fi
}
if [ -e "$folder" ] || [ -L "$folder" ]; then
    reason=$(problem)
    if [ -n "$reason" ]; then
        echo "Making $folder anew: $reason."
        rm -rf "$folder"
    fi
fi
cmp -s "$lock" "$folder/$lock" && exit 0
if [ -L "$folder" ]; then
    echo "$folder is a link to another environment, which does not have what $lock says." >&2
    echo "Others may use it, so nothing was installed. Remove the link to get an environment here." >&2
    exit 1
fi
echo "Installing $lock into $folder with Python $chosen ($size) ..."
[ -d "$folder" ] || "$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$lock"
cp "$lock" "$folder/$lock"
