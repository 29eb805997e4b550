#!/usr/bin/env bash
# Make .venv with everything the demo and the tests need. Usage: tools/venv.sh VENV
# Runs on a bare Debian 12 or Ubuntu 24.04: what is missing is installed by apt when root, else named in one line.
set -eu
export UV_SYSTEM_CERTS=true # the certificates the rest of the machine trusts, for a mirror inside a company

venv=$1
here=$(cd "$(dirname "$0")/.." && pwd)

say() { printf 'venv: %s\n' "$*" >&2; }

# A pyenv shim is on PATH for versions that are not active and then fails: only a Python that ran counts.
usable() {
  command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# Newest last: ansible-core 2.19 on 3.11 is the oldest controller that is supported, and what Debian 12 has.
choose() {
  for python in ${PYTHON:-} python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if usable "$python"; then
      command -v "$python"
      return
    fi
  done
  return 1
}

# Debian keeps ensurepip in python3-venv: `python3 -m venv` exists without it and fails in the middle.
complete() {
  "$1" -c 'import venv, ensurepip' >/dev/null 2>&1
}

install() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "missing: $*. Install it (as root: apt-get install -y $*) and run make again."
    exit 1
  fi
  say "installing $*"
  apt-get -qq -o DPkg::Lock::Timeout=120 update >&2
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@" >/dev/null
}

python=$(choose) || { install python3 python3-venv; python=$(choose) || {
  say "no Python 3.11 or newer found (tried python3, python3.11 to python3.13). Set PYTHON=/path/to/python and run make again."
  exit 1
}; }
complete "$python" || install python3-venv
complete "$python" || {
  say "$python has no venv module, and python3-venv belongs to another Python. Set PYTHON=/usr/bin/python3 and run make again."
  exit 1
}

# A moved checkout or a removed interpreter leaves a .venv whose python does not run.
if ! "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
  say "creating $venv with $("$python" --version)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi

# uv resolves and installs the 130 packages in 2 s where pip takes 21 s; it comes from the same registry as the rest.
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$here/tools/requirements-uv.txt"
# A package without a wheel for this machine would be compiled, and a compiler need not be there: refuse it here, with its name.
"$venv/bin/uv" pip install -q -p "$venv/bin/python" --no-build -r "$here/requirements-dev.txt"

# Ansible finds a collection only below .../ansible_collections/NAMESPACE/NAME: a tree with one link stands for it.
mkdir -p "$here/.tree/ansible_collections/bilingual_tutor"
ln -sfn ../../.. "$here/.tree/ansible_collections/bilingual_tutor/ops"
touch "$venv/.complete"
