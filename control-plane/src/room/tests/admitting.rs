//! Who is let into a room where others are already.

use super::{World, arrival};
use crate::config::Config;
use crate::room::join::{Arrival, JoinError, Limit};

#[test]
fn agents_and_recorders_come_to_a_full_room() {
    let mut world = World::new();
    world.room.record.max_participants = 1;
    let of_kind = |identity: &str, kind: &str| {
        let mut arrival = arrival(identity);
        arrival.claims.kind = kind.to_owned();
        arrival
    };
    world.connect(of_kind("agent", "agent"));
    world.connect(arrival("alice"));
    world.connect(of_kind("egress", "egress"));
    let bob = world.join(of_kind("bob", "ingress"));
    assert_eq!(world.denied[&bob.connection], JoinError::LimitReached(Limit::Participants));
    assert_eq!(world.room.participants.len(), 3);
}

#[test]
fn a_second_of_an_identity_is_refused_where_the_first_is_to_stay() {
    let mut config = Config::default();
    config.room.refuse_duplicates = true;
    let mut world = World::with(config);
    let first = world.connect(arrival("alice"));
    let second = world.join(arrival("alice"));
    assert_eq!(world.denied[&second.connection], JoinError::DuplicateIdentity);
    assert!(!world.closed.contains(&first.connection));
    let resumed = world.join(Arrival { reconnect: true, ..arrival("alice") });
    assert!(!world.denied.contains_key(&resumed.connection), "who resumes is the first");
}
