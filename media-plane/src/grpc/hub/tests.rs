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
    /// By worker.
    orders: Vec<Receiver<Order>>,
    reports: Vec<Sender<Report, TaskBell>>,
    /// Which worker was connected to which.
    links: Vec<(usize, u16)>,
    told: mpsc::Receiver<Result<proto::media::v1::MediaMessage, Status>>,
    revision: u64,
}

impl World {
    fn new() -> Self {
        Self::with_workers(1)
    }

    fn with_workers(count: u16) -> Self {
        let bell = TaskBell::default();
        let (mut orders, mut reports, mut links) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let (orders_end, worker_orders) = ring(ORDERS, Doorbell::new().unwrap());
            let (worker_reports, reports_end) = ring(REPORTS, bell.clone());
            orders.push(worker_orders);
            reports.push(worker_reports);
            links.push(WorkerLink::new(orders_end, reports_end));
        }
        let (_, outputs) = ring(1, bell.clone());
        let helper = HelperLink::new(HelperHandle::new(), outputs, std::sync::Arc::default());
        let identity =
            Identity { certificate_sha256: vec![], incarnation: 1, candidates: vec![vec![]; count.into()] };
        let table = Table::new(count, Limits::default());
        let (outgoing, told) = mpsc::channel(64);
        let mut hub = Hub::new(identity, table, links, helper, bell, mpsc::channel(1).1);
        let id = hub.open(outgoing);
        hub.hello(id, &Hello { contract: CONTRACT, lease_epoch: 1, ..Hello::default() });
        Self { hub, orders, reports, links: Vec::new(), told, revision: 0 }
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
        self.report_of(0, report);
    }

    fn report_of(&mut self, worker: usize, report: Report) {
        self.reports[worker].push(report).unwrap();
        self.hub.take_reports();
        self.hub.hand_on();
    }

    fn commands(&mut self) -> Vec<MediaCommand> {
        self.commands_of(0)
    }

    fn commands_of(&mut self, worker: usize) -> Vec<MediaCommand> {
        let orders = std::iter::from_fn(|| self.orders[worker].pop());
        let command = |order| match order {
            Order::Command(command) => Some(command),
            Order::Link(link) => {
                self.links.push((worker, link.with.0));
                None
            }
            other => panic!("{other:?}"),
        };
        orders.filter_map(command).collect()
    }

    fn messages(&mut self) -> Vec<media_message::Message> {
        std::iter::from_fn(|| self.told.try_recv().ok())
            .filter_map(|message| message.unwrap().message)
            .collect()
    }

    fn events(&mut self) -> Vec<event::Event> {
        let event = |message| match message {
            media_message::Message::Event(event) => event.event,
            _ => None,
        };
        self.messages().into_iter().filter_map(event).collect()
    }

    fn states(&mut self) -> Vec<Told> {
        let state = |event| match event {
            event::Event::Transport(one) => Some(one.state()),
            _ => None,
        };
        self.events().into_iter().filter_map(state).collect()
    }

    /// Acknowledged up to which revision, with how many refusals.
    fn acknowledged(&mut self) -> Option<(u64, usize)> {
        let acknowledgement = |message| match message {
            media_message::Message::Acknowledgement(one) => Some((one.revision, one.refusals.len())),
            _ => None,
        };
        self.messages().into_iter().filter_map(acknowledgement).next_back()
    }

    /// A room on worker 0 with a publisher (2) there and its publication (4), and a subscriber (3) on worker 1.
    fn spread() -> Self {
        let mut world = Self::with_workers(2);
        let mut subscriber = samples::peer(3, 1);
        subscriber.worker = Some(1);
        subscriber.local_ice[0].ufrag = "01subscriber".into();
        world.upsert(Spec::Room(samples::room(1, 0)));
        world.upsert(Spec::Peer(samples::peer(2, 1)));
        world.upsert(Spec::Publication(samples::publication(4, 2, 1)));
        world.upsert(Spec::Peer(subscriber));
        world.upsert(Spec::Subscription(samples::subscription(5, 3, 4, 1)));
        for (worker, answers) in [(0, 3), (1, 4)] {
            for _ in 0..answers {
                world.report_of(worker, Report::Done(Outcome::Applied));
            }
            world.commands_of(worker);
        }
        assert_eq!(world.acknowledged(), Some((5, 0)));
        assert_eq!(world.links, [(0, 1), (1, 0)], "connected once");
        world
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

#[test]
fn what_concerns_two_workers_is_acknowledged_when_both_have_answered() {
    use engine::command::Refusal;
    for (name, outcomes, refusals) in [
        ("both apply it", [Outcome::Applied, Outcome::Applied], 0),
        ("one refuses it", [Outcome::Applied, Outcome::Refused(Refusal::Limit)], 1),
        ("both refuse it", [Outcome::Refused(Refusal::Limit), Outcome::Panicked], 1),
    ] {
        let mut world = World::spread();
        world.upsert(Spec::Publication(samples::publication(4, 2, 1)));
        world.report_of(1, Report::Done(outcomes[1]));
        assert_eq!(world.acknowledged(), None, "{name}");
        world.report_of(0, Report::Done(outcomes[0]));
        assert_eq!(world.acknowledged(), Some((6, refusals)), "{name}");
        for worker in [0, 1] {
            let commands = world.commands_of(worker);
            assert_eq!(
                commands.len(),
                if refusals > 0 { 2 } else { 1 },
                "{name}: taken back on worker {worker}"
            );
        }
    }
}

#[test]
fn an_engine_that_was_replaced_takes_its_publications_from_other_workers() {
    let mut world = World::spread();
    world.report_of(0, Report::Rebuilt);
    let there = world.commands_of(1);
    assert!(
        there.iter().any(|one| matches!(one, MediaCommand::DeletePublication(PublicationId(4)))),
        "{there:?}"
    );
    let own = world.commands_of(0);
    assert!(own.iter().any(|one| matches!(one, MediaCommand::UpsertRoom(_))), "{own:?}");
    assert_eq!(world.hub.table.count(Kind::Peer), 1, "the subscriber stays");
}

#[test]
fn speakers_and_quality_of_a_room_are_told_whole() {
    let room = units::handle::RoomId(1);
    let spoken = |who: u64, level| MediaEvent::Speakers { room, speakers: vec![(PublicationId(who), level)] };
    let measured = |id: u64| {
        let id = PublicationId(id);
        let one = engine::event::StreamQuality {
            id,
            packets: 1,
            packets_lost: 0,
            bytes: 1,
            rtt_us: 0,
            jitter_us: 0,
        };
        MediaEvent::Quality { room, publications: vec![one], subscriptions: vec![] }
    };
    let mut world = World::spread();
    let mut told = |worker, event| {
        world.report_of(worker, Report::Event(event));
        let publications = |event| match event {
            event::Event::Speakers(told) => {
                told.speakers.iter().map(|one| one.publication).collect::<Vec<_>>()
            }
            event::Event::Quality(told) => told.publications.iter().map(|one| one.id).collect(),
            other => panic!("{other:?}"),
        };
        world.events().into_iter().map(publications).collect::<Vec<_>>()
    };
    assert_eq!(told(0, spoken(4, 0.5)), [[4]]);
    assert_eq!(told(1, spoken(8, 0.9)), [[8, 4]], "loudest first");
    assert_eq!(told(1, MediaEvent::Speakers { room, speakers: vec![] }), [[4]]);
    assert_eq!(told(0, measured(4)), [[0; 0]; 0], "the other has not told");
    assert_eq!(told(1, measured(8)), [[4, 8]]);
    assert_eq!(told(1, measured(8)), [[0; 0]; 0]);
    assert_eq!(told(1, measured(9)), [[8]], "the other has nothing to tell");
}

#[test]
fn a_source_is_told_of_by_its_home_only() {
    let mut world = World::spread();
    for (worker, told) in [(1, 0), (0, 1)] {
        let started = MediaEvent::SourceStarted {
            publication: PublicationId(4),
            layer: 0,
            ssrc: units::rtp::Ssrc(7),
            payload_type: units::rtp::PayloadType(96),
        };
        world.report_of(worker, Report::Event(started));
        assert_eq!(world.events().len(), told, "worker {worker}");
    }
}
