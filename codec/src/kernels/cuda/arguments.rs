//! What each kernel is told. The same lists become Rust structs and the C++ structs that kernels are compiled with.

/// A field's type: how many 64-bit numbers it has, and how C++ declares it.
macro_rules! field {
    (number $name:ident) => {
        concat!("wide ", stringify!($name), "; ")
    };
    (axes $name:ident) => {
        concat!("wide ", stringify!($name), "[3]; ")
    };
    (targets $name:ident) => {
        concat!("Target ", stringify!($name), "[3]; ")
    };
}

macro_rules! rust_type {
    (number) => {
        u64
    };
    (axes) => {
        [u64; 3]
    };
    (targets) => {
        [Target; 3]
    };
}

macro_rules! arguments {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ident),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default)]
            #[repr(C)]
            pub(super) struct $name {
                $(pub(super) $field: rust_type!($kind)),*
            }

            // SAFETY: all fields are u64 or made of them, so all bits are valid, and there is no padding.
            unsafe impl bytemuck::Zeroable for $name {}
            // SAFETY: as above.
            unsafe impl bytemuck::Pod for $name {}
        )*

        /// The structs as C++ has them.
        pub(super) const STRUCTS: &str = concat!(
            $("struct ", stringify!($name), " { ", $(field!($kind $field)),*, "};\n"),*
        );
    };
}

arguments! {
    /// An operand to write; `at` is that of its first new position, 0 for none.
    Target { at: number, gain: number, norm: number, silu: number, frame: number, row: number, position: number }
    /// See `finish.cu`. `count` positions, from `first` of the outputs on.
    Finish {
        sums: number, bias: number, stream: number, tokens: number,
        count: number, first: number, height: number, width: number,
        linear: number, wide_sums: number,
        sums_step: number, sums_clip: number, sums_row: number, sums_position: number,
        clips: number, phases: number, zoom: number, block: number,
        first_row: number, second_row: number, first_column: number, second_column: number,
        channels: number, gelu: number, add: number, store: number, lanes: number, vector: number,
        targets: targets,
    }
    Fill {
        values: number, at: number, count: number, frame: number, row: number, position: number,
        height: number, width: number, channels: number, patch: number,
    }
    /// `height` and `width` are those of frames of patches.
    Unpatchify {
        values: number, out: number, count: number, height: number, width: number, channels: number, patch: number,
        clips: number, clip: number,
    }
    /// `list` has three numbers for each copy: from, to, bytes. So many blocks work on each.
    Copies { list: number, blocks: number }
    /// Rows and columns from `top` and `left` to `bottom` and `right` are within the border.
    Border {
        at: number, count: number, rows: number, columns: number, position: number,
        top: number, bottom: number, left: number, right: number,
    }
    Shortcut {
        values: number, out: number, count: number, inputs: number, outputs: number,
        height: number, width: number, from_height: number, from_width: number,
        time: number, space: number, up: number, lead: number, clips: number,
    }
    Direct {
        input: number, weight: number, out: number, count: number, inputs: number, outputs: number,
        depth: number, height: number, width: number, out_depth: number, out_height: number, out_width: number,
        kernel_depth: number, kernel_height: number, kernel_width: number,
        stride_depth: number, stride_height: number, stride_width: number,
    }
    Turn {
        qkv: number, tables: number, count: number, frames: number, height: number, width: number, position: number,
        heads: number, head: number, pairs: axes, cosines: axes, sines: axes,
    }
    Softmax {
        scores: number, weights: number, rows: number, columns: number, scores_row: number, weights_row: number,
        scale: number, lanes: number,
    }
    Attention {
        qkv: number, out: number, position: number, out_position: number, width: number, scale: number,
        length: axes, window: axes, shift: axes, runs: axes,
    }
}
