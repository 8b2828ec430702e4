//! From what the contract says to what engine and helper take: every field is checked, and a refusal names the field.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use engine::command::{
    AudioLevels, Codec, EncodingSpec, ExtensionKind, Extensions, Home, IceCredentials, MediaKind,
    PayloadCodec, PayloadMapping, PeerSpec, PlayoutDelayRange, PublicationSpec, RoomSpec,
    SIF_TRAILER_LEN_MAX, SubscriptionSpec, UplinkFeedback,
};
use proto::media::v1;
use units::handle::{PeerId, PublicationId, RoomId, RouteId, SubscriptionId, WorkerIndex};
use units::rtp::{Mid, PayloadType, Rid, Ssrc};

use crate::dtls::Role;
use crate::dtls::fingerprint::{Fingerprint, Hash};
use crate::helper::input;

/// # Errors
/// What is wrong, by the field's name.
pub fn room(spec: &v1::Room) -> Result<RoomSpec, String> {
    let levels = spec.audio_levels.unwrap_or(AUDIO_LEVELS);
    Ok(RoomSpec {
        id: RoomId(spec.id),
        audio_levels: AudioLevels {
            active_level: at_most("active_level", levels.active_level, 127)?,
            min_percentile: at_most("min_percentile", levels.min_percentile, 100)?,
            update_interval: match levels.update_interval_ms {
                interval @ 50..=60_000 => std::time::Duration::from_millis(interval.into()),
                interval => return Err(format!("update_interval_ms is {interval}, not 50 to 60000")),
            },
            smooth_intervals: at_most("smooth_intervals", levels.smooth_intervals, 100)?,
        },
        sif_trailer: match spec.sif_trailer.len() {
            0..=SIF_TRAILER_LEN_MAX => spec.sif_trailer.clone(),
            len => return Err(format!("sif_trailer has {len} bytes, more than {SIF_TRAILER_LEN_MAX}")),
        },
    })
}

/// LiveKit's defaults of `audio`.
const AUDIO_LEVELS: v1::AudioLevels =
    v1::AudioLevels { active_level: 35, min_percentile: 40, update_interval_ms: 400, smooth_intervals: 2 };

/// # Errors
/// What is wrong, by the field's name.
pub fn peer(spec: &v1::Peer, worker: WorkerIndex) -> Result<(PeerSpec, input::PeerSpec), String> {
    let media = PeerSpec {
        id: PeerId(spec.id),
        room: RoomId(spec.room),
        local_ice: local_ice(&spec.local_ice, worker)?,
        remote_ufrags: remote_ufrags(&spec.remote_ufrags, spec.local_ice.len())?,
        receive_extensions: extensions("receive_extensions", &spec.receive_extensions)?,
        send_extensions: extensions("send_extensions", &spec.send_extensions)?,
        uplink_feedback: match known("uplink_feedback", spec.uplink_feedback)? {
            v1::UplinkFeedback::None => UplinkFeedback::None,
            v1::UplinkFeedback::TransportCc => UplinkFeedback::TransportCc,
            v1::UplinkFeedback::Remb => UplinkFeedback::Remb,
        },
        rtcp_ssrc: ssrc(spec.rtcp_ssrc).ok_or("rtcp_ssrc is 0")?,
    };
    let data = input::PeerSpec {
        id: media.id,
        room: media.room,
        worker,
        role: match known("dtls_role", spec.dtls_role)? {
            v1::DtlsRole::Server => Role::Server,
            v1::DtlsRole::Client => Role::Client,
        },
        fingerprints: fingerprints(&spec.remote_fingerprints)?,
        sctp: spec.sctp.as_ref().map(sctp).transpose()?,
    };
    Ok((media, data))
}

