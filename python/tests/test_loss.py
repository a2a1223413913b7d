from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest

import latentbit
from conftest import TINY_BUNDLE, clip, damaged, without_index


@pytest.fixture(scope="module")
def bundle() -> latentbit.Bundle:
    return latentbit.Bundle(TINY_BUNDLE, dtype="f32")


@pytest.fixture(scope="module")
def data(bundle: latentbit.Bundle) -> bytes:
    """Two groups of three chunks: 45 frames each."""
    out = io.BytesIO()
    latentbit.Encoder(bundle, group=3, scene_cuts=False).write(clip(90), out)
    return out.getvalue()


def test_what_is_whole_is_exact(bundle: latentbit.Bundle, data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for conceal in (None, "freeze"):
            frames = latentbit.Decoder(bundle).decode(data, conceal=conceal)
            assert frames.fidelity is not None
            assert set(frames.fidelity) == {"exact"}
            assert frames.index is not None
            assert frames.index.tolist() == list(range(90))
    assert getattr(frames[3:7] + 1, "fidelity", "") is None


@pytest.mark.parametrize("chunk", [0, 1, 5])
@pytest.mark.parametrize("indexed", [True, False])
def test_nothing_is_made_up_unasked(bundle: latentbit.Bundle, data: bytes, chunk: int, indexed: bool) -> None:
    lossy = damaged(data, chunk)
    if not indexed:
        lossy = without_index(lossy)
    decoder = latentbit.Decoder(bundle)
    with pytest.raises(latentbit.LatentBitError, match=f"chunk {chunk}"):
        decoder.decode(lossy)
    with pytest.raises(latentbit.LatentBitError, match=f"chunk {chunk}"):
        list(decoder.frames(lossy))
    # The other group is not touched by that.
    first = 0 if chunk == 5 else 45
    np.testing.assert_array_equal(decoder.decode(lossy, first, first + 20), decoder.decode(data, first, first + 20))


@pytest.mark.parametrize("conceal", ["freeze", "blend", "latent", "auto"])
def test_each_frame_tells_what_it_is(bundle: latentbit.Bundle, data: bytes, conceal: str) -> None:
    decoder = latentbit.Decoder(bundle)
    method = "freeze" if conceal == "auto" else conceal
    for lossy in (damaged(data, 1), without_index(damaged(data, 1))):
        with pytest.warns(latentbit.LossWarning, match=f"16 are concealed by {method} and 16 affected") as told:
            frames = decoder.decode(lossy, conceal=conceal)
        assert len(told) == 1
        assert told[0].filename == __file__
        assert frames.fidelity is not None
        assert frames.fidelity.tolist() == ["exact"] * 13 + ["concealed"] * 16 + ["affected"] * 16 + ["exact"] * 45
        whole = decoder.decode(data)
        exact = frames.fidelity == "exact"
        np.testing.assert_array_equal(frames[exact], whole[exact])
    each = decoder.frames(damaged(data, 1), 20, 50, conceal=conceal)
    with pytest.warns(latentbit.LossWarning):
        seen = [(each.index, each.fidelity, each.method) for _ in each]
    assert [index for index, _, _ in seen] == list(range(20, 50))
    assert seen[0][1:] == ("concealed", method)
    assert seen[-1][1:] == ("exact", None)


def test_lost_frames_can_be_left_out(bundle: latentbit.Bundle, data: bytes) -> None:
    with pytest.warns(latentbit.LossWarning, match="1 lost chunks"):
        frames = latentbit.Decoder(bundle).decode(damaged(data, 1), conceal="off")
    assert frames.shape[0] == 74
    assert frames.index is not None
    assert frames.index.tolist() == [*range(13), *range(29, 90)]
    with pytest.warns(latentbit.LossWarning, match="1 lost chunks"):
        part = latentbit.Decoder(bundle).decode(damaged(data, 1), 10, 32, conceal="off", layout="TCHW")
    assert part.shape == (6, 3, 16, 24)


def test_a_file_that_stops_is_no_whole_file(bundle: latentbit.Bundle, data: bytes) -> None:
    cut = data[: data.index(b"CHNK", len(data) // 2)]
    file = latentbit.open(cut)
    assert file.truncated
    decoder = latentbit.Decoder(bundle)
    with pytest.raises(latentbit.TruncatedError, match=f"after {file.frame_count} frames"):
        decoder.decode(file)
    assert len(decoder.decode(file, end=file.frame_count)) == file.frame_count
    with pytest.warns(latentbit.LossWarning, match="stops before its end"):
        assert len(decoder.decode(file, conceal="freeze")) == file.frame_count


def test_wrong_methods_are_told(bundle: latentbit.Bundle, data: bytes) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"conceal": "guess"}, "auto, off, freeze, blend, latent or maskgit"),
        ({"conceal": "maskgit"}, "no predictor"),
        ({"conceal": "freeze", "predictor": "a"}, "leave it out"),
        ({"predictor": "a"}, "leave it out"),
    ]
    for options, match in wrong:
        with pytest.raises(ValueError, match=match):
            latentbit.Decoder(bundle).decode(data, **options)


def test_the_built_in_model_predicts_what_is_lost() -> None:
    out = io.BytesIO()
    latentbit.Encoder(group=0, scene_cuts=False).write(clip(45, height=64, width=64), out)
    lossy = damaged(out.getvalue(), 1)
    with pytest.warns(latentbit.LossWarning, match="concealed by maskgit"):
        frames = latentbit.Decoder().decode(lossy, conceal="auto")
    assert len(frames) == 45
