//! Counts the repeated fields of an encoded message before it is decoded.
//!
//! An empty element takes two bytes on the wire and hundreds in memory, so that a message of the allowed
//! length could decode to a hundred times that. Only fields that the decoder would store are counted.

/// The messages that contain repeated fields, of those that clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SignalRequest,
    JoinRequest,
    ClientInfo,
    SessionDescription,
    AddTrackRequest,
    SimulcastCodec,
    UpdateSubscription,
    ParticipantTracks,
    UpdateTrackSettings,
    LeaveRequest,
    RegionSettings,
    UpdateVideoLayers,
    SubscriptionPermission,
    TrackPermission,
    SyncState,
    TrackPublishedResponse,
    TrackInfo,
    UpdateDataSubscription,
    UpdateParticipantMetadata,
    UpdateLocalAudioTrack,
    WorkerMessage,
    RegisterWorkerRequest,
    AgentEndpoint,
    AvailabilityResponse,
    SimulateJobRequest,
    MigrateJobRequest,
    Room,
    ParticipantInfo,
    ParticipantPermission,
}

/// Accepts at most `REPEATED_MAX` elements in all; what cannot be scanned cannot be decoded either.
pub fn check(kind: Kind, message: &[u8]) -> Result<(), FieldCountError> {
    let mut left = REPEATED_MAX;
    count(kind, message, &mut left)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldCountError {
    TooMany,
    Malformed,
}

enum Field {
    /// One nested message.
    Message(Kind),
    /// Any number of strings, bytes, map entries or messages without repeated fields.
    Leaves,
    /// Any number of nested messages.
    Messages(Kind),
    /// Any number of enums, packed or not.
    Packed,
}

/// The recursion ends because no kind contains itself.
fn count(kind: Kind, message: &[u8], left: &mut usize) -> Result<(), FieldCountError> {
    let mut rest = message;
    while !rest.is_empty() {
        let (number, value) = next(&mut rest)?;
        let Some(field) = field(kind, number) else { continue };
        if let Field::Leaves | Field::Messages(_) = field {
            take(left, 1)?;
        }
        match (field, value) {
            (Field::Message(inner) | Field::Messages(inner), Some(value)) => count(inner, value, left)?,
            (Field::Packed, Some(value)) => take(left, value.iter().filter(|byte| **byte < 0x80).count())?,
            (Field::Packed, None) => take(left, 1)?,
            _ => {}
        }
    }
    Ok(())
}

fn take(left: &mut usize, count: usize) -> Result<(), FieldCountError> {
    *left = left.checked_sub(count).ok_or(FieldCountError::TooMany)?;
    Ok(())
}

/// The next field's number, and its bytes if it is length-delimited.
fn next<'a>(rest: &mut &'a [u8]) -> Result<(u64, Option<&'a [u8]>), FieldCountError> {
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => varint(rest).map(|_| None)?,
        1 => split(rest, 8).map(|_| None)?,
        2 => {
            let len = usize::try_from(varint(rest)?).map_err(|_| FieldCountError::Malformed)?;
            Some(split(rest, len)?)
        }
        5 => split(rest, 4).map(|_| None)?,
        _ => return Err(FieldCountError::Malformed),
    };
    Ok((tag >> 3, value))
}

fn varint(rest: &mut &[u8]) -> Result<u64, FieldCountError> {
    prost::encoding::decode_varint(rest).map_err(|_| FieldCountError::Malformed)
}

fn split<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], FieldCountError> {
    let (value, after) = rest.split_at_checked(len).ok_or(FieldCountError::Malformed)?;
    *rest = after;
    Ok(value)
}

