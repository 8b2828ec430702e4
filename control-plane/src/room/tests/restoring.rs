//! What the media plane keeps is enough to go on with.

use std::time::Duration;

use livekit_protocol::{TrackType, UpdateTrackSettings, signal_request, signal_response};
use proptest::prelude::*;
use proto::media::v1 as proto;

use crate::room::participant::{Participant, Timers};
use crate::room::restoring::{RestoreError, restore};
use crate::room::state::Room;
use crate::room::tests::joining::only;
use crate::room::tests::{Heard, World, arrival, single};

fn kept(world: &World) -> Vec<proto::Resource> {
    world.resources.values().cloned().collect()
}

/// A participant without what ends with the process.
fn lasting(participant: &Participant) -> Participant {
    let mut lasting = participant.clone();
    lasting.connection = None;
    lasting.absent_since = None;
    lasting.timers = Timers::default();
    lasting.denied.clear();
    lasting.wishes.clear();
    lasting.score = 100.0;
    lasting.subscriptions.retain(|_, subscription| subscription.is_negotiated());
    for subscription in lasting.subscriptions.values_mut() {
        subscription.started = false;
    }
    for peer in lasting.peers_mut() {
        peer.negotiation = crate::room::peer::Negotiation::default();
        peer.transport = proto::TransportState::New;
        peer.free = (0, 0);
    }
    lasting
}

pub(super) fn assert_same(restored: &Room, room: &Room) {
    assert_eq!(restored.record, room.record);
    assert_eq!(restored.participants.len(), room.participants.len());
    for (sid, participant) in &room.participants {
        assert_eq!(lasting(&restored.participants[sid]), lasting(participant));
    }
    let tracks = |room: &Room| {
        let mut tracks: Vec<_> =
            room.tracks.values().map(|track| (track.record.clone(), track.publications.clone())).collect();
        tracks.sort_by(|one, other| one.0.info.sid.cmp(&other.0.info.sid));
        tracks
    };
    assert_eq!(tracks(restored), tracks(room));
}

fn busy() -> World {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    let mut bob = world.connect(single("bob"));
    let camera = alice.publish(&mut world, "cam", TrackType::Video);
    bob.publish(&mut world, "mic", TrackType::Audio);
    world.packets_arrive();
    alice.announce(&mut world, "later", TrackType::Audio);
    for _ in 0..3 {
        world.advance(Duration::from_millis(300));
        alice.settle(&mut world);
        bob.settle(&mut world);
    }
    let settings = UpdateTrackSettings { track_sids: vec![camera.0], disabled: true, ..Default::default() };
    world.say(&bob, signal_request::Message::TrackSetting(settings));
    world
}

#[test]
fn room_is_rebuilt_from_its_resources() {
    let world = busy();
    let restored = restore(&kept(&world), world.now).unwrap();
    assert_same(&restored, &world.room);
    assert_eq!(restored.participants.values().map(|one| one.subscriptions.len()).sum::<usize>(), 2);
    assert!(restored.next_deadline().is_some(), "it lives");
}

#[test]
fn clients_resume_in_a_rebuilt_room() {
    let mut world = busy();
    let sid = world.room.of_identity("alice").unwrap();
    world.room = restore(&kept(&world), world.now).unwrap();
    world.check();
    let mut resuming = arrival("alice");
    resuming.reconnect = true;
    resuming.participant_sid = sid.0.clone();
    let again = world.join(resuming);
    let heard = world.hear(&again);
    let names: Vec<&str> = heard.iter().map(Heard::name).collect();
    assert_eq!(names[..3], ["reconnect", "update", "room_update"]);
    let offer = only!(heard, signal_response::Message::Offer);
    assert_eq!(offer.mid_to_track_id.len(), 1, "what it received it is offered again");
}

/// Whoever restarts ICE does so with the worker's candidates and a ufrag that names it, also under a successor.
#[test]
fn a_participant_stays_on_the_worker_that_it_came_to() {
    let mut world = World::new();
    world.connect(arrival("of the room's worker"));
    world.surroundings.next_worker = 2;
    let alice = world.connect(arrival("alice"));
    world.connect(single("bob"));
    world.surroundings.next_worker = 1;
    let written = world.resources.values().filter_map(|resource| match &resource.spec {
        Some(proto::resource::Spec::Peer(peer)) => Some(peer.worker),
        _ => None,
    });
    let written: Vec<_> = written.collect();
    assert_eq!(written.iter().filter(|worker| **worker == Some(2)).count(), 3, "{written:?}");
    assert_eq!(written.iter().filter(|worker| worker.is_none()).count(), 2, "{written:?}");

    world.room = restore(&kept(&world), world.now).unwrap();
    world.disconnect(&alice);
    let again = world.join(crate::room::join::Arrival { reconnect: true, ..arrival("alice") });
    let offer = only!(world.hear(&again), signal_response::Message::Offer);
    assert!(offer.sdp.contains("a=ice-ufrag:02"), "{}", offer.sdp);
    assert!(offer.sdp.contains(" 7884 typ host") && !offer.sdp.contains(" 7882 typ"), "{}", offer.sdp);
    for participant in world.room.participants.values().skip(1) {
        for peer in participant.peers() {
            let names = peer.session.local_ice().iter().all(|ice| ice.ufrag.starts_with("02"));
            assert!(peer.worker == 2 && names, "{peer:?}");
        }
    }
}

#[test]
fn bytes_that_are_not_ours_are_refused() {
    let world = busy();
    for (name, bytes, expected) in [
        ("none", &b""[..], RestoreError::Unreadable),
        ("no version", b"{}", RestoreError::Unreadable),
        ("a later version", br#"{"version":2,"state":{}}"#, RestoreError::Version),
        ("another state", br#"{"version":1,"state":{}}"#, RestoreError::Unreadable),
    ] {
        let mut resources = kept(&world);
        resources[0].state = bytes.to_vec();
        assert_eq!(restore(&resources, world.now).unwrap_err(), expected, "{name}");
    }
    assert_eq!(restore(&[], world.now).unwrap_err(), RestoreError::NoRoom);
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(position in 0_usize..64, bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let world = busy();
        let mut resources = kept(&world);
        let index = position % resources.len();
        let state = &mut resources[index].state;
        let end = position.min(state.len());
        state.splice(0..end, bytes);
        let _ = restore(&resources, world.now);
    }
}
