//! The rules of the data plane, row by row.

use std::time::Duration;

use livekit_protocol::data_packet::Value as Content;
use livekit_protocol::{
    ActiveSpeakerUpdate, ChatMessage, DataPacket, EncryptedPacket, MetricsBatch, RpcAck, RpcRequest, SipDtmf,
    Transcription, UserPacket, data_stream,
};
use prost::Message;

use super::*;
use crate::helper::input::DataSubscription;

const ROOM: RoomId = RoomId(1);

fn spec(id: u64) -> RouteSpec {
    RouteSpec {
        id: RouteId(id),
        room: ROOM,
        receive_peer: PeerId(10 * id),
        send_peer: PeerId(10 * id + 1),
        identity: format!("identity {id}"),
        sid: format!("PA_{id}"),
        can_send: true,
        can_receive: true,
        agent: false,
        hidden: false,
        data_subscriptions: Vec::new(),
    }
}

/// Participants 1 to `count`, all ready; the change is for the first.
fn room(now: Instant, count: u64, change: impl FnOnce(&mut RouteSpec)) -> Router {
    let mut router = Router::default();
    let mut first = spec(1);
    change(&mut first);
    router.upsert(now, first);
    for id in 2..=count {
        router.upsert(now, spec(id));
    }
    for id in 1..=count {
        router.ready(now, PeerId(10 * id + 1)).unwrap();
    }
    router
}

fn packet(value: Content) -> DataPacket {
    DataPacket { value: Some(value), ..DataPacket::default() }
}

fn text(text: &str) -> DataPacket {
    packet(Content::User(UserPacket { payload: text.into(), ..UserPacket::default() }))
}

fn numbered(sequence: u32) -> DataPacket {
    DataPacket { sequence, ..text("numbered") }
}

fn message(kind: Kind, bytes: Vec<u8>) -> Received {
    let label = match kind {
        Kind::Reliable => "_reliable",
        Kind::Lossy => "_lossy",
        Kind::DataTrack => "_data_track",
        Kind::Raw => "raw",
    };
    Received { kind, label: label.into(), text: false, bytes: Bytes::from(bytes) }
}

fn say(router: &mut Router, now: Instant, packet: &DataPacket) -> Result<(DataPacket, Vec<u64>), Discard> {
    let deliveries = router.receive(now, PeerId(10), &message(Kind::Reliable, packet.encode_to_vec()))?;
    let delivery = &deliveries[0];
    let peers = delivery.peers.iter().map(|peer| peer.0).collect();
    Ok((DataPacket::decode(&delivery.bytes[..]).unwrap(), peers))
}

fn decoded(missed: &[Bytes]) -> Vec<u32> {
    missed.iter().map(|bytes| DataPacket::decode(&bytes[..]).unwrap().sequence).collect()
}

#[expect(deprecated, reason = "old clients still address by these")]
#[test]
fn destinations_choose_who_hears() {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let user = |identities: &[&str], sids: &[&str]| {
        packet(Content::User(UserPacket {
            destination_identities: names(identities),
            destination_sids: names(sids),
            ..UserPacket::default()
        }))
    };
    let to = |identities: &[&str], packet: DataPacket| DataPacket {
        destination_identities: names(identities),
        ..packet
    };
    let rows = [
        ("nobody named: all but the sender", text(""), vec![21, 31, 41]),
        ("one identity", to(&["identity 3"], text("")), vec![31]),
        ("two identities", to(&["identity 4", "identity 2"], text("")), vec![21, 41]),
        ("the sender itself", to(&["identity 1"], text("")), vec![]),
        ("a stranger", to(&["somebody"], text("")), vec![]),
        ("the user packet's identity", user(&["identity 2"], &[]), vec![21]),
        ("the user packet's sid", user(&[], &["PA_3"]), vec![31]),
        ("identity or sid", user(&["identity 2"], &["PA_3"]), vec![21, 31]),
        ("the packet's before the user packet's", to(&["identity 4"], user(&["identity 2"], &[])), vec![41]),
    ];
    for (name, packet, expected) in rows {
        let now = Instant::now();
        let (_, peers) = say(&mut room(now, 4, |_| {}), now, &packet).unwrap();
        assert_eq!(peers, expected, "{name}");
    }
}

