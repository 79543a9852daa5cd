#!/bin/sh
# Set up the Python environment that the Makefile uses: the locked packages and ResoMap itself.
# usage: envs/setup.sh VENV PYTHON
#   VENV  .venv (created here, from the lock), or an existing environment: a torch in it that fits
#         the version bounds is kept
set -eu
venv=$1 python=$2
if [ ! -x "$venv/bin/python" ]; then
    version=$("$python" --version 2>/dev/null) || version="not found"
    # As requires-python in pyproject.toml: pip would only say that no version of a package fits.
    if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
        echo "error: ResoMap needs Python 3.11 to 3.13, and $python is: $version" >&2
        echo "name another one: make run PYTHON=python3.12" >&2
        exit 1
    fi
    echo "resomap: creating the environment $venv with $version"
    "$python" -m venv "$venv" 2>/dev/null || uv venv -q --python "$python" "$venv"
fi
if command -v uv >/dev/null 2>&1; then
    install="uv pip install -q --python $venv/bin/python --compile-bytecode"
elif "$venv/bin/python" -m pip install -q --disable-pip-version-check uv 2>/dev/null; then
    install="$venv/bin/uv pip install -q --python $venv/bin/python --compile-bytecode"
else
    install="$venv/bin/python -m pip install -q --disable-pip-version-check"
fi
if [ "$venv" = .venv ]; then
    echo "resomap: installing the locked packages (PyTorch with CUDA among them: 3 GB to download, 6 GB on disk) ..."
    # --no-deps: the lock is complete, and pip does not know the override in pyproject.toml.
    $install --no-deps --require-hashes -r envs/requirements.lock
    $install --no-deps -e .
else
    echo "resomap: installing missing packages into $venv ..."
    $install -e '.[dev,tracking,slurm,timm,deploy,openvino]'
fi
echo "resomap: ready"