fn local_ice(credentials: &[v1::IceCredentials], worker: WorkerIndex) -> Result<Vec<IceCredentials>, String> {
    bounded("local_ice", credentials, 1, 4)?;
    let prefix = worker_prefix(worker);
    for (index, v1::IceCredentials { ufrag, password }) in credentials.iter().enumerate() {
        // RFC 8839 §5.4: 4 to 256 and 22 to 256 characters.
        ice_characters("a ufrag of local_ice", ufrag, 4)?;
        ice_characters("a password of local_ice", password, 22)?;
        if !ufrag.as_bytes().starts_with(&prefix) {
            return Err(format!(
                "ufrag {ufrag} of local_ice does not start with {}, the name of its worker",
                prefix.escape_ascii()
            ));
        }
        if credentials.iter().take(index).any(|earlier| earlier.ufrag == *ufrag) {
            return Err(format!("ufrag {ufrag} stands twice in local_ice"));
        }
    }
    Ok(credentials
        .iter()
        .map(|one| IceCredentials { ufrag: one.ufrag.clone(), password: one.password.clone() })
        .collect())
}

/// The first characters of every ufrag of a worker: its index in base 36, two digits.
#[must_use]
pub fn worker_prefix(worker: WorkerIndex) -> [u8; 2] {
    let digit = |value: u16| char::from_digit(u32::from(value % 36), 36).map_or(b'0', |digit| digit as u8);
    [digit(worker.0 / 36), digit(worker.0)]
}

fn remote_ufrags(ufrags: &[String], expected: usize) -> Result<Vec<String>, String> {
    if ufrags.len() != expected {
        return Err(format!("remote_ufrags has {} entries for {expected} of local_ice", ufrags.len()));
    }
    for ufrag in ufrags.iter().filter(|ufrag| !ufrag.is_empty()) {
        ice_characters("one of remote_ufrags", ufrag, 4)?;
    }
    Ok(ufrags.to_vec())
}

fn ice_characters(field: &str, text: &str, len_min: usize) -> Result<(), String> {
    if !(len_min..=256).contains(&text.len()) {
        return Err(format!("{field} has {} characters, not {len_min} to 256", text.len()));
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)) {
        return Err(format!("{field} has a character that ICE does not allow"));
    }
    Ok(())
}

fn extensions(field: &str, extensions: &[v1::HeaderExtension]) -> Result<Extensions, String> {
    bounded(field, extensions, 0, 16)?;
    let mut checked: Vec<(u8, ExtensionKind)> = Vec::with_capacity(extensions.len());
    for extension in extensions {
        let kind =
            extension_kind(known(field, extension.kind)?).ok_or_else(|| format!("{field} has no kind"))?;
        // RFC 8285 §4.2: 0 is padding; 15 is reserved in the one-byte form.
        let id = match u8::try_from(extension.id) {
            Ok(id) if id != 0 && id != 15 => id,
            _ => return Err(format!("{field} has id {}, not 1 to 14 or 16 to 255", extension.id)),
        };
        if checked.iter().any(|(other, other_kind)| *other == id || *other_kind == kind) {
            return Err(format!("{field} has id {id} or kind {kind:?} twice"));
        }
        checked.push((id, kind));
    }
    Ok(Extensions(checked))
}

const fn extension_kind(kind: v1::ExtensionKind) -> Option<ExtensionKind> {
    Some(match kind {
        v1::ExtensionKind::Unspecified => return None,
        v1::ExtensionKind::Mid => ExtensionKind::Mid,
        v1::ExtensionKind::Rid => ExtensionKind::Rid,
        v1::ExtensionKind::RepairedRid => ExtensionKind::RepairedRid,
        v1::ExtensionKind::AudioLevel => ExtensionKind::AudioLevel,
        v1::ExtensionKind::TransportCc => ExtensionKind::TransportCc,
        v1::ExtensionKind::AbsSendTime => ExtensionKind::AbsSendTime,
        v1::ExtensionKind::DependencyDescriptor => ExtensionKind::DependencyDescriptor,
        v1::ExtensionKind::AbsCaptureTime => ExtensionKind::AbsCaptureTime,
        v1::ExtensionKind::PlayoutDelay => ExtensionKind::PlayoutDelay,
        v1::ExtensionKind::VideoOrientation => ExtensionKind::VideoOrientation,
    })
}