#[test]
fn rights_and_kinds_decide_what_passes() {
    type Change = fn(&mut RouteSpec);
    let nothing: Change = |_| {};
    let agent: Change = |spec| spec.agent = true;
    let mute: Change = |spec| spec.can_send = false;
    let hidden: Change = |spec| spec.hidden = true;
    let chat = || Content::ChatMessage(ChatMessage::default());
    let header = || Content::StreamHeader(data_stream::Header::default());
    let chunk = || Content::StreamChunk(data_stream::Chunk::default());
    let trailer = || Content::StreamTrailer(data_stream::Trailer::default());
    let transcription = || Content::Transcription(Transcription::default());
    let user = || Content::User(UserPacket::default());
    let rpc = || Content::RpcRequest(RpcRequest::default());
    let own = Ok("identity 1");
    let other = Ok("other");
    let no = Err(Discard::NotPermitted);
    #[expect(deprecated, reason = "it must be refused")]
    let speaker = Content::Speaker(ActiveSpeakerUpdate::default());
    let rows: [(&str, Change, Content, Result<&str, Discard>); 19] = [
        ("user", nothing, user(), own),
        ("user from an agent", agent, user(), own),
        ("rpc from an agent", agent, rpc(), own),
        ("chat", nothing, chat(), own),
        ("chat from an agent", agent, chat(), other),
        ("stream header", nothing, header(), own),
        ("stream header from an agent", agent, header(), other),
        ("stream chunk from an agent", agent, chunk(), other),
        ("stream trailer from an agent", agent, trailer(), other),
        ("transcription", nothing, transcription(), no),
        ("transcription from an agent", agent, transcription(), other),
        ("dtmf", nothing, Content::SipDtmf(SipDtmf::default()), own),
        ("encrypted", nothing, Content::EncryptedPacket(EncryptedPacket::default()), own),
        ("speakers", agent, speaker, no),
        ("metrics", nothing, Content::Metrics(MetricsBatch::default()), Err(Discard::Metrics)),
        ("user, hidden", hidden, user(), Ok("")),
        ("chat, hidden", hidden, chat(), Ok("")),
        ("user, may not send", mute, user(), no),
        (
            "chat from an agent that may not send",
            |spec| (spec.agent, spec.can_send) = (true, false),
            chat(),
            no,
        ),
    ];
    for (name, change, value, expected) in rows {
        let now = Instant::now();
        let packet = DataPacket { participant_identity: "other".into(), ..packet(value) };
        let outcome = say(&mut room(now, 2, change), now, &packet);
        let heard = outcome.map(|(packet, _)| (packet.participant_identity, packet.participant_sid));
        assert_eq!(heard, expected.map(|identity| (identity.into(), "PA_1".into())), "{name}");
    }
}

#[test]
fn who_must_not_receive_hears_nothing() {
    let now = Instant::now();
    let mut router = room(now, 3, |_| {});
    router.upsert(now, RouteSpec { can_receive: false, ..spec(2) });
    assert_eq!(say(&mut router, now, &numbered(1)).unwrap().1, [31]);
    let raw = router.receive(now, PeerId(10), &message(Kind::Raw, vec![1])).unwrap().remove(0);
    assert_eq!((raw.peers, &*raw.label), (vec![PeerId(31)], "raw"));
    router.upsert(now, spec(2));
    assert_eq!(say(&mut router, now, &numbered(2)).unwrap().1, [21, 31]);
}

#[test]
fn reliable_packets_are_heard_once() {
    let now = Instant::now();
    let mut router = room(now, 2, |_| {});
    for (name, sequence, passes) in [
        ("first", 5, true),
        ("again", 5, false),
        ("next", 6, true),
        ("older", 4, false),
        ("unnumbered", 0, true),
        ("unnumbered again", 0, true),
        ("gap", 100, true),
    ] {
        let outcome = say(&mut router, now, &numbered(sequence)).map(|_| ());
        assert_eq!(outcome, if passes { Ok(()) } else { Err(Discard::Duplicate) }, "{name}");
    }
    assert_eq!(router.last_sequence(RouteId(1)), Some(100));
    let lossy = message(Kind::Lossy, numbered(1).encode_to_vec());
    assert!(router.receive(now, PeerId(10), &lossy).is_ok(), "lossy packets are not numbered by the sender");

    // A repeated upsert forgets nothing; another participant starts over.
    router.upsert(now, spec(1));
    assert_eq!(say(&mut router, now, &numbered(100)), Err(Discard::Duplicate));
    router.delete(RouteId(1));
    router.upsert(now, spec(1));
    assert!(say(&mut router, now, &numbered(1)).is_ok());
}

