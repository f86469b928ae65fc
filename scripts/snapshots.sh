#!/bin/sh
# Writes what each environment would deploy to the files *.snapshot.json, for review. Needs no login.
set -eu
cd "$(dirname "$0")/../infra/bicep"
for parameters in env/*.bicepparam main.bicepparam; do
    # Sets the required variables of the parameter files, and unsets those with a default. The tests have the same made-up ids.
    env -u AZURE_ENV_NAME -u AZURE_LOCATION -u BROKER_OWNER -u BROKER_REGIONS \
        BROKER_AUTH_CLIENT_ID=00000000-0000-0000-0000-000000000003 \
        BROKER_AUTH_ISSUER=https://login.microsoftonline.com/00000000-0000-0000-0000-000000000002/v2.0 \
        BROKER_ALERT_EMAIL=on-call@example.com \
        bicep snapshot "$parameters" --mode overwrite \
        --subscription-id 00000000-0000-0000-0000-000000000001 \
        --tenant-id 00000000-0000-0000-0000-000000000002 \
        --location westeurope
    snapshot="${parameters%.bicepparam}.snapshot.json"
    # The compiler does not keep the order of all names.
    python3 -m json.tool --sort-keys "$snapshot" "$snapshot.sorted"
    mv "$snapshot.sorted" "$snapshot"
done