fn fingerprints(fingerprints: &[v1::Fingerprint]) -> Result<Vec<Fingerprint>, String> {
    bounded("remote_fingerprints", fingerprints, 0, 8)?;
    fingerprints
        .iter()
        .map(|fingerprint| {
            let hash = Hash::from_name(&fingerprint.algorithm).ok_or_else(|| {
                format!("{:?} is no accepted hash of remote_fingerprints", fingerprint.algorithm)
            })?;
            Fingerprint::new(hash, &fingerprint.value).ok_or_else(|| {
                format!(
                    "a {} of remote_fingerprints cannot have {} bytes",
                    fingerprint.algorithm,
                    fingerprint.value.len()
                )
            })
        })
        .collect()
}

fn sctp(spec: &v1::Sctp) -> Result<input::SctpSpec, String> {
    bounded("channels", &spec.channels, 0, 16)?;
    Ok(input::SctpSpec {
        remote_port: match u16::try_from(spec.remote_port) {
            Ok(port) if port != 0 => port,
            _ => return Err(format!("remote_port is {}, not 1 to 65535", spec.remote_port)),
        },
        message_size_max: spec.message_size_max,
        channels: spec
            .channels
            .iter()
            .map(|channel| {
                short("label", &channel.label, 255)?;
                Ok(input::ChannelSpec {
                    label: channel.label.clone(),
                    ordered: channel.ordered,
                    retransmits_max: channel.retransmits_max,
                })
            })
            .collect::<Result<_, String>>()?,
    })
}

/// `home`: the worker on which its publisher lives, if that is another one.
///
/// # Errors
/// What is wrong, by the field's name.
pub fn publication(spec: &v1::Publication, home: Option<WorkerIndex>) -> Result<PublicationSpec, String> {
    let codecs = codecs(&spec.codecs)?;
    Ok(PublicationSpec {
        id: PublicationId(spec.id),
        peer: PeerId(spec.peer),
        kind: match known("kind", spec.kind)? {
            v1::MediaKind::Audio => MediaKind::Audio,
            v1::MediaKind::Video => MediaKind::Video,
        },
        mid: mid(&spec.mid)?,
        codecs,
        encodings: encodings(&spec.encodings)?,
        muted: spec.muted,
        nack: spec.nack,
        pli: spec.pli,
        fir: spec.fir,
        encrypted: spec.encrypted,
        home: home.map(|worker| Home { worker, room: RoomId(spec.room) }),
    })
}

fn codecs(codecs: &[v1::PayloadCodec]) -> Result<Vec<PayloadCodec>, String> {
    bounded("codecs", codecs, 1, 32)?;
    let mut checked: Vec<PayloadCodec> = Vec::with_capacity(codecs.len());
    for codec in codecs {
        let one = PayloadCodec {
            payload_type: payload_type("payload_type", codec.payload_type)?,
            codec: match known("codec", codec.codec)? {
                v1::Codec::Unspecified => return Err("codecs has an entry without codec".into()),
                v1::Codec::Opus => Codec::Opus,
                v1::Codec::Red => Codec::Red,
                v1::Codec::Pcmu => Codec::Pcmu,
                v1::Codec::Pcma => Codec::Pcma,
                v1::Codec::Vp8 => Codec::Vp8,
                v1::Codec::Vp9 => Codec::Vp9,
                v1::Codec::H264 => Codec::H264,
                v1::Codec::Av1 => Codec::Av1,
                v1::Codec::H265 => Codec::H265,
            },
            clock_rate: match codec.clock_rate {
                rate @ 1_000..=192_000 => rate,
                rate => return Err(format!("clock_rate is {rate}, not 1000 to 192000")),
            },
            rtx_payload_type: codec
                .rtx_payload_type
                .map(|number| payload_type("rtx_payload_type", number))
                .transpose()?,
        };
        let taken =
            |number| checked.iter().any(|c| c.payload_type == number || c.rtx_payload_type == Some(number));
        if taken(one.payload_type)
            || one.rtx_payload_type.is_some_and(taken)
            || one.rtx_payload_type == Some(one.payload_type)
        {
            return Err(format!("payload type {} or its RTX stands twice in codecs", codec.payload_type));
        }
        checked.push(one);
    }
    Ok(checked)
}

