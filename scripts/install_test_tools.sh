#!/bin/sh
# Install what the tests use and this machine lacks: Chromium, git, an image registry, Docker and Podman (the tests start
# and end their own, in a scratch folder) and a C++ compiler as Debian packages (only these need root), and the real
# llama-server into .venv. Called by TEST_INSTALL=1.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'test tools: %s\n' "$*"; }

fail() {
    printf 'test tools: %s\n' "$*" >&2
    exit 1
}

has() {
    for program; do
        if command -v "$program" >/dev/null; then return; fi
    done
    return 1
}

is_ubuntu() { grep -qs '^ID=ubuntu' /etc/os-release; }

missing=
want() { # want PACKAGE PROGRAM...: the package is missing when none of the programs is there
    package=$1
    shift
    has "$@" || missing="$missing $package"
}

want git git
want docker.io dockerd
want busybox-static busybox
if scripts/install_llama_server.sh --needs-building; then
    want g++ g++ c++
    want cmake cmake
    want make make
fi
if is_ubuntu && ! has chromium chromium-browser google-chrome google-chrome-stable; then
    say "Ubuntu has Chromium as a snap only, which is not installed here: the browser tests need google-chrome on PATH"
else
    want chromium chromium chromium-browser google-chrome google-chrome-stable
fi
want docker-registry docker-registry
want podman podman
want runc runc

if [ -n "$missing" ]; then
    has apt-get || fail "install these with your package manager:$missing"
    [ "$(id -u)" = 0 ] || fail "not root; type: sudo apt-get install$missing"
    say "installing$missing"
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    mkdir -p .cache
    # shellcheck disable=SC2086  # a list of package names
    if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >.cache/apt.log 2>&1; then
        tail -n 15 .cache/apt.log >&2
        fail "could not install$missing; everything apt-get printed is in .cache/apt.log"
    fi
fi
scripts/install_llama_server.sh
