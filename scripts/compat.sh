#!/usr/bin/env bash
# Compares Haypile's behaviour with Redis': scripts/compat.sh [all|tcl|cts|redis-py|differential|differential-acl|
# differential-lists] [arguments of that suite].
#
#   tcl       Redis 7.0.15's own Tcl suite, from Debian's source package       (compat/tcl.py --help)
#   cts       a table of commands and replies, compat/cts.json                 (compat/cts.py --help)
#   redis-py  the tests of the Python client, from its source package          (compat/redis_py.py --help)
#   differential  random requests to redis-server and to Haypile, replies compared  (compat/differential.py --help)
#   differential-acl  random access rules given to both, and what users may do compared (compat/differential_acl.py --help)
#   differential-lists  random list commands to both, replies and encodings compared  (compat/differential_lists.py --help)
#   all       the first three, one after the other; what follows is given to each    (the default)
#
# Each starts the server under test itself: bin/haypile, or what HAYPILE_SERVER_CMD says, a command line with {port}
# and {dir}, or redis-server with --redis. Nothing that is fetched is kept in the repository: it goes to
# ~/.cache/haypile. Exit status 1 when something fails that is not known to.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${HAYPILE_CACHE:-$HOME/.cache/haypile}
redis_version=7.0.15
redis_sha256=4b1dc4ee6d622a09fff9c6777191209750fb5e5a725ef78ea012d6eef4c22982
# A mirror of Debian to take the source from when this machine's own package sources have another version; none is
# built in.
debian_mirror=${HAYPILE_DEBIAN_MIRROR:-}
debian_release=bookworm
redis_py_version=5.2.1
redis_py_sha256=16f2e22dff21d5125e8481515e386711a34cbec50f0e44413dd7d9c060a54e0f