fn encodings(encodings: &[v1::Encoding]) -> Result<Vec<EncodingSpec>, String> {
    bounded("encodings", encodings, 1, 3)?;
    let mut ssrcs = Vec::new();
    let mut rids = Vec::new();
    let mut checked = Vec::with_capacity(encodings.len());
    for (index, encoding) in encodings.iter().enumerate() {
        if usize::try_from(encoding.layer) != Ok(index) {
            return Err(format!("layer is {} at index {index} of encodings", encoding.layer));
        }
        let rid = match encoding.rid.as_str() {
            "" => None,
            text => Some(
                Rid::new(text.as_bytes()).ok_or_else(|| format!("rid {text:?} is longer than 16 bytes"))?,
            ),
        };
        let one = EncodingSpec { rid, ssrc: ssrc(encoding.ssrc), rtx_ssrc: ssrc(encoding.rtx_ssrc) };
        if one.rid.is_none() && one.ssrc.is_none() && encodings.len() > 1 {
            return Err(format!(
                "encoding {index} has neither rid nor ssrc: nothing tells its packets from others"
            ));
        }
        rids.extend(one.rid);
        ssrcs.extend(one.ssrc.into_iter().chain(one.rtx_ssrc));
        checked.push(one);
    }
    let rid_twice = (1..rids.len()).any(|index| rids[..index].contains(&rids[index]));
    let ssrc_twice = (1..ssrcs.len()).any(|index| ssrcs[..index].contains(&ssrcs[index]));
    if rid_twice || ssrc_twice {
        return Err("a rid or ssrc stands twice in encodings".into());
    }
    Ok(checked)
}

/// # Errors
/// What is wrong, by the field's name.
pub fn subscription(spec: &v1::Subscription) -> Result<SubscriptionSpec, String> {
    bounded("payloads", &spec.payloads, 1, 32)?;
    short("cname", &spec.cname, 255)?;
    let ssrc_of_media = ssrc(spec.ssrc).ok_or("ssrc is 0")?;
    if spec.rtx_ssrc == spec.ssrc {
        return Err("rtx_ssrc is ssrc".into());
    }
    Ok(SubscriptionSpec {
        id: SubscriptionId(spec.id),
        peer: PeerId(spec.peer),
        publication: PublicationId(spec.publication),
        mid: mid(&spec.mid)?,
        ssrc: ssrc_of_media,
        rtx_ssrc: ssrc(spec.rtx_ssrc),
        payloads: spec
            .payloads
            .iter()
            .map(|mapping| {
                Ok(PayloadMapping {
                    from: payload_type("from", mapping.from)?,
                    to: payload_type("to", mapping.to)?,
                    rtx: mapping.rtx.map(|number| payload_type("rtx", number)).transpose()?,
                    red: mapping.red.map(|number| payload_type("red", number)).transpose()?,
                })
            })
            .collect::<Result<_, String>>()?,
        paused: spec.paused,
        // More than there is means the highest there is.
        layer_max: u8::try_from(spec.layer_max).unwrap_or(u8::MAX),
        temporal_layer_max: u8::try_from(spec.temporal_layer_max).unwrap_or(u8::MAX),
        frame_rate_max: NonZeroU32::new(spec.frame_rate_max),
        cname: spec.cname.clone(),
        playout_delay: spec.playout_delay.as_ref().map(playout_delay).transpose()?,
        strip_packet_trailer: spec.strip_packet_trailer,
    })
}

