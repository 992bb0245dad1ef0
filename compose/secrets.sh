#!/bin/sh
# Prepares docker compose on this machine: makes random passwords, one a file (existing ones are kept), and makes mounted
# files readable for the users in the containers, whatever the umask of the checkout.
set -eu
root="$(dirname "$0")/.."
folder="${SECRETS_FOLDER:-$root/secrets}"
# Only the owner may enter the folder; the files in it must be readable for the users in the containers.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022
for name in postgres order inventory notification exporter nats valkey grafana; do
    [ -s "$folder/${name}_password" ] ||
        LC_ALL=C tr -dc 'a-z' </dev/urandom | head -c 40 >"$folder/${name}_password"
done
# If you replace alert-webhook by a receiver of your own, write its token to this file.
[ -s "$folder/alert_webhook_token" ] || LC_ALL=C tr -dc 'a-z' </dev/urandom | head -c 40 >"$folder/alert_webhook_token"
chmod -R a+rX "$root/compose" "$root/grafana" "$root/observability/collector" "$root/observability/prometheus"
# Compose sets SELinux labels on mounted folders (`z`), but not on secrets.
if command -v selinuxenabled >/dev/null && selinuxenabled; then
    chcon -R -t container_file_t "$folder"
fi
