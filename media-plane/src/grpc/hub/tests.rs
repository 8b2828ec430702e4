//! A hub whose worker is played by the test.

use proto::media::v1::resource::Spec;
use proto::media::v1::{Resource, TransportState as Told};

use super::*;
use crate::helper::queue::HelperHandle;
use crate::mailbox::{Receiver, Sender, ring};
use crate::resource::{Limits, samples};
use crate::worker::mail::{ORDERS, Order, REPORTS};
use driver::doorbell::Doorbell;

struct World {
    hub: Hub,
    orders: Receiver<Order>,
    reports: Sender<Report, TaskBell>,
    told: mpsc::Receiver<Result<proto::media::v1::MediaMessage, Status>>,
    revision: u64,
}

impl World {
    fn new() -> Self {
        let bell = TaskBell::default();
        let (orders_end, orders) = ring(ORDERS, Doorbell::new().unwrap());
        let (reports, reports_end) = ring(REPORTS, bell.clone());
        let (_, outputs) = ring(1, bell.clone());
        let helper = HelperLink::new(HelperHandle::new(), outputs, std::sync::Arc::default());
        let identity = Identity { certificate_sha256: vec![], incarnation: 1, candidates: vec![vec![]] };
        let table = Table::new(1, Limits::default());
        let links = vec![WorkerLink::new(orders_end, reports_end)];
        let (outgoing, told) = mpsc::channel(64);
        let mut hub = Hub::new(identity, table, links, helper, bell, mpsc::channel(1).1);
        let id = hub.open(outgoing);
        hub.hello(id, &Hello { contract: CONTRACT, lease_epoch: 1, ..Hello::default() });
        Self { hub, orders, reports, told, revision: 0 }
    }

    fn upsert(&mut self, spec: Spec) {
        self.revision += 1;
        let resource: Resource = samples::resource(spec);
        let command = Some(command::Command::Upsert(resource));
        let commands = vec![Command { revision: self.revision, command }];
        self.hub.batch(1, Batch { commands });
        self.hub.hand_on();
    }

    fn report(&mut self, report: Report) {
        self.reports.push(report).unwrap();
        self.hub.take_reports();
        self.hub.hand_on();
    }

    fn commands(&mut self) -> Vec<MediaCommand> {
        let commands = std::iter::from_fn(|| self.orders.pop());
        commands
            .map(|order| if let Order::Command(command) = order { command } else { panic!("{order:?}") })
            .collect()
    }

    fn states(&mut self) -> Vec<Told> {
        let messages = std::iter::from_fn(|| self.told.try_recv().ok());
        messages
            .filter_map(|message| match message.unwrap().message {
                Some(media_message::Message::Event(event)) => event.event,
                _ => None,
            })
            .filter_map(
                |event| if let event::Event::Transport(one) = event { Some(one.state()) } else { None },
            )
            .collect()
    }
}

/// The engine dropped the peer, and then took an upsert that was on its way: nobody would delete it ever.
#[test]
fn a_peer_that_panicked_is_gone_in_the_engine_too() {
    for (name, report) in [
        (
            "evicted",
            Report::Event(MediaEvent::Transport {
                peer: PeerId(2),
                state: TransportState::Failed(FailureReason::Panic),
            }),
        ),
        ("engine replaced", Report::Rebuilt),
    ] {
        let mut world = World::new();
        world.upsert(Spec::Room(samples::room(1, 0)));
        world.upsert(Spec::Peer(samples::peer(2, 1)));
        for _ in 0..2 {
            world.report(Report::Done(Outcome::Applied));
        }
        world.commands();
        world.upsert(Spec::Peer(samples::peer(2, 1)));
        world.report(report);
        let commands = world.commands();
        assert!(matches!(commands.first(), Some(MediaCommand::UpsertPeer(_))), "{name}");
        let deleted = |command: &MediaCommand| matches!(command, MediaCommand::DeletePeer(PeerId(2)));
        assert!(commands.iter().skip(1).any(deleted), "{name}: {commands:?}");
        assert_eq!(world.states(), [Told::Failed], "{name}");
        world.report(Report::Done(Outcome::Applied));
        assert_eq!(world.hub.table.count(Kind::Peer), 0, "{name}");
    }
}

#[test]
fn a_snapshot_shows_nothing_that_is_refused_later() {
    let mut world = World::new();
    world.upsert(Spec::Room(samples::room(1, 0)));
    world.report(Report::Done(Outcome::Applied));
    world.upsert(Spec::Peer(samples::peer(2, 1)));
    let (reply, mut snapshot) = oneshot::channel();
    world.hub.handle(Request::Snapshot { reply });
    assert!(snapshot.try_recv().is_err(), "the worker has not answered");
    world.upsert(Spec::Peer(samples::peer(3, 1)));
    world.report(Report::Done(Outcome::Refused(engine::command::Refusal::Limit)));
    let there = snapshot.try_recv().unwrap();
    let keys: Vec<Key> = there.iter().filter_map(|(one, _)| one.spec.as_ref().map(Key::of)).collect();
    assert_eq!(keys, [Key::Room(1), Key::Peer(3)], "what came after is not waited for");
}