fn playout_delay(range: &v1::PlayoutDelay) -> Result<PlayoutDelayRange, String> {
    let v1::PlayoutDelay { min_ms, max_ms } = *range;
    if min_ms > max_ms || max_ms > PLAYOUT_DELAY_MS_MAX {
        return Err(format!("playout_delay from {min_ms} to {max_ms} ms is no range"));
    }
    Ok(PlayoutDelayRange { min_ms, max_ms })
}

/// # Errors
/// What is wrong, by the field's name.
pub fn route(spec: &v1::Route) -> Result<input::RouteSpec, String> {
    short("identity", &spec.identity, IDENTITY_LEN_MAX)?;
    short("sid", &spec.sid, 64)?;
    if spec.identity.is_empty() || spec.sid.is_empty() {
        return Err("identity or sid is empty".into());
    }
    Ok(input::RouteSpec {
        id: RouteId(spec.id),
        room: RoomId(spec.room),
        receive_peer: PeerId(spec.receive_peer),
        send_peer: PeerId(spec.send_peer),
        identity: spec.identity.clone(),
        sid: spec.sid.clone(),
        can_send: spec.can_send,
        can_receive: spec.can_receive,
        agent: spec.agent,
        hidden: spec.hidden,
        data_subscriptions: data_subscriptions(&spec.data_subscriptions)?,
    })
}

fn data_subscriptions(specs: &[v1::DataSubscription]) -> Result<Vec<input::DataSubscription>, String> {
    bounded("data_subscriptions", specs, 0, DATA_SUBSCRIPTIONS_MAX)?;
    let handle = |field: &str, handle: u32| match u16::try_from(handle) {
        Ok(handle) if handle != 0 => Ok(handle),
        _ => Err(format!("{field} is {handle}, not 1 to 65535")),
    };
    let mut subscriptions = Vec::with_capacity(specs.len());
    for spec in specs {
        subscriptions.push(input::DataSubscription {
            publisher: RouteId(spec.publisher),
            published_handle: handle("published_handle", spec.published_handle)?,
            handle: handle("handle", spec.handle)?,
        });
    }
    let handles: BTreeSet<u16> = subscriptions.iter().map(|one| one.handle).collect();
    if handles.len() < subscriptions.len() {
        return Err("data_subscriptions have one handle twice".into());
    }
    Ok(subscriptions)
}

const DATA_SUBSCRIPTIONS_MAX: usize = 1024;

const PLAYOUT_DELAY_MS_MAX: u32 = 40_950; // 12 bits, in steps of 10 ms
const IDENTITY_LEN_MAX: usize = 1024; // LiveKit's 256 characters, of up to 4 bytes

/// # Errors
/// What is wrong, by the field's name.
pub fn send_data(order: v1::SendData) -> Result<input::SendData, String> {
    bounded("routes", &order.routes, 0, ROUTES_MAX)?;
    if order.packet.len() > DATA_LEN_MAX {
        return Err(format!("packet has {} bytes, more than {DATA_LEN_MAX}", order.packet.len()));
    }
    short("reply_to", &order.reply_to, 64)?;
    Ok(input::SendData {
        room: RoomId(order.room),
        packet: order.packet.into(),
        reliable: order.reliable,
        routes: order.routes.into_iter().map(RouteId).collect(),
        reply_to: order.reply_to,
    })
}

/// # Errors
/// What is wrong, by the field's name.
pub fn replay_data(order: v1::ReplayData) -> Result<input::ReplayData, String> {
    bounded("received", &order.received, 0, ROUTES_MAX)?;
    for received in &order.received {
        short("sid", &received.sid, 64)?;
    }
    Ok(input::ReplayData {
        route: RouteId(order.route),
        received: order.received.into_iter().map(|received| (received.sid, received.sequence)).collect(),
    })
}

const DATA_LEN_MAX: usize = 64 * 1024;
const ROUTES_MAX: usize = 16_384;

