#!/usr/bin/env bash
# Makes what nodes know each other by: a relay token, and a certificate for the relay port of origins that
# edges trust. What is there already stays, so that it may be run again.
#
#   deploy/secrets.sh DIRECTORY NAME…      NAME: what edges call origins, and edges that relay, in edge.upstream; DNS names
#
# Every node needs relay-tokens; origins, and edges that relay, relay.pem and relay-key.pem; edges relay.pem, as
# edge.upstream_ca.
set -euo pipefail
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ $# -ge 2 ] || die "usage: deploy/secrets.sh DIRECTORY NAME…"
command -v openssl >/dev/null || die "openssl is missing: install it"
directory=$1
shift
for name in "$@"; do
    [[ $name =~ ^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$ ]] || die "'$name' is no DNS name"
done

mkdir -p "$directory"
chmod 0755 "$directory"
if [ ! -s "$directory/relay-tokens" ]; then
    (umask 077 && openssl rand -hex 32 >"$directory/relay-tokens")
fi
if [ ! -s "$directory/relay-key.pem" ]; then
    # Ten years: whoever has this certificate for a trust anchor trusts this key and no other.
    (
        umask 077
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
            -keyout "$directory/relay-key.new" -out "$directory/relay.pem" -subj "/CN=$1" \
            -addext "subjectAltName=$(printf 'DNS:%s,' "$@" | sed 's/,$//')" \
            -addext "basicConstraints=critical,CA:FALSE" 2>/dev/null
        mv "$directory/relay-key.new" "$directory/relay-key.pem"
    )
    chmod 0644 "$directory/relay.pem"
fi
printf '%s: relay-tokens, relay.pem, relay-key.pem\n' "$directory"
