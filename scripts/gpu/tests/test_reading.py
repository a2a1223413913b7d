"""Parsing the output of other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from latentbit_gpu import about, elf, golden, libraries, memory, profile
from latentbit_gpu.compare import equal_bits, relative
from latentbit_gpu.compile import executables
from latentbit_gpu.deadline import Deadline, FailedError, LateError, run

READELF = """
 0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libavcodec.so.59]
 0x0000000000000001 (NEEDED)             Shared library: [ld-linux-x86-64.so.2]
  0x0010:   Name: GLIBC_2.9  Flags: none  Version: 3
  0x0020:   Name: GLIBC_2.34  Flags: none  Version: 2
"""


def test_what_a_program_wants_of_a_machine() -> None:
    libraries_needed = elf.needed(READELF)
    assert libraries_needed == ["libgcc_s.so.1", "libavcodec.so.59", "ld-linux-x86-64.so.2"]
    assert elf.foreign(libraries_needed) == ["libavcodec.so.59"]
    assert elf.glibc(READELF) == "2.34"
    assert elf.glibc("") == "none"


def test_programs_of_cargos_messages() -> None:
    text = '{"reason":"x"}\n{"executable":"/t/golden-1","target":{"name":"golden"}}\n{"executable":null}\n'
    assert executables(text) == {"golden": Path("/t/golden-1")}


def test_cuda_libraries_beside_pytorch(tmp_path: Path) -> None:
    for name in ("cudnn/lib/libcudnn.so.9", "cu13/lib/libnvrtc.so.13", "cu13/include/cuda.h"):
        (tmp_path / "nvidia" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "nvidia" / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in libraries.beside(tmp_path)]
    assert found == ["nvidia/cu13/lib", "nvidia/cudnn/lib"]


def test_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    card = about.parsed("NVIDIA H100 80GB HBM3, 580.159.04, 81559 MiB, 9.0, 345 MHz, 1980 MHz, 700.00 W\n")
    assert (card["name"], card["driver_version"]) == ("NVIDIA H100 80GB HBM3", "580.159.04")
    assert (about.dotted(91600), about.dotted(8905)) == ("9.16.0", "8.9.5")
    monkeypatch.setenv("PATH", "")
    assert about.smi() == {}
    with memory.watched() as peak:
        pass
    assert peak.mb is None


def test_peak_memory_is_above_what_was_in_use() -> None:
    peak = memory.Peak()
    for line in ("100\n", "", "[N/A]", "1100", "600 MiB"):
        peak.take(memory.used_mb(line))
    assert peak.mb == round(1000 * 1.048576, 1)


def test_results_of_tests() -> None:
    text = "test a ... ok\ntest result: ok. 12 passed; 0 failed; 1 ignored; 0 measured\n"
    assert golden.counts(text + text) == (24, 0)
    with pytest.raises(FailedError):
        golden.counts("Segmentation fault")
    assert golden.skipped("skipped: there is no GPU here\nskipping a photo\n") == ["skipped: there is no GPU here"]


def test_tests_find_their_data_below_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    for _ in range(2):
        golden.place(link)
        assert (link / "testdata" / "golden").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(FailedError, match="cannot be made"):
        golden.place(tmp_path / "file" / "link")


def test_kinds_of_operators() -> None:
    names = {
        "sm90_xmma_fprop_implicit_gemm_bf16bf16": "convolution", "aten::convolution": "convolution",
        "nvjet_tst_128x256": "product", "flash_fwd_kernel": "attention", "Memcpy DtoH": "copies",
        "void cudnn::nchwToNhwcKernel": "copies", "triton_poi_fused_mul_silu_3": profile.REST,
    }
    assert {name: profile.kind_of(name) for name in names} == names
    rows = profile.rows_of({"operators": [{"name": "conv3d", "ms": 2}, {"operator": "norm", "seconds": 0.001}]})
    assert profile.by_kind(rows) == {"convolution": 0.002, profile.REST: 0.001}
    assert profile.by_kind(profile.rows_of({"operators": {"conv": 1.0, "attention": 3.0}})) == {
        "attention": 3.0, "convolution": 1.0,
    }
    assert profile.rows_of({}) == []


def test_how_far_values_are_apart() -> None:
    a = np.array([1.0, -2.0], np.float32)
    assert relative(a + np.float32(0.5), a) == 0.25
    assert relative(np.array([np.nan, 0], np.float32), a) == float("inf")
    assert equal_bits(np.array([0b1001], np.uint16), np.array([0b1000], np.uint16), 4) == 75
    with pytest.raises(ValueError, match="shapes differ"):
        relative(a, a[:1])


def test_a_step_gets_what_is_left_and_no_more() -> None:
    now = [0.0]
    deadline = Deadline(100, lambda: now[0])
    assert deadline.limit(60) == 60
    now[0] = 70.0
    assert deadline.limit(60) == 30
    now[0] = 90.0
    with pytest.raises(LateError):
        deadline.limit(60)


def test_a_step_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(FailedError, match=r"more than 0 s"):
        run(["sleep", "9"], Deadline(60), 0.2, least=0)
    # The end of the call cut its time short: that is not its fault.
    with pytest.raises(LateError):
        run(["sleep", "9"], Deadline(0.2), 5, least=0)
    with pytest.raises(FailedError, match="ended with 3: oh"):
        run(["sh", "-c", "echo oh; exit 3"], Deadline(60), 5)
