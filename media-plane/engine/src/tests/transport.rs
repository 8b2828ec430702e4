//! Claims about checks, paths, consent and DTLS.

use alloc::vec;
use alloc::vec::Vec;

use units::handle::PeerId;
use wire::stun::{Message, Role};

use super::client::{World, check, ms, path};
use super::specs::{credentials, peer_spec};
use crate::command::{Command, Refusal};
use crate::event::{Event, FailureReason, TransportState};

/// What was told of one peer's transport.
fn states(world: &mut World, id: u64) -> Vec<TransportState> {
    let told = world.events().into_iter().filter_map(|event| match event {
        Event::Transport { peer, state } if peer == PeerId(id) => Some(state),
        _ => None,
    });
    told.collect()
}

#[test]
fn check_connects_and_is_answered_with_its_source() {
    let mut world = World::new();
    world.must(Command::UpsertPeer(peer_spec(1, 1).into()));
    let answer = world.check(path(4_000), &credentials(1, 0), true).unwrap();
    assert_eq!(Message::parse(&answer).unwrap().mapped_address, Some(path(4_000).remote));
    assert_eq!(states(&mut world, 1), [TransportState::Connecting { path: path(4_000) }]);
    let keys = super::client::keys(false, 0);
    world.must(Command::Keys { peer: PeerId(1), keys: keys.into() });
    assert_eq!(states(&mut world, 1), [TransportState::Connected { path: path(4_000) }]);
    world.assert_accounted();
}

#[test]
fn checks_that_are_not_authentic_are_not_answered() {
    let mut world = World::new();
    world.must(Command::UpsertPeer(peer_spec(1, 1).into()));
    let good = credentials(1, 0);
    let mut wrong_password = good.clone();
    wrong_password.password.push('x');
    let role = Role::Controlling(1);
    let mut wrong_remote = check(&good, true, 1, role);
    let at = wrong_remote.windows(6).position(|window| window == b"theirs").unwrap();
    wrong_remote[at] = b'T';
    for (name, datagram, counter) in [
        ("unknown ufrag", check(&credentials(9, 0), true, 1, role), "discarded_stun_unknown_ufrag"),
        ("wrong password", check(&wrong_password, true, 1, role), "discarded_stun_integrity"),
        ("broken checksum", wrong_remote, "discarded_stun_malformed"),
        ("cut off", check(&good, true, 1, role)[..40].to_vec(), "discarded_stun_malformed"),
    ] {
        let before = world.counter(counter);
        world.receive(path(4_000), datagram);
        assert_eq!(world.counter(counter), before + 1, "{name}");
        assert!(world.out.sent.is_empty(), "{name}");
    }
    assert_eq!(world.counter("paths"), 0);
    world.assert_accounted();
}

#[test]
fn client_that_thinks_it_is_controlled_is_told_of_the_conflict() {
    let mut world = World::new();
    world.must(Command::UpsertPeer(peer_spec(1, 1).into()));
    let answer = world.check_as(path(4_000), &credentials(1, 0), true, 1, Role::Controlled(1)).unwrap();
    assert_eq!(Message::parse(&answer).unwrap().error_code, Some(487));
    assert_eq!(states(&mut world, 1), []);
    assert_eq!(world.counter("discarded_stun_role_conflict"), 1);
}

#[test]
fn what_is_no_check_counts_like_a_failed_one() {
    let mut checksum_wrong = check(&credentials(1, 0), false, 1, Role::Controlling(1));
    *checksum_wrong.last_mut().unwrap() ^= 1;
    let mut indication = check(&credentials(1, 0), false, 1, Role::Controlling(1));
    indication[1] = 0x11;
    indication.truncate(20);
    indication[2..4].fill(0);
    for (name, datagram, reason) in [
        ("wrong checksum", checksum_wrong, "discarded_stun_malformed"),
        ("indication", indication, "discarded_stun_not_binding"),
    ] {
        let mut world = World::new();
        world.must(Command::UpsertPeer(peer_spec(1, 1).into()));
        for _ in 0..60 {
            world.receive(path(5), datagram.clone());
        }
        assert_eq!((world.counter(reason), world.counter("discarded_stun_rate_limited")), (50, 10), "{name}");
        world.assert_accounted();
    }
}

#[test]
fn failed_checks_of_one_address_are_limited_and_known_paths_are_not() {
    let mut world = World::new();
    let client = world.join(1);
    for port in 0..60 {
        world.check(path(5_000 + port), &credentials(9, 0), true);
    }
    assert_eq!(world.counter("discarded_stun_unknown_ufrag"), 50);
    assert_eq!(world.counter("discarded_stun_rate_limited"), 10);
    assert!(world.check(client.path, &credentials(1, 0), true).is_some(), "a known path");
    assert!(world.check(path(6_000), &credentials(1, 0), true).is_none(), "a new path waits");
    world.now = ms(2_000);
    assert!(world.check(path(6_000), &credentials(1, 0), true).is_some(), "for a second");
}

#[test]
fn path_of_a_live_peer_is_not_taken_over_and_that_of_a_dead_one_is() {
    let mut world = World::new();
    let first = world.join(1);
    world.must(Command::UpsertPeer(peer_spec(2, 1).into()));
    assert!(world.check(first.path, &credentials(2, 0), true).is_none());
    assert_eq!(world.counter("discarded_tuple_taken"), 1);
    world.pass(30_100);
    assert!(world.check(first.path, &credentials(2, 0), true).is_some());
    world.must(Command::DeletePeer(PeerId(1)));
    assert_eq!(world.counter("paths"), 1, "the new owner keeps it");
}

