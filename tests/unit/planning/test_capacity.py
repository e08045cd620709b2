"""What a device has free."""

from __future__ import annotations

import torch

from mollm_cli.planning import capacity


def test_the_kernels_word_and_the_containers(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 900 kB\nMemAvailable:  500 kB\n")
    monkeypatch.setattr(capacity, "MEMINFO", meminfo)
    monkeypatch.setattr(capacity, "CGROUP", tmp_path)
    cpu = torch.device("cpu")
    assert capacity.free_bytes(cpu) == 500 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert capacity.free_bytes(cpu) == 500 * 1024
    (tmp_path / "memory.max").write_text("4000\n")
    assert capacity.free_bytes(cpu) == 3000
    monkeypatch.setattr(capacity, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(capacity, "CGROUP", tmp_path / "none")
    assert capacity.free_bytes(cpu) is None
    assert capacity.device_name(cpu) == "cpu"
