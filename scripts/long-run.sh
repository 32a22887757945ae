# For scripts that run the long version of a test, `long_run`. They set TEST, its name, and VARIABLES, which say in which
# environment variable the value of an option goes to it; WORDS lists what an option allows that takes no number. Their
# first comment is what --help prints. Source it with the script's arguments.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "$(basename "$0" .sh): $*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            sed -n '2,/^declare /{/^#/s/^# \{0,1\}//p}' "$0"
            exit 0
            ;;
    esac
    [[ -n $1 && -n ${VARIABLES[$1]:-} ]] || fail "unknown argument '$1' (--help says more)"
    if [ -z "${WORDS[$1]:-}" ]; then
        [[ ${2:-} =~ ^[0-9]+$ ]] || fail "$1 needs a number"
    else
        [[ ${2:-} =~ ^[a-z]+$ && " ${WORDS[$1]} " == *" $2 "* ]] || fail "$1 is one of ${WORDS[$1]// /, }"
    fi
    export "${VARIABLES[$1]}=$2"
    shift 2
done

# cargo's own runner: nextest would end a run of more than ten minutes.
exec cargo test --release --quiet -p haypile-server --test "$TEST" -- --ignored --exact long_run --nocapture