#[test]
fn ninth_tuple_is_refused() {
    let mut world = World::new();
    world.must(Command::UpsertPeer(peer_spec(1, 1).into()));
    for port in 1..=8 {
        assert!(world.check(path(port), &credentials(1, 0), false).is_some());
    }
    assert!(world.check(path(9), &credentials(1, 0), false).is_none());
    assert_eq!(world.counter("discarded_too_many_tuples"), 1);
}

#[test]
fn old_and_new_credentials_are_valid_together_over_an_ice_restart() {
    let mut world = World::new();
    let client = world.join(1);
    let mut spec = peer_spec(1, 1);
    spec.local_ice.insert(0, credentials(1, 1));
    spec.remote_ufrags.insert(0, "theirs".into());
    world.must(Command::UpsertPeer(spec.clone().into()));
    assert!(world.check(client.path, &credentials(1, 0), true).is_some(), "old before the new ones are used");
    assert!(world.check(path(4_000), &credentials(1, 1), true).is_some());
    let moved = TransportState::Connected { path: path(4_000) };
    assert_eq!(states(&mut world, 1).last(), Some(&moved), "the new generation wins");
    for _ in 0..5 {
        world.pass(5_000);
        assert!(world.check(path(4_000), &credentials(1, 1), true).is_some());
        assert!(world.check(client.path, &credentials(1, 0), true).is_some(), "old for 30 s");
    }
    world.pass(5_100);
    assert!(world.check(client.path, &credentials(1, 0), true).is_none(), "old no more");
    world.must(Command::UpsertPeer(spec.into()));
    assert_eq!(world.counter("ufrags"), 1, "the same upsert does not bring them back");
}

#[test]
fn consent_is_lost_in_steps_and_a_check_brings_the_peer_back() {
    let mut world = World::new();
    let client = world.join(1);
    world.events();
    world.pass(9_900);
    assert_eq!(states(&mut world, 1), []);
    world.pass(200);
    assert_eq!(states(&mut world, 1), [TransportState::Disconnected]);
    world.pass(5_000);
    let failed = TransportState::Failed(FailureReason::ConsentLost);
    assert_eq!(states(&mut world, 1), [failed]);
    world.pass(10_000);
    let dtls = || Command::Datagram { peer: PeerId(1), bytes: vec![22; 20] };
    world.must(dtls());
    assert_eq!(world.counter("dtls_records_sent"), 1, "25 s: still sent");
    world.pass(5_000);
    world.must(dtls());
    assert_eq!(world.counter("dtls_records_dropped"), 1, "30 s: no more");
    world.check(client.path, &credentials(1, 0), true).unwrap();
    assert_eq!(states(&mut world, 1), [TransportState::Connected { path: client.path }]);
    world.must(dtls());
    assert_eq!(world.counter("dtls_records_sent"), 2);
}

#[test]
fn dtls_is_taken_from_validated_paths_only() {
    let mut world = World::new();
    world.must(Command::UpsertPeer(peer_spec(1, 1).into()));
    let record = vec![22; 40];
    world.receive(path(4_000), record.clone());
    assert_eq!(world.counter("discarded_unknown_path"), 1);
    world.check(path(4_000), &credentials(1, 0), true);
    world.events();
    world.receive(path(4_000), record.clone());
    world.receive(path(4_001), record.clone());
    assert_eq!(world.counter("discarded_unknown_path"), 2);
    let events = world.events();
    let [Event::Dtls { peer: PeerId(1), bytes }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(bytes[..], record[..]);
    world.must(Command::Datagram { peer: PeerId(1), bytes: record.clone() });
    assert_eq!(world.out.sent, [(path(4_000), record)]);
}

#[test]
fn a_flood_of_dtls_records_is_cut_and_hurts_no_other_peer() {
    let mut world = World::new();
    for id in [1, 2] {
        world.must(Command::UpsertPeer(peer_spec(id, 1).into()));
    }
    world.check(path(4_000), &credentials(1, 0), true);
    world.check(path(4_001), &credentials(2, 0), true);
    world.events();
    for _ in 0..3_000 {
        world.receive(path(4_000), vec![22; 40]);
    }
    world.receive(path(4_001), vec![22; 40]);
    let of = |id: u64, events: &[Event]| {
        events.iter().filter(|event| matches!(event, Event::Dtls { peer, .. } if *peer == PeerId(id))).count()
    };
    let events = world.events();
    assert_eq!(of(1, &events) as u64 + world.counter("discarded_dtls_rate_limited"), 3_000);
    assert!(world.counter("discarded_dtls_rate_limited") > 500);
    assert_eq!(of(2, &events), 1);
}

#[test]
fn end_of_dtls_is_told_and_ends_media() {
    for (failed, reason) in [(true, FailureReason::Dtls), (false, FailureReason::ClosedByPeer)] {
        let mut world = World::new();
        let mut client = world.join(1);
        world.events();
        world.must(Command::DtlsEnded { peer: PeerId(1), failed });
        assert_eq!(states(&mut world, 1), [TransportState::Failed(reason)]);
        world.send(&mut client, &super::client::Rtp::audio(1));
        assert_eq!(world.counter("discarded_no_keys"), 1);
    }
}

#[test]
fn ufrag_of_another_peer_is_refused() {
    let mut world = World::new();
    world.join(1);
    let mut spec = peer_spec(2, 1);
    spec.local_ice = vec![credentials(1, 0)];
    assert_eq!(world.command(Command::UpsertPeer(spec.into())), Err(Refusal::Taken));
}
