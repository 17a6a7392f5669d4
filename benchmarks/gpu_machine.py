"""What the machine is and what it can do at most: its parts, and the two ceilings that every speed is held against."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.gpu_models import Rows, Setting, has_weights

DATASHEET = {"H100": (989.0, 3350.0), "H200": (989.0, 4800.0), "A100": (312.0, 2039.0), "L40S": (362.0, 864.0)}
"""By a part of the card's name: dense bfloat16 TFLOP/s and GB/s of its memory, as the vendor gives them."""
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "numpy", "errorbook")


def describe(setting: Setting) -> Rows:
    """The card, the driver, the packages; then what a large product and a large copy reach."""
    import torch

    row: dict[str, Any] = {
        "name": "machine",
        "cpu": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "embedded weights": has_weights(),
        **{name: _version(name) for name in _PACKAGES},
    }
    if setting.device != "cpu":
        properties = torch.cuda.get_device_properties(0)
        row["gpu"] = properties.name
        row["gpu_gb"] = round(properties.total_memory / 1e9, 1)
        row["cuda"] = torch.version.cuda
        row["bfloat16"] = torch.cuda.is_bf16_supported()
        row["nvidia_smi"] = _ask_driver()
    yield row
    tflops, gigabytes = ceilings(setting)
    known = next((both for part, both in DATASHEET.items() if part in str(row.get("gpu"))), (0.0, 0.0))
    yield {"name": "matrix product", "tflops": tflops, "datasheet": known[0]}
    yield {"name": "copy", "gb_s": gigabytes, "datasheet": known[1]}


def ceilings(setting: Setting) -> tuple[float, float]:
    """TFLOP/s of a large bfloat16 product of random matrices, and GB/s of a large copy, bytes read and written."""
    import torch

    size = 512 if setting.small else 8192
    left, right = (torch.randn(size, size, device=setting.device, dtype=torch.bfloat16) for _ in range(2))
    product = seconds_of(lambda: left @ right, setting, 20)
    numbers = torch.randn(2**20 if setting.small else 2**29, device=setting.device)
    target = torch.empty_like(numbers)
    copy = seconds_of(lambda: target.copy_(numbers), setting, 20)
    return round(2 * size**3 / product / 1e12, 4), round(2 * numbers.nbytes / copy / 1e9, 2)


def seconds_of(work: Any, setting: Setting, times: int) -> float:
    """Median seconds of one call, the device's work included, after three calls to warm up."""
    taken = []
    for number in range(times + 3):
        wait(setting)
        begun = time.perf_counter()
        work()
        wait(setting)
        if number >= 3:
            taken.append(time.perf_counter() - begun)
    return sorted(taken)[len(taken) // 2]


def wait(setting: Setting) -> None:
    """Until the device has done all that it was given."""
    import torch

    if setting.device != "cpu":
        torch.cuda.synchronize()


def peak_gb(setting: Setting) -> float | None:
    """The most memory of the device since the last call, in GB; None on a CPU."""
    import torch

    if setting.device == "cpu":
        return None
    most = torch.cuda.max_memory_allocated() / 1e9
    torch.cuda.reset_peak_memory_stats()
    return round(most, 2)


def free(setting: Setting) -> None:
    """Give back what nothing holds any more, so that the next measurement starts with an empty device."""
    import gc

    import torch

    gc.collect()
    if setting.device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _ask_driver() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "nvidia-smi is not there"
    query = "--query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem"
    done = subprocess.run([program, query, "--format=csv,noheader"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not there"
