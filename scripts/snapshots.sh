#!/bin/sh
# Writes down what each environment would deploy, for review: the files *.snapshot.json. Needs no login.
set -eu
cd "$(dirname "$0")/../infra/bicep"
for parameters in env/*.bicepparam main.bicepparam; do
    # The variables that the parameter files read: none that has a default. All ids are made up; the tests have the same.
    env -u AZURE_ENV_NAME -u AZURE_LOCATION -u BROKER_OWNER -u BROKER_COMMIT -u BROKER_REGIONS \
        BROKER_AUTH_CLIENT_ID=00000000-0000-0000-0000-000000000003 \
        BROKER_AUTH_ISSUER=https://login.microsoftonline.com/00000000-0000-0000-0000-000000000002/v2.0 \
        BROKER_ALERT_EMAIL=on-call@example.com \
        bicep snapshot "$parameters" --mode overwrite \
        --subscription-id 00000000-0000-0000-0000-000000000001 \
        --tenant-id 00000000-0000-0000-0000-000000000002 \
        --location westeurope
    snapshot="${parameters%.bicepparam}.snapshot.json"
    # The compiler writes some names in any order.
    python3 -m json.tool --sort-keys "$snapshot" "$snapshot.sorted"
    mv "$snapshot.sorted" "$snapshot"
done
