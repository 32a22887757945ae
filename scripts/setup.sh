#!/usr/bin/env bash
# Installs what is missing to build, test or compare Haypile; does nothing, quickly, when nothing is.
#
#     scripts/setup.sh [build] [bench] [compat]      (build when nothing is named)
#
# System packages come from apt-get (Debian, Ubuntu), with sudo unless root; Rust comes from rustup, in the version that
# rust-toolchain.toml names.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
# A compiler that is missing is installed below, where it is said, and not by the way when its version is asked for.
export RUSTUP_AUTO_INSTALL=0

fail() {
    echo "setup: $*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# bindgen loads libclang at build time to read RocksDB's C header; it looks in these places. libclang alone, without
# the compiler's own headers, is not enough.
have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null ||
        compgen -G '/usr/lib/clang/*/include/stddef.h' >/dev/null || return 1
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null && return 0
    compgen -G '/usr/lib/*/libclang*.so*' >/dev/null && return 0
    compgen -G '/usr/lib*/libclang.so*' >/dev/null
}

missing=()
need() { # need COMMAND PACKAGE
    have "$1" || missing+=("$2")
}

find_missing() {
    local group
    for group in "$@"; do
        case $group in
            build)
                need g++ g++
                need make make
                need ccache ccache
                have_libclang || missing+=(libclang-dev)
                # To fetch rustup.
                if ! have rustup && ! rust_is_new_enough; then
                    need curl curl
                    [ -s /etc/ssl/certs/ca-certificates.crt ] || [ -s /etc/pki/tls/certs/ca-bundle.crt ] ||
                        missing+=(ca-certificates)
                fi
                ;;
            bench)
                need redis-server redis-server
                need redis-benchmark redis-tools
                ;;
            compat)
                need redis-cli redis-tools
                need redis-benchmark redis-tools
                need tclsh tcl
                need python3 python3
                python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
                need curl curl
                need dpkg-source dpkg-dev
                ;;
            *) fail "unknown group '$group': build, bench or compat" ;;
        esac
    done
}

install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    local packages as_root=()
    mapfile -t packages < <(printf '%s\n' "${missing[@]}" | sort -u)
    have apt-get || fail "please install these with your package manager (Debian's names): ${packages[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || fail "as root, please run: apt-get install ${packages[*]}"
        as_root=(sudo)
    fi
    echo "setup: installing ${packages[*]}"
    "${as_root[@]}" apt-get update -q
    # Where systemd runs, Debian's redis-server package also starts its service, on Redis' own port 6379, which
    # nothing here uses.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
}

# The oldest Rust that compiles the workspace, from Cargo.toml.
rust_version() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

# The version that everybody uses, from rust-toolchain.toml; a Rust that did not come from rustup knows nothing of it.
rust_toolchain() { sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml; }

rust_is_new_enough() {
    local version
    have cargo && version=$(rustc --version 2>/dev/null | cut -d' ' -f2) && [ -n "$version" ] || return 1
    [ "$(printf '%s\n%s\n' "$(rust_version)" "$version" | sort -V | head -n 1)" = "$(rust_version)" ]
}

install_rustup() {
    local base=https://static.rust-lang.org/rustup/dist triple folder
    triple="$(uname -m)-unknown-linux-gnu"
    folder=$(mktemp -d)
    echo "setup: installing Rust with rustup"
    if ! curl -fsSL --proto '=https' --retry 3 -o "$folder/rustup-init" "$base/$triple/rustup-init" ||
        ! curl -fsSL --proto '=https' --retry 3 -o "$folder/sum" "$base/$triple/rustup-init.sha256"; then
        rm -rf "$folder"
        fail "Rust $(rust_version) or newer is needed and static.rust-lang.org cannot be reached; see https://rustup.rs"
    fi
    echo "$(cut -d' ' -f1 "$folder/sum")  $folder/rustup-init" | sha256sum --check --quiet ||
        fail "the downloaded rustup-init does not match its checksum"
    chmod +x "$folder/rustup-init"
    # A distribution's older Rust may stay: ~/.cargo/bin comes first in the Makefile's PATH.
    RUSTUP_INIT_SKIP_PATH_CHECK=yes "$folder/rustup-init" -y --no-modify-path --profile minimal --component rustfmt,clippy --default-toolchain "$(rust_toolchain)"
    rm -rf "$folder"
}

ensure_rust() {
    if rust_is_new_enough; then
        :
    elif ! have rustup; then
        install_rustup
        hash -r
    else
        echo "setup: installing Rust $(rust_toolchain)"
        rustup toolchain install "$(rust_toolchain)" --no-self-update --profile minimal --component rustfmt,clippy ||
            fail "Rust $(rust_toolchain) cannot be installed; RUSTUP_TOOLCHAIN=NAME takes another that is there, $(rust_version) or newer"
    fi
    rust_is_new_enough || fail "Rust $(rust_version) or newer is needed, and $(rustc --version 2>/dev/null || echo none) \
is in use: put a newer one first in PATH"
    if have rustup && ! { have rustfmt && cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
        rustup component add rustfmt clippy
    fi
}

groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(build)
find_missing "${groups[@]}"
install_missing
for group in "${groups[@]}"; do
    [ "$group" != build ] || ensure_rust
done
