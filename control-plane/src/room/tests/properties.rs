//! Whatever clients ask for, in whatever order, the rules of the room hold. (`World::check` has them.)

use std::time::Duration;

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::{
    AddTrackRequest, LeaveRequest, MuteTrackRequest, SessionDescription, SubscriptionPermission, SyncState,
    TrackPermission, TrackType, UpdateParticipantMetadata, UpdateSubscription, UpdateTrackSettings,
};
use proptest::prelude::*;
use proto::media::v1 as proto;
use proto::{FailureReason, TransportState};

use crate::room::join::Arrival;
use crate::room::restoring::restore;
use crate::room::tests::client::Client;
use crate::room::tests::restoring::assert_same;
use crate::room::tests::{World, arrival, single};

#[derive(Clone, Debug)]
enum Act {
    Join { single: bool },
    Resume,
    CutSignal,
    Leave,
    Settle,
    Publish { video: bool },
    Announce,
    Unpublish { index: usize },
    Packets,
    Advance { milliseconds: u64 },
    Mute { index: usize, muted: bool },
    Subscribe { index: usize, subscribe: bool },
    Setting { index: usize, disabled: bool },
    Permit { all: bool, other: usize },
    Rename,
    Sync { index: usize },
    Transport { state: i32, subscriber: bool },
    Started,
    Quality,
    RefusePublication { index: usize },
    RefuseSubscription,
    Nonsense { sdp: String },
    MediaLost,
}

fn act() -> impl Strategy<Value = Act> {
    let index = 0_usize..6;
    prop_oneof![
        4 => any::<bool>().prop_map(|single| Act::Join { single }),
        2 => Just(Act::Resume),
        2 => Just(Act::CutSignal),
        1 => Just(Act::Leave),
        8 => Just(Act::Settle),
        6 => any::<bool>().prop_map(|video| Act::Publish { video }),
        1 => Just(Act::Announce),
        2 => index.clone().prop_map(|index| Act::Unpublish { index }),
        6 => Just(Act::Packets),
        6 => (1_u64..4_000).prop_map(|milliseconds| Act::Advance { milliseconds }),
        2 => (index.clone(), any::<bool>()).prop_map(|(index, muted)| Act::Mute { index, muted }),
        3 => (index.clone(), any::<bool>()).prop_map(|(index, subscribe)| Act::Subscribe { index, subscribe }),
        2 => (index.clone(), any::<bool>()).prop_map(|(index, disabled)| Act::Setting { index, disabled }),
        2 => (any::<bool>(), 0_usize..4).prop_map(|(all, other)| Act::Permit { all, other }),
        1 => Just(Act::Rename),
        1 => index.clone().prop_map(|index| Act::Sync { index }),
        3 => (0..5_i32, any::<bool>()).prop_map(|(state, subscriber)| Act::Transport { state, subscriber }),
        2 => Just(Act::Started),
        1 => Just(Act::Quality),
        1 => index.prop_map(|index| Act::RefusePublication { index }),
        1 => Just(Act::RefuseSubscription),
        1 => ".{0,40}".prop_map(|sdp| Act::Nonsense { sdp }),
        1 => Just(Act::MediaLost),
    ]
}

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];

struct Crowd {
    world: World,
    clients: [Option<Client>; 4],
    cids: u32,
}

