#!/usr/bin/env bash
# Build the documentation of modules, filters and roles as HTML. Usage: VENV=.venv tools/docs.sh DIRECTORY
set -eu
cd "$(dirname "$0")/.."
venv=$(cd "$VENV" && pwd)
out=$1

rm -rf "$out"
mkdir -p "$(dirname "$out")"
mkdir -m 700 "$out" # antsibull-docs refuses a folder that others could write to
export ANSIBLE_COLLECTIONS_PATH=$PWD/.tree PATH=$venv/bin:$PATH
antsibull-docs sphinx-init --use-current --dest-dir "$out" --squash-hierarchy --lenient bilingual_tutor.ops
# The inventories of other projects' documentation are fetched at build time: without them it builds anywhere.
printf '\nintersphinx_mapping = {}\n' >> "$out/conf.py"
(cd "$out" && ./build.sh)
test -s "$out/build/html/index.html"
echo "documentation: $out/build/html/index.html"
