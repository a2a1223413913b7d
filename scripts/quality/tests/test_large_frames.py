from large_frames import BAND, Run, memory_row, near_borders, size_of


def test_borders_of_tiles_are_where_the_command_cuts() -> None:
    near = near_borders(480, 2, 8)
    assert near.sum() == 2 * BAND
    assert near[240 - BAND : 240 + BAND].all()
    assert not near_borders(480, 1, 8).any()
    # 61 latent positions in three tiles: cut at 20 and 40.
    near = near_borders(485, 3, 8)
    assert near[160]
    assert near[320]
    assert near.sum() == 4 * BAND


def test_plans_are_read() -> None:
    run = Run({"peak_mem_bytes": 5e8, "estimated_mem_bytes": 4.5e8}, "about 450 MB of memory: 2x3 blended tiles")
    assert run.tiles == (2, 3)
    assert memory_row("latents encode", (832, 480), 5, run) == (
        "| `latents encode` | 832×480 | 5 | 2x3 blended tiles | 500 | 450 | -10 % |")
    assert Run({}, "about 450 MB of memory: whole frames").tiles == (1, 1)
    assert size_of("832x480") == (832, 480)
