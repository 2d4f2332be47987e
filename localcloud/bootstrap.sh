#!/bin/sh
# Makes .venv with everything from requirements.txt. `make` runs it when requirements.txt changed.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "make: $*" >&2
    exit 1
}

recent_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# The first Python that is new enough; PYTHON=... decides otherwise.
python=""
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if recent_enough "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    fail "Python 3.11 or later is needed and ${PYTHON:-python3} is $(${PYTHON:-python3} --version 2>&1):" \
        "install one (Debian, Ubuntu: sudo apt-get install python3 python3-venv) and try again."
fi

# Debian and Ubuntu ship Python without venv's ensurepip.
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    package=python3-venv
    [ "$python" = python3 ] || package="$python-venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $package from the distribution"
        log=$(mktemp)
        { apt-get update && apt-get install -y --no-install-recommends "$package"; } >"$log" 2>&1 ||
            fail "$python lacks venv, and installing $package failed: $(tail -n 3 "$log")"
        rm -f "$log"
    else
        fail "$python lacks venv: install it (Debian, Ubuntu: sudo apt-get install $package) and try again."
    fi
fi

# A folder that was moved or whose Python is gone cannot be repaired, only made again.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1 || ! recent_enough .venv/bin/python; then
    rm -rf .venv
    "$python" -m venv .venv
fi

echo "Installing Python packages into .venv (half a minute, once)"
# Compiling all of aws-cdk-lib would take longer than the rest together, and little of it is used.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
    --require-hashes -r requirements.txt ||
    fail "pip could not install requirements.txt; its message is above (is PyPI reachable from here?)."
# The tests run version 1 of the AWS CLI, as a module. In PATH it would come before version 2, for which
# the pages' and the outputs' commands are.
rm -f .venv/bin/aws .venv/bin/aws.cmd .venv/bin/aws_*
touch .venv/.installed
