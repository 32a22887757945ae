#!/usr/bin/env bash
# Measures Haypile: scripts/bench.sh [compare|shapes|load|cold|replication|echo] [arguments], `compare` when none is named. Installs
# Debian's redis if it is missing. What the arguments are: scripts/bench.sh compare --help
#
# Figures are only worth something when the machine has nothing else to do.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh bench

case ${1:-} in
    compare | shapes | load | cold | replication | echo | help) ;;
    *) set -- compare "$@" ;;
esac

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/haypile/target}
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
if command -v ccache >/dev/null 2>&1; then
    export CC=${CC:-ccache cc} CXX=${CXX:-ccache c++}
fi
cargo build --release --quiet -p haypile-bench
exec "$CARGO_TARGET_DIR/release/haypile-bench" "$@"
