#!/bin/bash
# The one command for whoever has a machine with a GPU for ten minutes. What it measures: benchmarks/gpu.py.
#
#   benchmarks/gpu.sh --pack .gpu      beforehand, with the network: what a bare machine lacks, into the folder .gpu
#   benchmarks/gpu.sh --dry-run        every step at small size on a CPU, two minutes
#   benchmarks/gpu.sh --out FOLDER     on the machine with the GPU; --steps NAME ... for some of the steps
#
# The project's own environment is used if there is one, else `python3` with what was packed into .gpu. The weights
# are in .gpu/part1 and .gpu/part2; what has arrived is kept in /tmp/errorbook-gpu, so they may come one by one.
set -eu
cd "$(dirname "$0")/.."
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false
python=python3
if [ -x .venv/bin/python ]; then
    python=.venv/bin/python
elif [ -d .gpu ] && [ "${1:-}" != --pack ]; then
    site=/tmp/errorbook-gpu
    $python -m benchmarks.gpu_pack --unpack .gpu "$site"
    # The code is this tree's; the wheel of the project only says which plugins there are.
    export PYTHONPATH="$PWD/src:$site${PYTHONPATH:+:$PYTHONPATH}"
fi
if [ "${1:-}" = --pack ]; then
    exec $python -m benchmarks.gpu_pack "${2:-.gpu}"
fi
exec $python -m benchmarks.gpu "$@"
