//! What libav has and its bindings do not show: the only unsafe code outside the codec's kernels.
#![allow(unsafe_code)]

use av::ffi;
use ffmpeg_next as av;
use std::ffi::CString;
use std::ptr;

/// The aspect of a frame's pixels by libav's own rule, which weighs what container, codec and frame say.
pub fn pixel_aspect(
    input: &mut av::format::context::Input,
    stream: usize,
    frame: &mut av::frame::Video,
) -> Option<av::Rational> {
    if stream >= input.streams().len() {
        return None;
    }
    // SAFETY: the context, its stream, whose index was checked, and the frame are alive; libav only reads them.
    let aspect = unsafe {
        let context = input.as_mut_ptr();
        let stream = *(*context).streams.add(stream);
        ffi::av_guess_sample_aspect_ratio(context, stream, frame.as_mut_ptr())
    };
    Some(aspect.into())
}

/// How long a frame is shown, in ticks of its stream; 0 if that is not known.
pub fn frame_duration(frame: &av::frame::Video) -> i64 {
    // SAFETY: the frame is alive, and the field is a plain number.
    unsafe { (*frame.as_ptr()).pkt_duration.max(0) }
}

/// Whether the duration that the file is said to have is only a guess by its bit rate.
pub fn duration_is_guessed(input: &av::format::context::Input) -> bool {
    // SAFETY: the context is alive, and the field is a plain number.
    let method = unsafe { (*input.as_ptr()).duration_estimation_method };
    method == ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_BITRATE
}

/// Whether times in files of this format may jump.
pub fn clock_may_jump(input: &av::format::context::Input) -> bool {
    // SAFETY: an open context has a format, whose description lives as long as the program.
    unsafe { (*(*input.as_ptr()).iformat).flags & ffi::AVFMT_TS_DISCONT != 0 }
}

/// How the lines of a stream's pictures are stored, as its header has it: true if they are two fields.
pub fn has_fields(parameters: &av::codec::Parameters) -> bool {
    use ffi::AVFieldOrder::{AV_FIELD_PROGRESSIVE, AV_FIELD_UNKNOWN};
    // SAFETY: the parameters are alive, and the field is a plain number.
    let order = unsafe { (*parameters.as_ptr()).field_order };
    !matches!(order, AV_FIELD_PROGRESSIVE | AV_FIELD_UNKNOWN)
}

/// A copy of a description without the name that its container had for the codec, which other containers read otherwise.
pub fn without_tag(parameters: &av::codec::Parameters) -> av::codec::Parameters {
    let mut copy = av::codec::Parameters::new();
    // SAFETY: both are alive, and the copy owns what libav puts into it.
    unsafe {
        // It fails for want of memory only; an empty copy is refused by whoever takes it.
        let _ = ffi::avcodec_parameters_copy(copy.as_mut_ptr(), parameters.as_ptr());
        (*copy.as_mut_ptr()).codec_tag = 0;
    }
    copy
}

/// The private data of a codec.
pub fn private_data(parameters: &av::codec::Parameters) -> Vec<u8> {
    // SAFETY: libav keeps that many bytes there, or none.
    unsafe {
        let raw = parameters.as_ptr();
        let (data, len) = ((*raw).extradata, (*raw).extradata_size);
        match usize::try_from(len) {
            Ok(len) if len > 0 && !data.is_null() => std::slice::from_raw_parts(data, len).to_vec(),
            _ => Vec::new(),
        }
    }
}

/// The picture that a stream consists of, such as a cover.
pub fn attached_picture(stream: &av::format::stream::Stream<'_>) -> Vec<u8> {
    // SAFETY: the stream is alive; its packet holds that many bytes, or none.
    unsafe {
        let packet = &(*stream.as_ptr()).attached_pic;
        match usize::try_from(packet.size) {
            Ok(len) if len > 0 && !packet.data.is_null() => {
                std::slice::from_raw_parts(packet.data, len).to_vec()
            }
            _ => Vec::new(),
        }
    }
}

/// Gives pictures a size, without which no video is muxed, where it is written nowhere.
pub fn set_any_size(parameters: &mut av::codec::Parameters) {
    // SAFETY: the parameters are alive, and the fields are plain numbers.
    unsafe {
        let raw = parameters.as_mut_ptr();
        ((*raw).width, (*raw).height) = (1, 1);
    }
}

