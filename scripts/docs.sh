#!/usr/bin/env bash
# Writes what is generated from the program: docs/configuration.md, docs/commands.md and the list of commands in
# README.md. Tests check that they are up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

haypile=${1:-bin/haypile}
"$haypile" config --markdown >docs/configuration.md
"$haypile" commands --markdown >docs/commands.md

readme=$(mktemp)
trap 'rm -f "$readme"' EXIT
list=$("$haypile" commands)
LIST=$list awk '
    /^<!-- commands: end/ { inside = 0 }
    !inside { print }
    /^<!-- commands: begin/ { print ENVIRON["LIST"]; inside = 1 }
' README.md >"$readme"
cat "$readme" >README.md
