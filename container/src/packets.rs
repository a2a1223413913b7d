//! Packets of other codecs (LBIT §7.1).

use crate::error::{Broken, Result};
use crate::fields::{Fields, put_signed, put_varint};
use crate::ground::StreamId;
use crate::limits::{Limits, within};

const KEY: u64 = 1;
const DECODE_TIME: u64 = 2;

/// Bytes that a packet takes at least.
const LEAST_LEN: usize = 4;

/// A packet of another codec. Its times are in ticks of its stream's
/// [`PacketStream::time_base`](crate::PacketStream::time_base).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// When it is shown or heard.
    pub pts: i64,
    /// When it must be decoded, if that is another time.
    pub dts: Option<i64>,
    /// How long it lasts; 0 if that is not known.
    pub duration: u64,
    /// Whether decoding can start with it.
    pub key: bool,
    /// What its codec made.
    pub data: Vec<u8>,
}

/// Packets of one stream that lie together in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packets {
    /// The stream that they belong to.
    pub stream: StreamId,
    /// Number of this record among those of its stream, from 0.
    pub sequence: u64,
    /// The packets, in the order in which they must be decoded; at least one.
    pub packets: Vec<Packet>,
}

/// The most that a packet takes besides its data.
const MOST_TABLE_LEN: usize = 1 + 4 * 10;

/// How many of `packets` may stand in one record, so that readers with the default limits take it: one at least.
pub(crate) fn in_one_record(packets: &[Packet]) -> usize {
    let limits = Limits::default();
    let most = |limit: Option<u32>| limit.map_or(usize::MAX, |limit| limit as usize);
    let mut left = most(limits.max_packet_bytes).saturating_sub(10);
    let fit = packets
        .iter()
        .take(most(limits.max_packets))
        .take_while(|packet| {
            let len = packet.data.len().saturating_add(MOST_TABLE_LEN);
            let fits = len <= left;
            left = left.saturating_sub(len);
            fits
        });
    fit.count().max(1).min(packets.len())
}

/// The payload of a packet record.
pub(crate) fn encode(packets: &[Packet]) -> Result<Vec<u8>, Broken> {
    if packets.is_empty() {
        return Err(Broken::new("packets of a record", "at least one", "none"));
    }
    let data: usize = packets.iter().map(|packet| packet.data.len()).sum();
    let mut out = Vec::with_capacity(4 + packets.len() * 12 + data);
    put_varint(&mut out, packets.len() as u64);
    let mut last = 0i64;
    for packet in packets {
        put_signed(&mut out, packet.pts.wrapping_sub(last));
        last = packet.pts;
        let decode_time = if packet.dts.is_some() { DECODE_TIME } else { 0 };
        put_varint(&mut out, if packet.key { KEY } else { 0 } | decode_time);
        if let Some(dts) = packet.dts {
            put_signed(&mut out, dts.wrapping_sub(packet.pts));
        }
        put_varint(&mut out, packet.duration);
        put_varint(&mut out, packet.data.len() as u64);
    }
    for packet in packets {
        out.extend_from_slice(&packet.data);
    }
    Ok(out)
}

/// Reads the payload of a packet record that starts at `offset`.
pub(crate) fn decode(payload: &[u8], offset: u64, limits: &Limits) -> Result<Vec<Packet>> {
    let mut fields = Fields::new(payload, offset, None);
    let (mut packets, lengths) = table(&mut fields, limits)?;
    for (packet, len) in packets.iter_mut().zip(lengths) {
        packet.data = fields.bytes(len, "data of a packet")?.to_vec();
    }
    fields.end("packet record")?;
    Ok(packets)
}

/// Time and duration of each packet, from the `start` of the payload of a record that lies at `offset`. Fails if the table
/// does not end in it.
pub(crate) fn times(start: &[u8], offset: u64, limits: &Limits) -> Result<Vec<(i64, u64)>> {
    let (packets, _) = table(&mut Fields::new(start, offset, None), limits)?;
    Ok(packets
        .iter()
        .map(|packet| (packet.pts, packet.duration))
        .collect())
}

/// The packets of a record without their data, and the length of the data of each.
fn table(fields: &mut Fields<'_>, limits: &Limits) -> Result<(Vec<Packet>, Vec<usize>)> {
    let at = fields.offset();
    let count = fields.varint("number of packets")?;
    let most = fields.remaining() / LEAST_LEN;
    let count = usize::try_from(count)
        .ok()
        .filter(|count| (1..=most).contains(count));
    let Some(count) = count else {
        let expected = format!("1 to {most}, which is what the record has room for");
        return Err(Broken::new("number of packets", expected, "another number").in_file(at, None));
    };
    let (most, what) = (limits.max_packets, "number of packets");
    within(most, "max_packets", what, count as u64, at, None)?;
    let mut packets = Vec::with_capacity(count);
    let mut lengths = Vec::with_capacity(count);
    let mut pts = 0i64;
    for _ in 0..count {
        pts = pts.wrapping_add(fields.signed("time of a packet")?);
        let flags = fields.varint("flags of a packet")?;
        let dts = match flags & DECODE_TIME {
            0 => None,
            _ => Some(pts.wrapping_add(fields.signed("time of a packet")?)),
        };
        let duration = fields.varint("duration of a packet")?;
        lengths.push(usize::try_from(fields.varint("length of a packet")?).unwrap_or(usize::MAX));
        packets.push(Packet {
            pts,
            dts,
            duration,
            key: flags & KEY != 0,
            data: Vec::new(),
        });
    }
    Ok((packets, lengths))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_packet() -> impl Strategy<Value = Packet> {
        let dts = proptest::option::of(any::<i64>());
        let data = proptest::collection::vec(any::<u8>(), 0..20);
        (any::<i64>(), dts, any::<u64>(), any::<bool>(), data).prop_map(|(pts, dts, duration, key, data)| {
            Packet {
                pts,
                dts,
                duration,
                key,
                data,
            }
        })
    }

    #[test]
    fn usual_packets_take_few_bytes() {
        let packet = |n: i64| Packet {
            pts: 90_000 + n * 1024,
            duration: 1024,
            key: true,
            data: vec![0; 300],
            ..Packet::default()
        };
        let payload = encode(&[packet(0), packet(1), packet(2)]).unwrap();
        assert_eq!(payload.len(), 3 * 300 + 1 + 8 + 2 * 7);
        assert!(encode(&[]).is_err());
    }

    #[test]
    fn counts_are_held_against_the_payload() {
        for payload in [
            &[0u8][..],
            &[2, 0, 0, 0, 0],
            &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0],
        ] {
            let error = decode(payload, 0, &Limits::default()).unwrap_err();
            assert!(error.to_string().contains("number of packets"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(packets in proptest::collection::vec(any_packet(), 1..6)) {
            let payload = encode(&packets).unwrap();
            prop_assert_eq!(decode(&payload, 0, &Limits::default()).unwrap(), packets);
            for len in 0..payload.len() {
                prop_assert!(decode(&payload[..len], 0, &Limits::default()).is_err());
            }
        }

        #[test]
        fn noise_is_no_danger(noise in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&noise, 0, &Limits::default());
        }
    }
}
