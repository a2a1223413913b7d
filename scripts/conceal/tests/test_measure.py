from typing import Any

from measure import CHUNKS, FRAMES, losses, table


def test_losses_are_drawn_anew_for_each_clip() -> None:
    first, second = losses(0, 2), losses(1, 2)
    assert first["every 4th chunk"] == [["--drop", "3,7"]] == second["every 4th chunk"]
    seeds = [options[-1] for clip in (first, second) for options in clip["10% at random"]]
    assert seeds == ["0", "1", "2", "3"]
    assert FRAMES == 13 + 7 * 16 + 13 + 16
    assert CHUNKS == 10


def test_tables_pool_all_clips() -> None:
    quality = {"psnr": 30.0, "ssim": 0.8, "ms_ssim": 0.9}
    found: list[dict[str, Any]] = [
        {"clip": clip, "loss": "every 4th chunk", "method": method, "reference": reference,
         "concealed": {"frames": 16, "quality": quality}, "affected": {"frames": 0, "quality": None}}
        for clip in range(2) for method in ("freeze", "blend") for reference in ("source", "intact")
    ]
    found.append({"clip": 0, "loss": "none", "frames": 154, "quality": quality})
    rows = table(found, "source").splitlines()
    assert rows[2] == "| every 4th chunk | freeze | 32 | 30.00 | 0.8000 | 0.9000 | 0 | – | – | – |"
    assert rows[-1].startswith("| nothing | – | 154 (all) | 30.00")
    assert len(table(found, "intact").splitlines()) == 4