impl Crowd {
    fn perform(&mut self, who: usize, act: Act) {
        let Self { world, clients, cids } = self;
        let name = NAMES[who];
        let track = |world: &World, index: usize| {
            world
                .room
                .tracks
                .get_index(index)
                .map_or_else(|| "TR_unknown".to_owned(), |(sid, _)| sid.0.clone())
        };
        match (act, &mut clients[who]) {
            (Act::Join { single: one }, slot) => {
                *slot = Some(world.join(if one { single(name) } else { arrival(name) }));
            }
            (Act::Resume, Some(client)) => {
                let connection = world.join(Arrival { reconnect: true, ..arrival(name) }).connection;
                *client = client.on(connection);
            }
            (Act::CutSignal, Some(client)) => world.disconnect(client),
            (Act::Leave, Some(client)) => world.say(client, Request::Leave(LeaveRequest::default())),
            (Act::Settle, Some(client)) => client.settle(world),
            (Act::Publish { video }, Some(client)) => {
                *cids += 1;
                let kind = if video { TrackType::Video } else { TrackType::Audio };
                let cid = cids.to_string();
                let request = AddTrackRequest { cid: cid.clone(), r#type: kind.into(), ..Default::default() };
                world.say(client, Request::AddTrack(request));
                client.send(&cid, kind);
                client.offer(world);
            }
            (Act::Announce, Some(client)) => {
                *cids += 1;
                world.say(
                    client,
                    Request::AddTrack(AddTrackRequest { cid: cids.to_string(), ..Default::default() }),
                );
            }
            (Act::Unpublish { index }, Some(client)) => client.unpublish(world, &(index + 1).to_string()),
            (Act::Packets, _) => world.packets_arrive(),
            (Act::Advance { milliseconds }, _) => world.advance(Duration::from_millis(milliseconds)),
            (Act::Mute { index, muted }, Some(client)) => {
                let request = MuteTrackRequest { sid: track(world, index), muted };
                world.say(client, Request::Mute(request));
            }
            (Act::Subscribe { index, subscribe }, Some(client)) => {
                let track_sids = vec![track(world, index)];
                let request = UpdateSubscription { track_sids, subscribe, ..Default::default() };
                world.say(client, Request::Subscription(request));
            }
            (Act::Setting { index, disabled }, Some(client)) => {
                let track_sids = vec![track(world, index)];
                world.say(
                    client,
                    Request::TrackSetting(UpdateTrackSettings { track_sids, disabled, ..Default::default() }),
                );
            }
            (Act::Permit { all, other }, Some(client)) => {
                let identity = NAMES[other].to_owned();
                let permission = TrackPermission {
                    participant_identity: identity,
                    all_tracks: true,
                    ..Default::default()
                };
                let request =
                    SubscriptionPermission { all_participants: all, track_permissions: vec![permission] };
                world.say(client, Request::SubscriptionPermission(request));
            }
            (Act::Rename, Some(client)) => {
                world.say(client, Request::UpdateMetadata(UpdateParticipantMetadata::default()));
            }
            (Act::Sync { index }, Some(client)) => {
                let track_sids_disabled = vec![track(world, index)];
                world.say(
                    client,
                    Request::SyncState(SyncState { track_sids_disabled, ..SyncState::default() }),
                );
            }
            (Act::Transport { state, subscriber }, Some(client)) => {
                let Some(sid) = world.room.of_identity(&client.identity) else { return };
                let participant = &world.room.participants[&sid];
                let peer = if subscriber { participant.receiving().id } else { participant.publisher.id };
                let state = TransportState::try_from(state).unwrap();
                world.peer_transport(peer, state, FailureReason::ConsentLost);
            }
            (Act::Started, _) => {
                let ids: Vec<u64> = world.room.directory.subscriptions.keys().copied().collect();
                for subscription in ids {
                    world.media(proto::event::Event::SubscriptionStarted(proto::SubscriptionStarted {
                        subscription,
                    }));
                }
            }
            (Act::Quality, _) => {
                let ids: Vec<u64> = world.room.directory.publications.keys().copied().chain([1]).collect();
                let stream = |id| proto::StreamQuality { id, packets: 5, ..Default::default() };
                let publications: Vec<_> = ids.iter().copied().map(stream).collect();
                let speakers =
                    ids.into_iter().map(|publication| proto::Speaker { publication, level: 0.5 }).collect();
                world.media(proto::event::Event::Quality(proto::Quality {
                    publications,
                    subscriptions: vec![],
                }));
                world.media(proto::event::Event::Speakers(proto::Speakers { speakers }));
            }
            (Act::RefusePublication { index }, _) => {
                let publication =
                    world.room.tracks.get_index(index).and_then(|(_, track)| track.publications.first());
                let Some(id) = publication.map(|publication| publication.id) else { return };
                world.step(crate::room::request::Request::Refused {
                    key: proto::resource_key::Key::Publication(id),
                    reason: proto::RefusalReason::Limit,
                });
            }
            (Act::RefuseSubscription, _) => {
                let name = world.resources.keys().find_map(|name| match name {
                    super::Name::Subscription(id) => Some(*id),
                    _ => None,
                });
                let Some(id) = name else { return };
                // What is refused is not there.
                world.resources.remove(&super::Name::Subscription(id));
                world.step(crate::room::request::Request::Refused {
                    key: proto::resource_key::Key::Subscription(id),
                    reason: proto::RefusalReason::Limit,
                });
            }
            (Act::Nonsense { sdp }, Some(client)) => {
                world.say(
                    client,
                    Request::Answer(SessionDescription { sdp, ..SessionDescription::default() }),
                );
            }
            (Act::MediaLost, _) => {
                world.resources.clear();
                world.step(crate::room::request::Request::MediaLost);
            }
            (_, None) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn rules_hold_whatever_is_asked(acts in proptest::collection::vec((0_usize..4, act()), 1..120)) {
        let mut crowd = Crowd { world: World::new(), clients: [const { None }; 4], cids: 0 };
        for (who, act) in acts {
            if crowd.world.room.closed {
                break;
            }
            crowd.perform(who, act);
        }
        let world = &mut crowd.world;
        if world.room.written {
            let resources: Vec<_> = world.resources.values().cloned().collect();
            assert_same(&restore(&resources, world.now).unwrap(), &world.room);
        }
        // Nobody does anything any more: the room empties, closes, and leaves nothing behind.
        let connections: Vec<_> = world.room.connections.keys().copied().collect();
        for connection in connections {
            world.step(crate::room::request::Request::Disconnected { connection });
        }
        let peers: Vec<u64> = world.room.directory.peers.keys().copied().collect();
        for peer in peers {
            world.peer_transport(peer, TransportState::Failed, FailureReason::ConsentLost);
        }
        world.advance(Duration::from_secs(400));
        prop_assert!(world.room.closed);
        prop_assert!(world.resources.is_empty(), "{:?}", world.resources.keys());
    }
}
