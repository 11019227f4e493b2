#!/usr/bin/env bash
# Makes what docker-compose.yml needs and nobody else may know: secrets/ and .env, beside it. What is there
# already stays. Say the address at which viewers and hosts reach this machine.
#
#   deploy/compose/setup.sh 203.0.113.7
set -euo pipefail
cd "$(dirname "$0")"
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ $# = 1 ] || die "usage: deploy/compose/setup.sh ADDRESS, this machine's address as viewers reach it"
[[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "'$1' is no IPv4 address such as 203.0.113.7"
if [ -s .env ] && ! grep -q "^PUBLIC_ADDRESS=$1$" .env; then
    # Removing .env would lose the database's password.
    die ".env names another PUBLIC_ADDRESS: change it there"
fi

../secrets.sh secrets origin
# Containers are user 65532. Compose binds the files as they are, so that they must be able to read them.
if [ "$(id -u)" = 0 ]; then
    chown 65532:65532 secrets/relay-tokens secrets/relay-key.pem
else
    chmod 0755 secrets
    chmod 0644 secrets/relay-tokens secrets/relay-key.pem
    echo "note: everybody on this machine can read secrets/, since only root can give files to user 65532" >&2
fi
if [ ! -s .env ]; then
    (umask 077 && cat >.env <<ENV
# What docker-compose.yml fills in. Whoever reads this has the database.
PUBLIC_ADDRESS=$1
POSTGRES_PASSWORD=$(openssl rand -hex 24)
GRAFANA_PASSWORD=$(openssl rand -hex 12)
ENV
    )
fi
echo "ready: docker compose -f deploy/compose/docker-compose.yml up -d --build"
