#!/usr/bin/env bash
# Fuzzes each target of fuzz/ for a while: scripts/fuzz.sh [seconds per target, 60]. The corpus stays in fuzz/corpus;
# an input that fails is kept in fuzz/artifacts and named in the output. What needs RocksDB, the effects of the log, the
# configuration and users, is not compiled for the fuzzer: its tests run with more random inputs instead, 100 for each second.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

case ${1:-} in
    -h | --help)
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' ../scripts/fuzz.sh
        exit 0
        ;;
esac
seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "fuzz: '$seconds' is not a number of seconds (--help says more)" >&2; exit 2; }
tools=${HAYPILE_TOOLS:-$HOME/.cache/haypile/tools}
export PATH="$tools/bin:$PATH"
# A directory of its own: other flags and another compiler than the one profile of the workspace.
export CARGO_TARGET_DIR=${HAYPILE_FUZZ_TARGET_DIR:-$HOME/.cache/haypile/fuzz-target}

if ! cargo +nightly --version >/dev/null 2>&1; then
    command -v rustup >/dev/null || { echo "fuzz: a nightly toolchain is needed, and rustup to install it" >&2; exit 1; }
    rustup toolchain install nightly --no-self-update --profile minimal
fi
if ! command -v cargo-fuzz >/dev/null 2>&1; then
    echo "fuzz: installing cargo-fuzz (once)"
    cargo install --quiet --locked cargo-fuzz --root "$tools"
fi

# Where the ordinary tests are compiled.
workspace_target=${HAYPILE_TARGET_DIR:-$HOME/.cache/haypile/target}

# Valid messages to begin with.
CARGO_TARGET_DIR=$workspace_target HAYPILE_FUZZ_SEEDS="$PWD/corpus" cargo test --quiet --release --manifest-path ../Cargo.toml \
    -p haypile-sync -p haypile-consensus --test fuzz seeds_are_valid

for target in $(cargo +nightly fuzz list --fuzz-dir .); do
    echo "fuzz: $target for $seconds s"
    cargo +nightly fuzz run --fuzz-dir . "$target" -- -max_total_time="$seconds" -rss_limit_mb=2048 -print_final_stats=1
done

cd ..
export HAYPILE_FUZZ_CASES=$((seconds * 100))
export CARGO_TARGET_DIR=$workspace_target
echo "fuzz: effects, configuration and users, $HAYPILE_FUZZ_CASES inputs each"
cargo test --release -p haypile-store --test fuzz
cargo test --release -p haypile-config --lib fuzz
cargo test --release -p haypile-acl --test fuzz