fn mid(text: &str) -> Result<Mid, String> {
    Mid::new(text.as_bytes()).ok_or_else(|| format!("mid {text:?} has not 1 to 16 bytes"))
}

const fn ssrc(number: u32) -> Option<Ssrc> {
    if number == 0 { None } else { Some(Ssrc(number)) }
}

fn payload_type(field: &str, number: u32) -> Result<PayloadType, String> {
    match u8::try_from(number) {
        // RFC 5761 §4: 64 to 95 cannot be told from RTCP.
        Ok(number @ (0..=63 | 96..=127)) => Ok(PayloadType(number)),
        _ => Err(format!("{field} is {number}, not 0 to 63 or 96 to 127")),
    }
}

fn at_most(field: &str, number: u32, max: u8) -> Result<u8, String> {
    match u8::try_from(number) {
        Ok(small) if small <= max => Ok(small),
        _ => Err(format!("{field} is {number}, more than {max}")),
    }
}

fn bounded<T>(field: &str, list: &[T], min: usize, max: usize) -> Result<(), String> {
    if (min..=max).contains(&list.len()) {
        Ok(())
    } else {
        Err(format!("{field} has {} entries, not {min} to {max}", list.len()))
    }
}

fn short(field: &str, text: &str, max: usize) -> Result<(), String> {
    if text.len() <= max { Ok(()) } else { Err(format!("{field} has {} bytes, more than {max}", text.len())) }
}

