#!/bin/sh
# Lists the dependencies inside a package, as CycloneDX: scripts/sbom.sh PACKAGE OUTPUT ENVIRONMENT
# ENVIRONMENT is the virtual environment of requirements-release.txt.
set -eu
package=$1 output=$2 environment=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$environment/bin/python" -m zipfile -e "$package" "$folder/package"
# An environment with nothing of its own: cyclonedx-py lists what its Python can import.
"$environment/bin/python" -m venv --without-pip "$folder/empty"
PYTHONWARNINGS=ignore PYTHONPATH="$folder/package/.python_packages/lib/site-packages" \
    "$environment/bin/cyclonedx-py" environment --output-reproducible --output-format JSON --output-file "$output" \
    --mc-type application --pyproject "$(dirname "$0")/../pyproject.toml" "$folder/empty/bin/python"