/// Sets the private data of a codec.
pub fn set_private_data(parameters: &mut av::codec::Parameters, data: &[u8]) {
    let Ok(len) = i32::try_from(data.len()) else {
        return;
    };
    // SAFETY: the memory is libav's own, as long as `data` and the padding that libav asks for; the old memory is freed
    // and the parameters free the new one.
    unsafe {
        let raw = parameters.as_mut_ptr();
        let padded = data.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
        let memory = ffi::av_mallocz(padded).cast::<u8>();
        if memory.is_null() {
            return;
        }
        ptr::copy_nonoverlapping(data.as_ptr(), memory, data.len());
        ffi::av_freep(ptr::addr_of_mut!((*raw).extradata).cast());
        ((*raw).extradata, (*raw).extradata_size) = (memory, len);
    }
}

/// Says what a stream is for: played by default, forced, and so on.
pub fn set_disposition(
    stream: &mut av::format::stream::StreamMut<'_>,
    disposition: av::format::stream::Disposition,
) {
    // SAFETY: the stream is alive, and the field is a plain number.
    unsafe { (*stream.as_mut_ptr()).disposition = disposition.bits() }
}

/// The aspect of pixels that the container itself states.
pub fn set_pixel_aspect(stream: &mut av::format::stream::StreamMut<'_>, aspect: av::Rational) {
    // SAFETY: the stream is alive, and the field is a pair of numbers.
    unsafe { (*stream.as_mut_ptr()).sample_aspect_ratio = aspect.into() }
}

/// Sets an option of the muxer after the header was written; false if it has none of that name.
pub fn set_muxer_option(output: &mut av::format::context::Output, name: &str, value: i64) -> bool {
    let Ok(name) = CString::new(name) else {
        return false;
    };
    // SAFETY: the context and the name are alive; libav looks the name up among the options of the context.
    unsafe {
        let object = output.as_mut_ptr().cast();
        ffi::av_opt_set_int(object, name.as_ptr(), value, ffi::AV_OPT_SEARCH_CHILDREN) >= 0
    }
}

/// As [`set_muxer_option`], for a fraction.
pub fn set_muxer_fraction(output: &mut av::format::context::Output, name: &str, value: av::Rational) -> bool {
    let Ok(name) = CString::new(name) else {
        return false;
    };
    // SAFETY: as above.
    unsafe {
        let object = output.as_mut_ptr().cast();
        ffi::av_opt_set_q(object, name.as_ptr(), value.into(), ffi::AV_OPT_SEARCH_CHILDREN) >= 0
    }
}

/// Lays data beside a stream that is to be written, for its muxer.
pub fn add_side_data(
    stream: &mut av::format::stream::StreamMut<'_>,
    kind: av::codec::packet::side_data::Type,
    data: &[u8],
) {
    // SAFETY: the stream is alive and owns the new memory, which is as long as `data`; null is memory that there is not.
    unsafe {
        let memory = ffi::av_stream_new_side_data(stream.as_mut_ptr(), kind.into(), data.len());
        if !memory.is_null() {
            ptr::copy_nonoverlapping(data.as_ptr(), memory, data.len());
        }
    }
}

/// The codec of this name.
pub fn codec_id(name: &str) -> Option<av::codec::Id> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name is alive; what libav gives is an entry of its own table, or null.
    unsafe {
        let found = ffi::avcodec_descriptor_get_by_name(name.as_ptr());
        (!found.is_null()).then(|| (*found).id.into())
    }
}

/// Whether an encoder has an option of this name, of its own or one that all have.
pub fn has_option(codec: av::Codec, name: &str) -> bool {
    let Ok(name) = CString::new(name) else {
        return false;
    };
    // SAFETY: the codec and the classes live as long as the program; libav reads a class where it is asked for a fake object.
    unsafe {
        let has = |mut class: *const ffi::AVClass| {
            let object = ptr::addr_of_mut!(class).cast();
            let flags = ffi::AV_OPT_SEARCH_FAKE_OBJ;
            !class.is_null() && !ffi::av_opt_find(object, name.as_ptr(), ptr::null(), 0, flags).is_null()
        };
        has((*codec.as_ptr()).priv_class) || has(ffi::avcodec_get_class())
    }
}

/// The pixel format that libav gives this number.
pub fn pixel_format(number: i32) -> av::format::Pixel {
    let mut descriptor = ptr::null();
    loop {
        // SAFETY: libav walks its own table, from null or an entry to the next entry or null.
        unsafe {
            descriptor = ffi::av_pix_fmt_desc_next(descriptor);
            if descriptor.is_null() {
                return av::format::Pixel::None;
            }
            let id = ffi::av_pix_fmt_desc_get_id(descriptor);
            if id as i32 == number {
                return id.into();
            }
        }
    }
}

