//! What those outside are told: a story in which everything begins before it ends, and once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::{DisconnectReason, LeaveRequest, TrackType};
use proto::TransportState;
use proto::media::v1 as proto;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::Config;
use crate::room::notice::{Happened, Kept, Listener, Notice};
use crate::room::request::Request as Step;
use crate::room::state::Room;
use crate::room::tests::actor::{inside, join, registry_with, said};
use crate::room::tests::stage::Stage;
use crate::room::tests::{World, arrival, single};

/// What somebody outside knows of a room.
#[derive(Debug, Default)]
pub(super) struct Outsider {
    started: bool,
    finished: bool,
    inside: BTreeSet<String>,
    tracks: BTreeSet<String>,
}

impl Outsider {
    pub(super) fn hear(&mut self, notice: &Notice) {
        assert!(!self.finished, "after the end: {notice:?}");
        assert_eq!(self.started, notice.happened != Happened::RoomStarted, "the start is first, and once");
        match &notice.happened {
            Happened::RoomStarted => self.started = true,
            Happened::RoomFinished { .. } => {
                assert!(self.inside.is_empty() && self.tracks.is_empty(), "{self:?}");
                self.finished = true;
            }
            Happened::ParticipantJoined { participant } => {
                assert!(self.inside.insert(participant.sid.clone()), "joined twice: {participant:?}");
            }
            Happened::ParticipantLeft { participant } => {
                assert!(self.inside.remove(&participant.sid), "left before it joined: {participant:?}");
            }
            Happened::ParticipantConnectionAborted { participant } => {
                assert!(!self.inside.contains(&participant.sid), "it had joined: {participant:?}");
            }
            Happened::TrackPublished { track, .. } => {
                assert!(self.tracks.insert(track.sid.clone()), "published twice: {track:?}");
            }
            Happened::TrackUnpublished { track, .. } => {
                assert!(self.tracks.remove(&track.sid), "ended before it was published: {track:?}");
            }
        }
    }

    /// Nothing was kept from those outside.
    pub(super) fn check(&self, room: &Room) {
        assert_eq!(self.finished, room.closed);
        let tracks = room.tracks.values().filter(|track| track.record.live);
        assert_eq!(tracks.map(|track| track.sid().0).collect::<BTreeSet<_>>(), self.tracks);
        let inside = room.participants.values().filter(|one| one.profile.stage == ACTIVE);
        assert_eq!(inside.map(|one| one.profile.sid.0.clone()).collect::<BTreeSet<_>>(), self.inside);
    }
}

const ACTIVE: crate::room::participant::Stage = crate::room::participant::Stage::Active;

fn name(notice: &Notice) -> String {
    match &notice.happened {
        Happened::RoomStarted => "room started".into(),
        Happened::RoomFinished { reason } => format!("room finished: {}", reason.as_str_name()),
        Happened::ParticipantJoined { participant } => format!("{} joined", participant.identity),
        Happened::ParticipantLeft { participant } => format!("{} left", participant.identity),
        Happened::ParticipantConnectionAborted { participant } => format!("{} aborted", participant.identity),
        Happened::TrackPublished { participant, track } => {
            format!("{} published {}", participant.identity, track.name)
        }
        Happened::TrackUnpublished { participant, track } => {
            format!("{} unpublished {}", participant.identity, track.name)
        }
    }
}

fn names(world: &mut World) -> Vec<String> {
    std::mem::take(&mut world.notices).iter().map(name).collect()
}