/// Numbers as in `livekit_rtc.proto`, `livekit_models.proto` and `livekit_agent.proto`.
fn field(kind: Kind, number: u64) -> Option<Field> {
    Some(match (kind, number) {
        (Kind::SignalRequest, 1 | 2) => Field::Message(Kind::SessionDescription),
        (Kind::SignalRequest, 4) => Field::Message(Kind::AddTrackRequest),
        (Kind::SignalRequest, 6) => Field::Message(Kind::UpdateSubscription),
        (Kind::SignalRequest, 7) => Field::Message(Kind::UpdateTrackSettings),
        (Kind::SignalRequest, 8) => Field::Message(Kind::LeaveRequest),
        (Kind::SignalRequest, 10) => Field::Message(Kind::UpdateVideoLayers),
        (Kind::SignalRequest, 11) => Field::Message(Kind::SubscriptionPermission),
        (Kind::SignalRequest, 12) => Field::Message(Kind::SyncState),
        (Kind::SignalRequest, 15) => Field::Message(Kind::UpdateParticipantMetadata),
        (Kind::SignalRequest, 17) => Field::Message(Kind::UpdateLocalAudioTrack),
        (Kind::SignalRequest, 21) => Field::Message(Kind::UpdateDataSubscription),

        (Kind::JoinRequest, 1) => Field::Message(Kind::ClientInfo),
        (Kind::JoinRequest, 4) => Field::Leaves,
        (Kind::JoinRequest, 5) => Field::Messages(Kind::AddTrackRequest),
        (Kind::JoinRequest, 6) => Field::Message(Kind::SessionDescription),
        (Kind::JoinRequest, 10) => Field::Message(Kind::SyncState),

        (Kind::ClientInfo, 13) => Field::Packed,
        (Kind::SessionDescription, 4) => Field::Leaves,

        (Kind::AddTrackRequest, 9) => Field::Leaves,
        (Kind::AddTrackRequest, 10) => Field::Messages(Kind::SimulcastCodec),
        (Kind::AddTrackRequest, 17 | 18) => Field::Packed,
        (Kind::SimulcastCodec, 4) => Field::Leaves,

        (Kind::UpdateSubscription, 1) => Field::Leaves,
        (Kind::UpdateSubscription, 3) => Field::Messages(Kind::ParticipantTracks),
        (Kind::ParticipantTracks, 2) => Field::Leaves,
        (Kind::UpdateTrackSettings, 1) => Field::Leaves,
        (Kind::LeaveRequest, 4) => Field::Message(Kind::RegionSettings),
        (Kind::RegionSettings, 1) => Field::Leaves,
        (Kind::UpdateVideoLayers, 2) => Field::Leaves,
        (Kind::SubscriptionPermission, 2) => Field::Messages(Kind::TrackPermission),
        (Kind::TrackPermission, 3) => Field::Leaves,

        (Kind::SyncState, 1 | 5) => Field::Message(Kind::SessionDescription),
        (Kind::SyncState, 2) => Field::Message(Kind::UpdateSubscription),
        (Kind::SyncState, 3) => Field::Messages(Kind::TrackPublishedResponse),
        (Kind::SyncState, 4 | 6 | 7 | 8) => Field::Leaves,
        (Kind::SyncState, 9) => Field::Message(Kind::UpdateDataSubscription),
        (Kind::TrackPublishedResponse, 2) => Field::Message(Kind::TrackInfo),
        (Kind::TrackInfo, 10) => Field::Leaves,
        (Kind::TrackInfo, 13) => Field::Messages(Kind::SimulcastCodec),
        (Kind::TrackInfo, 19 | 21) => Field::Packed,

        (Kind::UpdateDataSubscription, 1) => Field::Leaves,
        (Kind::UpdateParticipantMetadata, 3) => Field::Leaves,
        (Kind::UpdateLocalAudioTrack, 2) => Field::Packed,

        (Kind::WorkerMessage, 1) => Field::Message(Kind::RegisterWorkerRequest),
        (Kind::WorkerMessage, 2) => Field::Message(Kind::AvailabilityResponse),
        (Kind::WorkerMessage, 6) => Field::Message(Kind::SimulateJobRequest),
        (Kind::WorkerMessage, 7) => Field::Message(Kind::MigrateJobRequest),
        (Kind::RegisterWorkerRequest, 7) => Field::Message(Kind::ParticipantPermission),
        (Kind::RegisterWorkerRequest, 10) => Field::Messages(Kind::AgentEndpoint),
        (Kind::AgentEndpoint, 2) => Field::Leaves,
        (Kind::AvailabilityResponse, 7) => Field::Leaves,
        (Kind::SimulateJobRequest, 2) => Field::Message(Kind::Room),
        (Kind::SimulateJobRequest, 3) => Field::Message(Kind::ParticipantInfo),
        (Kind::MigrateJobRequest, 2) => Field::Leaves,
        (Kind::Room, 7) => Field::Leaves,
        (Kind::ParticipantInfo, 4) => Field::Messages(Kind::TrackInfo),
        (Kind::ParticipantInfo, 11) => Field::Message(Kind::ParticipantPermission),
        (Kind::ParticipantInfo, 15 | 19) => Field::Leaves,
        (Kind::ParticipantInfo, 18 | 21) => Field::Packed,
        (Kind::ParticipantPermission, 9) => Field::Packed,
        _ => return None,
    })
}

