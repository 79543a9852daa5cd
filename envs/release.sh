#!/bin/sh
# Build the source archive and, from it, the wheel into dist/, and check both. Nothing is uploaded.
# usage: envs/release.sh VENV       needs uv
#   VENV  .venv, whose Python builds and is copied for the trial
set -eu
python=$(cd "$1" && pwd)/bin/python lock=$PWD/envs/requirements.lock
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
rm -rf dist
uv build -q --no-build-isolation --python "$python" --out-dir dist
uvx -q twine check --strict dist/*.whl dist/*.tar.gz

echo "resomap: trying the wheel in a new environment and an empty directory ..."
uv venv -q --python "$python" "$trial/venv"
uv pip install -q --python "$trial/venv/bin/python" --no-deps --require-hashes -r "$lock"
uv pip install -q --python "$trial/venv/bin/python" --no-deps dist/*.whl
mkdir "$trial/empty"
cd "$trial/empty"
unset PYTHONPATH
"$trial/venv/bin/resomap" --help >/dev/null
"$trial/venv/bin/resomap" run -n --quiet rules >/dev/null
cd "$OLDPWD"
ls -l dist