/// What comes out of a filter graph.
pub struct GraphOutput {
    pub width: i32,
    pub height: i32,
    /// Number of the pixel format.
    pub format: i32,
    pub aspect: av::Rational,
    pub time_base: av::Rational,
    pub rate: av::Rational,
}

/// Describes what comes out of a configured graph's sink.
pub fn graph_output(sink: &av::filter::Context) -> GraphOutput {
    // SAFETY: the context belongs to a sink in a configured graph, which is what these functions read.
    unsafe {
        let sink = sink.as_ptr();
        GraphOutput {
            width: ffi::av_buffersink_get_w(sink),
            height: ffi::av_buffersink_get_h(sink),
            format: ffi::av_buffersink_get_format(sink),
            aspect: ffi::av_buffersink_get_sample_aspect_ratio(sink).into(),
            time_base: ffi::av_buffersink_get_time_base(sink).into(),
            rate: ffi::av_buffersink_get_frame_rate(sink).into(),
        }
    }
}

/// Says that the last `samples` of a packet of sound are not heard.
pub fn set_padding(packet: &mut av::Packet, samples: u32) {
    use av::packet::Mut;
    const LEN: usize = 10;
    // SAFETY: the packet is alive and owns the new memory, whose length is checked by libav.
    unsafe {
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_SKIP_SAMPLES;
        let data = ffi::av_packet_new_side_data(packet.as_mut_ptr(), kind, LEN);
        if !data.is_null() {
            let [a, b, c, d] = samples.to_le_bytes();
            ptr::copy_nonoverlapping([0, 0, 0, 0, a, b, c, d, 0, 0].as_ptr(), data, LEN);
        }
    }
}

/// A bitstream filter: packets of one form of a codec into those of another.
pub struct PacketFilter(*mut ffi::AVBSFContext);

impl PacketFilter {
    /// The filter of this name for a stream; none if libav has none, or it does not take the stream.
    pub fn new(name: &str, parameters: &av::codec::Parameters) -> Option<Self> {
        let name = CString::new(name).ok()?;
        // SAFETY: the name and parameters are alive; the context is freed when the result is dropped.
        unsafe {
            let found = ffi::av_bsf_get_by_name(name.as_ptr());
            let mut made = Self(ptr::null_mut());
            if found.is_null() || ffi::av_bsf_alloc(found, &mut made.0) < 0 {
                return None;
            }
            let ready = ffi::avcodec_parameters_copy((*made.0).par_in, parameters.as_ptr()) >= 0
                && ffi::av_bsf_init(made.0) >= 0;
            ready.then_some(made)
        }
    }

    /// Filters a packet; none if it holds nothing that can be filtered.
    pub fn run(&mut self, packet: &av::Packet) -> Option<av::Packet> {
        use av::packet::{Mut, Ref};
        let mut taken = av::Packet::empty();
        let mut given = av::Packet::empty();
        // SAFETY: the packets and the context are alive; the filter takes the reference that `taken` holds.
        unsafe {
            if ffi::av_packet_ref(taken.as_mut_ptr(), packet.as_ptr()) < 0
                || ffi::av_bsf_send_packet(self.0, taken.as_mut_ptr()) < 0
                || ffi::av_bsf_receive_packet(self.0, given.as_mut_ptr()) < 0
            {
                return None;
            }
        }
        Some(given)
    }

    /// The private data that packets need after it, in the filter's description or beside a packet that it gave.
    pub fn private_data(&self, packet: &av::Packet) -> Vec<u8> {
        use av::codec::packet::side_data::Type;
        let beside = packet.side_data().find(|data| data.kind() == Type::NewExtraData);
        if let Some(data) = beside {
            return data.data().to_vec();
        }
        // SAFETY: the context is alive, and keeps that many bytes there or none.
        unsafe {
            let raw = (*self.0).par_out;
            match usize::try_from((*raw).extradata_size) {
                Ok(len) if len > 0 && !(*raw).extradata.is_null() => {
                    std::slice::from_raw_parts((*raw).extradata, len).to_vec()
                }
                _ => Vec::new(),
            }
        }
    }
}

impl Drop for PacketFilter {
    fn drop(&mut self) {
        // SAFETY: the context came from `av_bsf_alloc`, or is null, which libav takes too.
        unsafe { ffi::av_bsf_free(&mut self.0) }
    }
}
