#!/bin/sh
# Publishes a package that scripts/package.py built: scripts/publish.sh RESOURCE_GROUP FUNCTION_APP PACKAGE
# Tries again for ten minutes: a new role of the app's identity takes a while to reach the storage account.
set -eu
: "${1:?the resource group is missing}" "${2:?the function app is missing}" "${3:?the package is missing}"
group=$1 app=$2 package=$3
attempt=1
until az functionapp deployment source config-zip \
    --resource-group "$group" --name "$app" --src "$package" --build-remote false --timeout 600; do
    if [ "$attempt" -ge 20 ]; then
        echo "The package could not be published to $app." >&2
        exit 1
    fi
    attempt=$((attempt + 1))
    sleep "${PAUSE:-30}"
done