const REPEATED_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use livekit_protocol as proto;
    use livekit_protocol::signal_request::Message;
    use prost::Message as _;

    use super::*;

    fn request(message: Message) -> Vec<u8> {
        proto::SignalRequest { message: Some(message) }.encode_to_vec()
    }

    /// One message for each repeated field that a client can send, with `count` elements in it.
    #[expect(deprecated, reason = "old clients send it")]
    fn each_repeated_field(count: usize) -> Vec<(&'static str, Vec<u8>)> {
        let texts = vec![String::new(); count];
        let map = || (0..count).map(|n| (n.to_string(), String::new())).collect();
        let layers = vec![proto::VideoLayer::default(); count];
        let codecs = vec![proto::SimulcastCodec::default(); count];
        let track = proto::TrackInfo::default();
        let add = proto::AddTrackRequest::default();
        let sync = proto::SyncState::default();
        let sync_track = |track| {
            let published = proto::TrackPublishedResponse { track: Some(track), ..Default::default() };
            Message::SyncState(proto::SyncState { publish_tracks: vec![published], ..Default::default() })
        };
        let description = proto::SessionDescription { mid_to_track_id: map(), ..Default::default() };
        let messages = [
            ("offer", Message::Offer(description.clone())),
            ("answer", Message::Answer(description.clone())),
            ("layers", Message::AddTrack(proto::AddTrackRequest { layers: layers.clone(), ..add.clone() })),
            ("codecs", Message::AddTrack(proto::AddTrackRequest { simulcast_codecs: codecs, ..add.clone() })),
            (
                "layers of a codec",
                Message::AddTrack(proto::AddTrackRequest {
                    simulcast_codecs: vec![proto::SimulcastCodec {
                        layers: layers.clone(),
                        ..Default::default()
                    }],
                    ..add.clone()
                }),
            ),
            (
                "audio features",
                Message::AddTrack(proto::AddTrackRequest { audio_features: vec![1; count], ..add.clone() }),
            ),
            (
                "trailers",
                Message::AddTrack(proto::AddTrackRequest { packet_trailer_features: vec![1; count], ..add }),
            ),
            (
                "subscription",
                Message::Subscription(proto::UpdateSubscription {
                    track_sids: texts.clone(),
                    ..Default::default()
                }),
            ),
            (
                "participant tracks",
                Message::Subscription(proto::UpdateSubscription {
                    participant_tracks: vec![proto::ParticipantTracks {
                        track_sids: texts.clone(),
                        ..Default::default()
                    }],
                    ..Default::default()
                }),
            ),
            (
                "setting",
                Message::TrackSetting(proto::UpdateTrackSettings {
                    track_sids: texts.clone(),
                    ..Default::default()
                }),
            ),
            (
                "regions",
                Message::Leave(proto::LeaveRequest {
                    regions: Some(proto::RegionSettings {
                        regions: vec![proto::RegionInfo::default(); count],
                    }),
                    ..Default::default()
                }),
            ),
            (
                "update layers",
                Message::UpdateLayers(proto::UpdateVideoLayers {
                    layers: layers.clone(),
                    ..Default::default()
                }),
            ),
            (
                "permissions",
                Message::SubscriptionPermission(proto::SubscriptionPermission {
                    track_permissions: vec![proto::TrackPermission {
                        track_sids: texts.clone(),
                        ..Default::default()
                    }],
                    ..Default::default()
                }),
            ),
            (
                "sync answer",
                Message::SyncState(proto::SyncState { answer: Some(description.clone()), ..sync.clone() }),
            ),
            ("sync offer", Message::SyncState(proto::SyncState { offer: Some(description), ..sync.clone() })),
            (
                "sync channels",
                Message::SyncState(proto::SyncState {
                    data_channels: vec![proto::DataChannelInfo::default(); count],
                    ..sync.clone()
                }),
            ),
            ("sync disabled", Message::SyncState(proto::SyncState { track_sids_disabled: texts, ..sync })),
            ("sync layers", sync_track(proto::TrackInfo { layers, ..track.clone() })),
            ("sync features", sync_track(proto::TrackInfo { audio_features: vec![1; count], ..track })),
            (
                "metadata",
                Message::UpdateMetadata(proto::UpdateParticipantMetadata {
                    attributes: map(),
                    ..Default::default()
                }),
            ),
            (
                "audio track",
                Message::UpdateAudioTrack(proto::UpdateLocalAudioTrack {
                    features: vec![1; count],
                    ..Default::default()
                }),
            ),
        ];
        messages.into_iter().map(|(name, message)| (name, request(message))).collect()
    }

    #[test]
    fn every_repeated_field_is_counted() {
        for (name, message) in each_repeated_field(REPEATED_MAX - 1) {
            assert_eq!(check(Kind::SignalRequest, &message), Ok(()), "{name}");
        }
        for (name, message) in each_repeated_field(REPEATED_MAX + 1) {
            assert_eq!(check(Kind::SignalRequest, &message), Err(FieldCountError::TooMany), "{name}");
        }
    }

    #[test]
    fn text_is_not_taken_for_fields() {
        let sdp = "((".repeat(100_000);
        let message = request(Message::Offer(proto::SessionDescription { sdp, ..Default::default() }));
        assert_eq!(check(Kind::SignalRequest, &message), Ok(()));
    }

    #[test]
    fn what_ends_too_early_is_malformed() {
        for (name, message) in [
            ("tag cut", &[0x80][..]),
            ("varint cut", &[0x70, 0x80]),
            ("length beyond the end", &[0x0a, 5, 1]),
            ("length of 2^63", &[0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]),
            ("fixed64 cut", &[0x71, 1, 2]),
            ("fixed32 cut", &[0x75, 1, 2]),
            ("a group", &[0x0b]),
            ("wire type 7", &[0x0f]),
        ] {
            assert_eq!(check(Kind::SignalRequest, message), Err(FieldCountError::Malformed), "{name}");
        }
    }
}