fn known<E: TryFrom<i32>>(field: &str, number: i32) -> Result<E, String> {
    E::try_from(number).map_err(|_| format!("{field} is {number}, which this contract does not know"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::samples;

    const WORKER: WorkerIndex = WorkerIndex(0);

    /// Name, what is changed, and what the refusal must say.
    type Row<Spec> = (&'static str, fn(&mut Spec), &'static str);

    /// Applies one change to a sample that is right, and expects the refusal to name the field.
    fn refused<Spec: Clone, Out>(
        sample: &Spec,
        translate: impl Fn(&Spec) -> Result<Out, String>,
        rows: Vec<Row<Spec>>,
    ) {
        assert!(translate(sample).is_ok(), "the sample itself");
        for (name, change, reason) in rows {
            let mut spec = sample.clone();
            change(&mut spec);
            let error = translate(&spec).err().unwrap_or_else(|| panic!("{name}: accepted"));
            assert!(error.contains(reason), "{name}: {error}");
        }
    }

    #[test]
    fn rooms() {
        refused(
            &samples::room(1, 0),
            room,
            vec![
                ("level", |r| r.audio_levels.as_mut().unwrap().active_level = 128, "active_level"),
                ("percentile", |r| r.audio_levels.as_mut().unwrap().min_percentile = 101, "min_percentile"),
                (
                    "interval",
                    |r| r.audio_levels.as_mut().unwrap().update_interval_ms = 0,
                    "update_interval_ms",
                ),
                (
                    "smoothing",
                    |r| r.audio_levels.as_mut().unwrap().smooth_intervals = 256,
                    "smooth_intervals",
                ),
                ("trailer", |r| r.sif_trailer = vec![b't'; 65], "sif_trailer"),
            ],
        );
        let spec = room(&v1::Room { audio_levels: None, ..samples::room(1, 0) }).unwrap();
        assert_eq!(spec.audio_levels.active_level, 35, "LiveKit's default");
    }

    #[test]
    fn peers() {
        refused(
            &samples::peer(2, 1),
            |spec| peer(spec, WORKER),
            vec![
                ("no credentials", |p| p.local_ice.clear(), "local_ice"),
                ("five credentials", |p| p.local_ice = vec![p.local_ice[0].clone(); 5], "local_ice"),
                ("same ufrag twice", |p| p.local_ice.push(p.local_ice[0].clone()), "twice"),
                ("short ufrag", |p| p.local_ice[0].ufrag = "00a".into(), "ufrag"),
                ("another worker's ufrag", |p| p.local_ice[0].ufrag = "01abcd".into(), "worker"),
                ("ufrag with a colon", |p| p.local_ice[0].ufrag = "00ab:c".into(), "ICE"),
                ("short password", |p| p.local_ice[0].password = "x".repeat(21), "password"),
                ("long password", |p| p.local_ice[0].password = "x".repeat(257), "password"),
                ("too many remote ufrags", |p| p.remote_ufrags.push(String::new()), "remote_ufrags"),
                ("bad remote ufrag", |p| p.remote_ufrags[0] = "a b c d".into(), "remote_ufrags"),
                ("extension id 0", |p| p.receive_extensions[0].id = 0, "receive_extensions"),
                ("extension id 15", |p| p.receive_extensions[0].id = 15, "receive_extensions"),
                ("extension id 256", |p| p.send_extensions[0].id = 256, "send_extensions"),
                ("unspecified kind", |p| p.send_extensions[0].kind = 0, "no kind"),
                ("unknown kind", |p| p.send_extensions[0].kind = 99, "99"),
                (
                    "same kind twice",
                    |p| p.send_extensions.push(v1::HeaderExtension { id: 9, kind: 1 }),
                    "twice",
                ),
                ("SHA-1", |p| p.remote_fingerprints[0].algorithm = "sha-1".into(), "sha-1"),
                ("short fingerprint", |p| p.remote_fingerprints[0].value.truncate(31), "31 bytes"),
                ("unknown role", |p| p.dtls_role = 7, "dtls_role"),
                ("unknown feedback", |p| p.uplink_feedback = 7, "uplink_feedback"),
                ("no SSRC", |p| p.rtcp_ssrc = 0, "rtcp_ssrc"),
                ("SCTP port 0", |p| p.sctp.as_mut().unwrap().remote_port = 0, "remote_port"),
                ("SCTP port beyond", |p| p.sctp.as_mut().unwrap().remote_port = 65_536, "remote_port"),
                ("long label", |p| p.sctp.as_mut().unwrap().channels[0].label = "l".repeat(256), "label"),
            ],
        );
    }

    #[test]
    fn peer_before_the_client_answered_is_accepted() {
        let mut spec = samples::peer(2, 1);
        spec.remote_fingerprints.clear();
        spec.remote_ufrags[0].clear();
        spec.sctp = None;
        let (media, data) = peer(&spec, WORKER).unwrap();
        assert_eq!(media.remote_ufrags, [""]);
        assert!(data.fingerprints.is_empty() && data.sctp.is_none());
    }

    #[test]
    fn worker_stands_in_the_first_two_characters() {
        for (index, prefix) in [(0, b"00"), (9, b"09"), (10, b"0a"), (36, b"10"), (1295, b"zz")] {
            assert_eq!(&worker_prefix(WorkerIndex(index)), prefix, "{index}");
        }
    }

    #[test]
    fn publications() {
        refused(
            &samples::publication(3, 2, 1),
            |spec| publication(spec, None),
            vec![
                ("unknown kind", |p| p.kind = 2, "kind"),
                ("no mid", |p| p.mid.clear(), "mid"),
                ("long mid", |p| p.mid = "m".repeat(17), "mid"),
                ("no codec", |p| p.codecs.clear(), "codecs"),
                ("unspecified codec", |p| p.codecs[0].codec = 0, "codec"),
                ("RTCP's payload type", |p| p.codecs[0].payload_type = 72, "payload_type"),
                ("payload type 128", |p| p.codecs[0].payload_type = 128, "payload_type"),
                ("RTX is itself", |p| p.codecs[0].rtx_payload_type = Some(96), "twice"),
                ("payload type twice", |p| p.codecs.push(p.codecs[0]), "twice"),
                ("no clock", |p| p.codecs[0].clock_rate = 0, "clock_rate"),
                ("no encoding", |p| p.encodings.clear(), "encodings"),
                ("four encodings", |p| p.encodings = vec![p.encodings[0].clone(); 4], "encodings"),
                ("layers out of order", |p| p.encodings.swap(0, 1), "layer"),
                ("rid twice", |p| p.encodings[1].rid = "q".into(), "twice"),
                ("ssrc twice", |p| (p.encodings[0].ssrc, p.encodings[1].rtx_ssrc) = (7, 7), "twice"),
                ("nothing to tell by", |p| p.encodings[0].rid.clear(), "neither"),
                ("long rid", |p| p.encodings[0].rid = "r".repeat(17), "rid"),
            ],
        );
    }

    #[test]
    fn subscriptions() {
        refused(
            &samples::subscription(4, 2, 3, 1),
            subscription,
            vec![
                ("no ssrc", |s| s.ssrc = 0, "ssrc"),
                ("RTX has the same", |s| s.rtx_ssrc = s.ssrc, "rtx_ssrc"),
                ("no mid", |s| s.mid.clear(), "mid"),
                ("no payload", |s| s.payloads.clear(), "payloads"),
                ("bad payload", |s| s.payloads[0].to = 80, "to is 80"),
                ("bad block", |s| s.payloads[0].red = Some(128), "red is 128"),
                ("long cname", |s| s.cname = "c".repeat(256), "cname"),
                (
                    "least playout delay above the most",
                    |s| s.playout_delay = Some(v1::PlayoutDelay { min_ms: 10, max_ms: 9 }),
                    "playout_delay",
                ),
                (
                    "more playout delay than can be told",
                    |s| s.playout_delay = Some(v1::PlayoutDelay { min_ms: 0, max_ms: 40_951 }),
                    "playout_delay",
                ),
            ],
        );
        let spec = v1::Subscription { layer_max: u32::MAX, ..samples::subscription(4, 2, 3, 1) };
        assert_eq!(subscription(&spec).unwrap().layer_max, u8::MAX, "all layers");
        let spec = v1::Subscription {
            playout_delay: Some(v1::PlayoutDelay { min_ms: 100, max_ms: 40_950 }),
            strip_packet_trailer: true,
            ..samples::subscription(4, 2, 3, 1)
        };
        let spec = subscription(&spec).unwrap();
        assert_eq!(spec.playout_delay, Some(PlayoutDelayRange { min_ms: 100, max_ms: 40_950 }));
        assert!(spec.strip_packet_trailer);
    }

    #[test]
    fn routes_and_data() {
        const fn subscribed(published_handle: u32, handle: u32) -> v1::DataSubscription {
            v1::DataSubscription { publisher: 6, published_handle, handle }
        }
        refused(
            &samples::route(5, 2, 1),
            route,
            vec![
                ("no identity", |r| r.identity.clear(), "identity"),
                ("long identity", |r| r.identity = "i".repeat(1025), "identity"),
                ("no sid", |r| r.sid.clear(), "sid"),
                ("handle 0", |r| r.data_subscriptions = vec![subscribed(1, 0)], "handle is 0"),
                ("handle of 17 bits", |r| r.data_subscriptions = vec![subscribed(1 << 16, 1)], "published"),
                (
                    "a handle twice",
                    |r| r.data_subscriptions = vec![subscribed(1, 7), subscribed(2, 7)],
                    "twice",
                ),
                ("many", |r| r.data_subscriptions = vec![subscribed(1, 1); 1025], "1025 entries"),
            ],
        );
        let data = v1::SendData { room: 1, packet: vec![0; DATA_LEN_MAX + 1], ..Default::default() };
        assert!(send_data(data).unwrap_err().contains("packet"));
        let data = v1::SendData { room: 1, reply_to: "r".repeat(65), ..Default::default() };
        assert!(send_data(data).unwrap_err().contains("reply_to"));
        let replay =
            v1::ReplayData { route: 5, received: vec![v1::Received { sid: "s".repeat(65), sequence: 1 }] };
        assert!(replay_data(replay).unwrap_err().contains("sid"));
    }
}