#[test]
fn a_joiner_hears_what_was_said_to_it_since_it_joined() {
    let start = Instant::now();
    let mut router = room(start, 2, |_| {});
    say(&mut router, start, &numbered(1)).unwrap();
    router.upsert(start, spec(3));
    let second = |count| start + Duration::from_secs(count);
    say(&mut router, second(1), &numbered(2)).unwrap();
    say(&mut router, second(2), &numbered(3)).unwrap();
    let to_another = DataPacket { destination_identities: vec!["identity 2".into()], ..numbered(4) };
    say(&mut router, second(2), &to_another).unwrap();
    let data = SendData {
        room: ROOM,
        packet: text("server").encode_to_vec().into(),
        reliable: true,
        routes: vec![],
        reply_to: String::new(),
    };
    router.send(second(2), &data).unwrap();
    router.send(second(2), &SendData { routes: vec![RouteId(1)], ..data.clone() }).unwrap();
    router.send(second(2), &SendData { reliable: false, ..data }).unwrap();

    assert_eq!(router.ready(second(3), PeerId(30)), None, "not the peer on which it receives");
    let ready = router.ready(second(3) + Duration::from_millis(500), PeerId(31)).unwrap();
    assert_eq!((ready.room, ready.route), (ROOM, RouteId(3)));
    assert_eq!(decoded(&ready.missed), [3, 0], "two seconds are kept");
    assert_eq!(router.ready(second(4), PeerId(31)), None, "once");

    // Its channels go and come again: nothing is said twice.
    router.unready(PeerId(31));
    assert_eq!(say(&mut router, second(4), &numbered(5)).unwrap().1, [21]);
    assert_eq!(decoded(&router.ready(second(4), PeerId(31)).unwrap().missed), [5]);
}

#[test]
fn a_replay_is_what_the_receiver_names_and_no_more() {
    let now = Instant::now();
    let mut router = room(now, 3, |_| {});
    for sequence in 1..=4 {
        say(&mut router, now, &numbered(sequence)).unwrap();
    }
    say(&mut router, now, &numbered(0)).unwrap();
    for (name, received, expected) in [
        ("after the last seen", vec![("PA_1".to_owned(), 2)], vec![3, 4]),
        ("nothing missed", vec![("PA_1".to_owned(), 4)], vec![]),
        ("all missed", vec![("PA_1".to_owned(), 0)], vec![1, 2, 3, 4]),
        ("another sender", vec![("PA_3".to_owned(), 0)], vec![]),
        ("nobody named", vec![], vec![]),
    ] {
        let (peer, missed) = router.replay(now, &ReplayData { route: RouteId(2), received }).unwrap();
        assert_eq!((peer, decoded(&missed)), (PeerId(21), expected), "{name}");
    }
    let received = vec![("PA_1".to_owned(), 0)];
    let own = router.replay(now, &ReplayData { route: RouteId(1), received: received.clone() }).unwrap();
    assert!(own.1.is_empty(), "one's own packets don't come back");
    assert_eq!(router.replay(now, &ReplayData { route: RouteId(9), received }), None);
}

#[test]
fn size_and_rate_are_bounded() {
    let now = Instant::now();
    let mut router = room(now, 2, |_| {});
    let large = |len| message(Kind::Raw, vec![0; len]);
    assert_eq!(router.receive(now, PeerId(10), &large(65_536)), Err(Discard::TooLarge));
    for _ in 0..61 {
        assert!(router.receive(now, PeerId(10), &large(65_535)).is_ok());
    }
    assert_eq!(router.receive(now, PeerId(10), &large(65_535)), Err(Discard::Rate));
    assert!(router.receive(now, PeerId(20), &large(65_535)).is_ok(), "another sender has its own");
    let later = now + Duration::from_millis(33);
    assert!(router.receive(later, PeerId(10), &large(65_535)).is_ok());
}

#[test]
fn what_has_no_place_is_refused() {
    let now = Instant::now();
    let mut router = room(now, 2, |_| {});
    for (name, peer, kind, bytes, expected) in [
        ("unknown peer", 99, Kind::Reliable, vec![], Discard::NoRoute),
        ("no value", 10, Kind::Reliable, vec![], Discard::Malformed),
        ("not protobuf", 10, Kind::Lossy, vec![0xff; 9], Discard::Malformed),
        ("a data track without a handle", 10, Kind::DataTrack, vec![0; 12], Discard::Malformed),
        (
            "a data track of which nobody is sent anything",
            10,
            Kind::DataTrack,
            track(7, 0),
            Discard::NoListener,
        ),
    ] {
        assert_eq!(router.receive(now, PeerId(peer), &message(kind, bytes)), Err(expected), "{name}");
    }
    let data = SendData {
        room: RoomId(9),
        packet: Bytes::new(),
        reliable: true,
        routes: vec![],
        reply_to: String::new(),
    };
    assert_eq!(router.send(now, &data), Err(Discard::NoRoute));
}

/// A packet of a data track.
fn track(handle: u16, payload: u8) -> Vec<u8> {
    let [high, low] = handle.to_be_bytes();
    vec![0x18, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0, payload]
}