#[test]
fn a_call_is_told_from_its_first_step_to_its_end() {
    let mut world = World::new();
    let mut alice = world.join(single("alice"));
    assert_eq!(names(&mut world), ["room started"]);
    alice.settle(&mut world);
    assert_eq!(names(&mut world), [""; 0], "not before the transport is up");
    world.transport(&alice, TransportState::Connected);
    assert_eq!(names(&mut world), ["alice joined"]);
    let track = alice.publish(&mut world, "mic", TrackType::Audio);
    assert_eq!(names(&mut world), [""; 0], "not before the first packet");
    world.packets_arrive();
    let [published] = world.notices.as_slice() else { panic!("{:?}", world.notices) };
    assert_eq!((published.room.name.as_str(), published.room.num_publishers), ("room", 1));
    assert!(
        matches!(&published.happened, Happened::TrackPublished { track: told, .. } if told.sid == track.0)
    );
    world.notices.clear();
    world.transport(&alice, TransportState::Connected);
    assert_eq!(names(&mut world), [""; 0], "ACTIVE once");
    world.say(&alice, Request::Leave(LeaveRequest::default()));
    let last = world.notices.last().expect("a notice").clone();
    let Happened::ParticipantLeft { participant } = &last.happened else { panic!("{last:?}") };
    assert_eq!(participant.disconnect_reason(), DisconnectReason::ClientInitiated);
    assert_eq!(last.room.num_participants, 0, "the room as it was right after");
    let told = names(&mut world);
    assert!(told[0].starts_with("alice unpublished") && told[1..] == ["alice left"], "{told:?}");
    world.advance(Duration::from_secs(60));
    assert_eq!(names(&mut world), ["room finished: ROOM_END_IDLE_TIMEOUT"]);
}

#[test]
fn who_leaves_before_it_was_connected_is_told_as_such() {
    let mut world = World::new();
    let alice = world.join(arrival("alice"));
    world.disconnect(&alice);
    assert_eq!(names(&mut world), ["room started", "alice aborted"]);
}

#[test]
fn everybody_has_left_a_room_that_is_closed() {
    let mut world = World::new();
    world.connect(arrival("alice"));
    world.connect(arrival("bob"));
    world.notices.clear();
    world.step(Step::Close { reason: DisconnectReason::RoomDeleted });
    assert_eq!(names(&mut world), ["alice left", "bob left", "room finished: ROOM_END_API_DELETE"]);
}

/// Keeps what it hears when the test says so.
#[derive(Debug, Default)]
struct Slow {
    heard: Mutex<Vec<String>>,
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Listener for Slow {
    fn hear(&self, notices: &[Notice]) -> Option<Kept> {
        self.heard.lock().unwrap().extend(notices.iter().map(name));
        let (kept, wait) = oneshot::channel();
        self.waiting.lock().unwrap().push(kept);
        Some(wait)
    }
}

#[tokio::test]
async fn clients_hear_of_it_when_it_is_kept() {
    let mut stage = Stage::start().await;
    let slow = Arc::new(Slow::default());
    let listeners = vec![Arc::clone(&slow) as Arc<dyn Listener>];
    let registry = registry_with(vec![stage.plane.clone()], Config::default(), listeners);
    let (join, mut outgoing) = join(arrival("alice"));
    let joining = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.join(join).await }
    });
    let written = stage.written().await;
    assert_eq!(*slow.heard.lock().unwrap(), ["room started"]);
    stage.acknowledge(&written, Vec::new()).await;
    // Had it not waited for the listener, it would have been said by the time that this is through.
    let _ = timeout(Duration::from_millis(20), std::future::pending::<()>()).await;
    assert!(said(&mut outgoing).is_empty() && !joining.is_finished());
    slow.waiting.lock().unwrap().clear();
    let _joined = joining.await.unwrap().unwrap();
    assert_eq!(said(&mut outgoing)[0], "join");
}

#[tokio::test]
async fn a_listener_that_never_keeps_anything_delays_words_but_a_little() {
    let mut stage = Stage::start().await;
    let slow = Arc::new(Slow::default());
    let listeners = vec![Arc::clone(&slow) as Arc<dyn Listener>];
    let registry = registry_with(vec![stage.plane.clone()], Config::default(), listeners);
    let (_alice, mut outgoing) = inside(&registry, &mut stage, "alice").await;
    assert_eq!(said(&mut outgoing)[0], "join");
    assert_eq!(slow.waiting.lock().unwrap().len(), 1, "it has kept nothing");
}
