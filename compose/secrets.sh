#!/bin/sh
# Which secrets does docker compose need? Random passwords, one a file, made once; what is there stays as it is.
set -eu
folder="${SECRETS_FOLDER:-$(dirname "$0")/../secrets}"
# The folder keeps others out; the files themselves must be readable by the users inside of the containers.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022
for name in postgres order inventory notification exporter nats valkey grafana; do
    [ -s "$folder/${name}_password" ] ||
        LC_ALL=C tr -dc 'a-z' </dev/urandom | head -c 40 >"$folder/${name}_password"
done
# Where a receiver of your own takes the place of alert-webhook, write its token here.
[ -s "$folder/alert_webhook_token" ] || LC_ALL=C tr -dc 'a-z' </dev/urandom | head -c 40 >"$folder/alert_webhook_token"