fail() {
    echo "compat: $*" >&2
    exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

has_sha256() { # has_sha256 FILE SUM
    [ -f "$1" ] && echo "$2  $1" | sha256sum --check --status
}

# Package sources for apt-get, one file each in a new folder: those of this machine, with deb-src instead of deb, or
# a mirror of Debian. Unsigned is as good: the checksum of what is fetched is known.
write_sources() { # write_sources own|mirror FOLDER
    local file
    mkdir -p "$2"
    if [ "$1" = mirror ]; then
        printf 'deb-src [trusted=yes] %s %s main\n' "$debian_mirror" "$debian_release" >"$2/mirror.list"
        return
    fi
    for file in debian ubuntu; do
        if [ -f "/etc/apt/sources.list.d/$file.sources" ]; then
            sed 's/^Types:.*/Types: deb-src/' "/etc/apt/sources.list.d/$file.sources" >"$2/$file.sources"
        fi
    done
    if [ -f /etc/apt/sources.list ]; then
        sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$2/own.list"
    fi
}

# Downloads Redis' source package into a folder, with apt-get under a configuration of its own: the machine's is
# neither read nor changed.
download_redis() { # download_redis own|mirror FOLDER
    local folder=$2 options version
    write_sources "$1" "$folder/sources"
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    options=(
        -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$folder/sources"
        -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache" -o APT::Sandbox::User="$(id -un)" -q
    )
    cd "$folder"
    apt-get "${options[@]}" update
    # The revision differs between releases and their updates; the tarball in it does not.
    version=$(apt-cache "${options[@]}" showsrc redis | sed -n "s/^Version: \(.*[:]*$redis_version-.*\)/\1/p" | tail -n 1)
    [ -n "$version" ] || { echo "no redis $redis_version here"; return 1; }
    apt-get "${options[@]}" source --download-only "redis=$version"
}

# Sets redis_src to the unpacked source.
fetch_redis() {
    local folder=$cache/redis-src name=redis_$redis_version.orig.tar.gz work from
    if ! has_sha256 "$folder/$name" "$redis_sha256"; then
        have apt-get || fail "please put Debian's $name into $folder"
        echo "compat: fetching the source of Redis $redis_version"
        mkdir -p "$folder"
        work=$(mktemp -d)
        for from in own ${debian_mirror:+mirror}; do
            (download_redis "$from" "$work/$from") >"$work/$from.log" 2>&1 || true
            if has_sha256 "$work/$from/$name" "$redis_sha256"; then
                mv "$work/$from/$name" "$folder/$name"
                break
            fi
        done
        if [ ! -f "$folder/$name" ]; then
            tail -n 4 "$work"/*.log >&2
            rm -rf "$work"
            fail "the source of Redis $redis_version could not be fetched"
        fi
        rm -rf "$work"
    fi
    redis_src=$folder/redis-$redis_version
    [ -f "$redis_src/runtest" ] || tar -xzf "$folder/$name" -C "$folder"
}

# Sets redis_py to the unpacked source and python to one that can run its tests.
fetch_redis_py() {
    local folder=$cache/redis-py name=redis-$redis_py_version.tar.gz venv=$cache/compat-venv
    python=$venv/bin/python
    if [ ! -f "$venv/ready-$redis_py_version" ]; then
        echo "compat: making a Python environment for redis-py's tests"
        python3 -m venv --clear "$venv" || fail "python3 with its venv module is needed"
        "$venv/bin/pip" install -q --disable-pip-version-check \
            'pytest<9' 'pytest-asyncio<0.24' pytest-timeout mock packaging numpy 'async-timeout>=4.0.3' setuptools wheel ||
            fail "pip could not install what the tests need"
        touch "$venv/ready-$redis_py_version"
    fi
    if ! has_sha256 "$folder/$name" "$redis_py_sha256"; then
        echo "compat: fetching the source of redis-py $redis_py_version"
        mkdir -p "$folder"
        "$venv/bin/pip" download -q --disable-pip-version-check --no-binary redis --no-deps --no-build-isolation \
            --dest "$folder" "redis==$redis_py_version" || fail "redis-py could not be fetched"
        has_sha256 "$folder/$name" "$redis_py_sha256" || fail "$name is not the file that is known"
    fi
    redis_py=$folder/redis-$redis_py_version
    [ -d "$redis_py/tests" ] || tar -xzf "$folder/$name" -C "$folder"
}

run_tcl() {
    have tclsh || fail "tclsh is needed: scripts/setup.sh compat"
    fetch_redis
    python3 compat/tcl.py --suite "$redis_src" "$@"
}

run_cts() {
    python3 compat/cts.py "$@"
}

run_redis_py() {
    fetch_redis_py
    python3 compat/redis_py.py --suite "$redis_py" --python "$python" "$@"
}

run_differential() {
    have redis-server || fail "redis-server is needed: scripts/setup.sh compat"
    python3 compat/differential.py "$@"
}

run_differential_acl() {
    have redis-server || fail "redis-server is needed: scripts/setup.sh compat"
    python3 compat/differential_acl.py "$@"
}

run_differential_lists() {
    have redis-server || fail "redis-server is needed: scripts/setup.sh compat"
    python3 compat/differential_lists.py "$@"
}

# The three; their last lines once more at the end.
run_all() {
    local failed=0 output suite
    output=$(mktemp)
    for suite in run_cts run_tcl run_redis_py; do
        echo "== ${suite#run_}"
        "$suite" "$@" 2>&1 | tee -a "$output" || failed=1
    done
    echo
    grep -E '^(cts [0-9.]+|tcl|redis-py): ' "$output" || true
    sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$output" |
        awk '{ passed += $1; failed += $2 } END { printf "%d passed, %d failed\n", passed, failed }'
    rm -f "$output"
    return "$failed"
}

suite=all
case ${1:-} in
    all | tcl | cts | redis-py | differential | differential-acl | differential-lists)
        suite=$1
        shift
        ;;
    -h | --help)
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
esac
"run_${suite//-/_}" "$@"
