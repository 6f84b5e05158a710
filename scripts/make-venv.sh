#!/usr/bin/env bash
# Builds the environment: make-venv.sh DIR. The Python comes from $PYTHON, else the first one that is new enough.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly dir="$1"
readonly minor=11 # pyproject.toml: requires-python

is_new_enough() { "$1" -c "import sys; sys.exit(sys.version_info < (3, $minor))" 2>/dev/null; }

find_python() {
  if [ -n "${PYTHON:-}" ]; then
    is_new_enough "$PYTHON" || { echo "make setup: PYTHON=$PYTHON is missing or older than 3.$minor" >&2; return 1; }
    echo "$PYTHON"
    return
  fi
  local name
  for name in python3 python3.13 python3.12 python3.11 python3.14; do
    if is_new_enough "$name"; then echo "$name"; return; fi
  done
  echo "make setup: needs Python 3.$minor or newer; python3 here is $(python3 --version 2>&1 || echo missing)." >&2
  echo "Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2
  return 1
}

python=$(find_python)
if ! "$python" -c "import venv, ensurepip" 2>/dev/null; then
  echo "make setup: $python has no venv. On Debian and Ubuntu: apt-get install python3-venv" >&2
  exit 1
fi

echo "environment: $dir, from $("$python" --version)"
if ! is_new_enough "$dir/bin/python"; then "$python" -m venv --clear "$dir"; fi
pip() { "$dir/bin/python" -m pip --disable-pip-version-check "$@"; }
# The build backend first, so that building needs no second environment, and a pip that is twice as fast as Debian's.
# --no-compile: pip would compile on one core, and every library's own tests too.
pip install -q --no-compile -c constraints.txt pip setuptools
# setuptools warns of every editable installation, at length
PYTHONWARNINGS=ignore pip install -q --no-compile -c constraints.txt --no-build-isolation -e '.[dev]'
# Python would compile what it imports, but never does where PYTHONDONTWRITEBYTECODE is set, as in many container images:
# there each process of a sweep took 11 s to start instead of 5. Some modules are for another Python: that is no fault.
site_packages=$("$dir/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$dir/bin/python" -m compileall -q -j 0 -x 'site-packages/((pip|setuptools)|.*/tests?)/' "$site_packages" >/dev/null || true
"$dir/bin/python" -m compileall -q -j 0 -x '/[.][^.]' . >/dev/null || true
echo "done: $dir/bin/ovf --help"
