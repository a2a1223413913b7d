//! Attachments: fonts and cover pictures, between libav's streams and those that a `.lbit` file carries.

use super::{ffi, tags};
use crate::along::Along;
use av::codec::Id;
use av::format::stream::Disposition;
use ffmpeg_next as av;
use latentbit_container::{Attachment, AttachmentKind, Limits};

/// Pictures that containers have for covers: the codec, its media type, and the ending of its files' names.
const PICTURES: [(Id, &str, &str); 6] = [
    (Id::MJPEG, "image/jpeg", "jpg"),
    (Id::PNG, "image/png", "png"),
    (Id::BMP, "image/bmp", "bmp"),
    (Id::GIF, "image/gif", "gif"),
    (Id::TIFF, "image/tiff", "tiff"),
    (Id::WEBP, "image/webp", "webp"),
];

/// Whether a stream is no track but a file: a font, a cover.
pub fn is_attached(stream: &av::format::stream::Stream<'_>) -> bool {
    stream.parameters().medium() == av::media::Type::Attachment
        || stream.disposition().contains(Disposition::ATTACHED_PIC)
}

/// The attachments of an input that `.lbit` has a place for, and the streams that they are.
pub fn of_input(input: &av::format::context::Input) -> (Vec<Attachment>, Vec<usize>) {
    let most = Limits::default().max_attachment_bytes.unwrap_or(u64::MAX);
    let (mut attachments, mut streams, mut bytes) = (Vec::new(), Vec::new(), 0u64);
    for stream in input.streams().filter(is_attached) {
        let Some(attachment) = read(&stream) else {
            continue;
        };
        let with_it = bytes.saturating_add(attachment.stored_len());
        if with_it <= most {
            bytes = with_it;
            streams.push(stream.index());
            attachments.push(attachment);
        }
    }
    (attachments, streams)
}

/// None if there is nothing in it.
fn read(stream: &av::format::stream::Stream<'_>) -> Option<Attachment> {
    let parameters = stream.parameters();
    let cover = stream.disposition().contains(Disposition::ATTACHED_PIC);
    let data = match cover {
        true => ffi::attached_picture(stream),
        false => ffi::private_data(&parameters),
    };
    if data.is_empty() {
        return None;
    }
    let tags = stream.metadata();
    let tag = |name: &str| tags.get(name).unwrap_or_default().replace(char::is_control, " ");
    let picture = PICTURES.iter().find(|(id, ..)| *id == parameters.id());
    let mut attachment = Attachment {
        kind: if cover {
            AttachmentKind::Cover
        } else {
            AttachmentKind::File
        },
        name: tag("filename"),
        media_type: tag("mimetype"),
        description: tag("title"),
        data,
    };
    if let Some((_, media_type, _)) = picture.filter(|_| attachment.media_type.is_empty()) {
        attachment.media_type = (*media_type).to_owned();
    }
    Some(attachment)
}

/// The way of a format with attachments.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// All of them, in a list of their own.
    List,
    /// Covers of some kinds, as tracks with one picture.
    Covers,
}

fn way(format: &str) -> Option<Way> {
    match format {
        "matroska" => Some(Way::List),
        "mp4" | "mov" | "ipod" => Some(Way::Covers),
        _ => None,
    }
}

/// Adds those attachments that its format can hold to an output whose header is not written yet, and gives the packets that
/// are to be written after that. Others are left out with a warning.
pub fn add(place: &str, output: &mut av::format::context::Output, along: &Along) -> Vec<av::Packet> {
    let way = way(output.format().name());
    let (mut packets, mut left_out) = (Vec::new(), Vec::new());
    for attachment in &along.attachments {
        let cover = attachment.kind == AttachmentKind::Cover;
        let codec = codec_of(attachment);
        let packet = match way {
            Some(Way::List) => add_to_list(output, attachment).then_some(None),
            // What else there is has no kind in MP4's box of covers.
            Some(Way::Covers) if cover && matches!(codec, Id::MJPEG | Id::PNG | Id::BMP) => {
                add_cover(output, attachment, codec).map(Some)
            }
            _ => None,
        };
        match packet {
            Some(packet) => packets.extend(packet),
            None if attachment.name.is_empty() => left_out.push(if cover {
                "the cover picture".to_owned()
            } else {
                "an attachment without a name".to_owned()
            }),
            None => left_out.push(format!("'{}'", attachment.name.escape_debug())),
        }
    }
    if !left_out.is_empty() {
        let left_out = left_out.join(", ");
        tracing::warn!(
            "{place}: this kind of file has no place for {left_out}, which is left out (.mkv has)"
        );
    }
    packets
}

/// The codec of a picture, by how its file begins: media types are often wrong.
fn codec_of(attachment: &Attachment) -> Id {
    let begins = |magic: &[u8]| attachment.data.starts_with(magic);
    match () {
        () if begins(b"\xff\xd8\xff") => Id::MJPEG,
        () if begins(b"\x89PNG") => Id::PNG,
        () if begins(b"BM") => Id::BMP,
        () if begins(b"GIF8") => Id::GIF,
        () if begins(b"II*\0") || begins(b"MM\0*") => Id::TIFF,
        () if begins(b"RIFF") => Id::WEBP,
        () => Id::None,
    }
}

/// Adds a file to Matroska's list, where each has a name and a media type.
fn add_to_list(output: &mut av::format::context::Output, attachment: &Attachment) -> bool {
    let picture = PICTURES.iter().find(|(id, ..)| *id == codec_of(attachment));
    let mut parameters = av::codec::Parameters::new();
    parameters.set_medium(av::media::Type::Attachment);
    ffi::set_private_data(&mut parameters, &attachment.data);
    let Ok(mut stream) = output.add_stream(None::<av::Codec>) else {
        return false;
    };
    stream.set_parameters(parameters);
    let name = match (attachment.name.as_str(), attachment.kind, picture) {
        ("", AttachmentKind::Cover, Some((.., ending))) => format!("cover.{ending}"),
        ("", ..) => "attachment".to_owned(),
        (name, ..) => name.to_owned(),
    };
    let media_type = match (attachment.media_type.as_str(), picture) {
        ("", Some((_, media_type, _))) => media_type,
        ("", None) => "application/octet-stream",
        (media_type, _) => media_type,
    };
    let mut all = vec![("filename", name.as_str()), ("mimetype", media_type)];
    if !attachment.description.is_empty() {
        all.push(("title", &attachment.description));
    }
    stream.set_metadata(tags::dictionary(all));
    true
}

fn add_cover(
    output: &mut av::format::context::Output,
    attachment: &Attachment,
    codec: Id,
) -> Option<av::Packet> {
    let mut parameters = av::codec::Parameters::new();
    parameters.set_medium(av::media::Type::Video);
    parameters.set_id(codec);
    ffi::set_any_size(&mut parameters);
    let mut stream = output.add_stream(None::<av::Codec>).ok()?;
    stream.set_parameters(parameters);
    ffi::set_disposition(&mut stream, Disposition::ATTACHED_PIC);
    let mut packet = av::Packet::copy(&attachment.data);
    packet.set_stream(stream.index());
    packet.set_pts(Some(0));
    packet.set_dts(Some(0));
    packet.set_flags(av::codec::packet::Flags::KEY);
    Some(packet)
}