#[test]
fn data_tracks_reach_those_who_listen_under_their_own_handles() {
    let listen = |publisher, published_handle, handle| {
        vec![DataSubscription { publisher: RouteId(publisher), published_handle, handle }]
    };
    let now = Instant::now();
    let mut router = room(now, 5, |_| {});
    for (route, data_subscriptions) in
        [(2, listen(1, 7, 1)), (3, listen(1, 7, 9)), (4, listen(1, 7, 1)), (5, listen(2, 7, 1))]
    {
        router.upsert(now, RouteSpec { data_subscriptions, ..spec(route) });
    }
    let heard = |router: &mut Router, from, handle| {
        let deliveries = router.receive(now, PeerId(from), &message(Kind::DataTrack, track(handle, 42)))?;
        assert!(deliveries.iter().all(|one| &*one.label == "_data_track" && !one.text));
        let each = deliveries
            .into_iter()
            .flat_map(|one| one.peers.into_iter().map(move |to| (to.0, one.bytes.clone())));
        Ok::<Vec<(u64, Vec<u8>)>, Discard>(each.map(|(to, bytes)| (to, bytes.to_vec())).collect())
    };
    assert_eq!(
        heard(&mut router, 10, 7),
        Ok(vec![(21, track(1, 42)), (41, track(1, 42)), (31, track(9, 42))])
    );
    assert_eq!(heard(&mut router, 20, 7), Ok(vec![(51, track(1, 42))]));
    assert_eq!(heard(&mut router, 10, 8), Err(Discard::NoListener));
    assert_eq!(heard(&mut router, 30, 7), Err(Discard::NoListener), "another's handle is another track");

    router.upsert(now, spec(4));
    router.upsert(now, RouteSpec { data_subscriptions: listen(1, 7, 3), ..spec(3) });
    router.delete(RouteId(2));
    assert_eq!(heard(&mut router, 10, 7), Ok(vec![(31, track(3, 42))]));
    router.upsert(now, RouteSpec { can_send: false, ..spec(1) });
    assert_eq!(heard(&mut router, 10, 7), Err(Discard::NotPermitted));
}

#[test]
fn a_flood_of_data_tracks_costs_no_packet() {
    let now = Instant::now();
    let mut router = room(now, 2, |_| {});
    let mut packet = track(1, 0);
    packet.resize(65_000, 0);
    let flood = message(Kind::DataTrack, packet);
    let outcomes = (0..62).map(|_| router.receive(now, PeerId(10), &flood)).collect::<Vec<_>>();
    assert_eq!(outcomes.first(), Some(&Err(Discard::NoListener)));
    assert_eq!(outcomes.last(), Some(&Err(Discard::Rate)));
    assert!(say(&mut router, now, &numbered(1)).is_ok());
}

#[test]
fn answers_to_the_server_side_are_told_to_it_and_to_nobody_else() {
    let now = Instant::now();
    let mut router = room(now, 3, |_| {});
    let request = SendData {
        room: ROOM,
        packet: packet(Content::RpcRequest(RpcRequest::default())).encode_to_vec().into(),
        reliable: true,
        routes: vec![RouteId(1)],
        reply_to: "call".into(),
    };
    assert_eq!(router.send(now, &request).unwrap().peers, [PeerId(11)]);
    let answer = |sequence| DataPacket {
        destination_identities: vec!["call".into()],
        sequence,
        ..packet(Content::RpcAck(RpcAck { request_id: "call".into() }))
    };
    let bytes = answer(1).encode_to_vec();
    let other = router.receive(now, PeerId(20), &message(Kind::Reliable, bytes.clone())).unwrap();
    assert!(other[0].peers.is_empty(), "of somebody else it is a packet to a stranger");
    assert_eq!(router.take_reply(), None);
    for sequence in [1, 2] {
        let bytes = Bytes::from(answer(sequence).encode_to_vec());
        let deliveries = router.receive(now, PeerId(10), &message(Kind::Reliable, bytes.to_vec()));
        assert_eq!(deliveries, Ok(vec![]));
        assert_eq!(router.take_reply(), Some(Reply { room: ROOM, route: RouteId(1), packet: bytes }));
    }
    assert_eq!(say(&mut router, now, &answer(2)), Err(Discard::Duplicate));
    assert!(say(&mut router, now, &answer(3)).is_ok());
    assert_eq!(router.take_reply(), None, "no more than two");
}

#[test]
fn routes_and_rooms_go_without_a_trace() {
    let now = Instant::now();
    let mut router = room(now, 3, |_| {});
    router.delete(RouteId(2));
    router.delete(RouteId(2));
    assert_eq!(say(&mut router, now, &numbered(1)).unwrap().1, [31]);
    router.upsert(now, RouteSpec { room: RoomId(2), ..spec(3) });
    assert_eq!(say(&mut router, now, &numbered(2)).unwrap().1, [0_u64; 0], "moved to another room");
    assert_eq!(router.len(), 2);
    router.delete_room(ROOM);
    router.delete_room(RoomId(2));
    assert!(router.is_empty() && router.rooms.is_empty() && router.by_peer.is_empty());
}
