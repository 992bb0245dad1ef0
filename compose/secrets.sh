#!/bin/sh
# What docker compose needs on this machine: random passwords, one a file, made once (what is there stays as it is), and
# mounted files that the users inside of the containers can read, whatever the umask of the checkout.
set -eu
root="$(dirname "$0")/.."
folder="${SECRETS_FOLDER:-$root/secrets}"
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
chmod -R a+rX "$root/compose" "$root/grafana" "$root/observability/collector" "$root/observability/prometheus"
# Compose labels what it mounts from the folders (`z`), but no secret.
if command -v selinuxenabled >/dev/null && selinuxenabled; then
    chcon -R -t container_file_t "$folder"
fi
