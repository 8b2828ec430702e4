//! Workers come and say what they do.

use livekit_protocol::server_message::Message as Said;
use livekit_protocol::worker_message::Message;
use livekit_protocol::{JobType, RegisterWorkerRequest, WorkerPing};

use super::Bench;
use crate::agent::registering;
use crate::agent::tally::{self, Counted};

#[test]
fn a_worker_is_told_its_id_and_the_server() {
    let mut bench = Bench::new();
    let worker = bench.connect();
    bench.register(worker, JobType::JtPublisher, "echo", "");
    let said = bench.said(worker);
    let [Said::Register(response)] = &said[..] else { panic!("{said:?}") };
    assert!(response.worker_id.starts_with("AW_") && response.worker_id.len() == 15);
    assert_eq!(response.server_info.as_ref().unwrap().node_id, "ND_1");
    let snapshot = tally::snapshot(&bench.desk);
    assert_eq!(snapshot.workers, [("room", 0), ("publisher", 1), ("participant", 0)]);
    bench.disconnect(worker);
    assert_eq!(tally::snapshot(&bench.desk).workers[1], ("publisher", 0));
}

#[test]
fn pings_are_answered_before_and_after_registering() {
    let mut bench = Bench::new();
    let worker = bench.connect();
    for timestamp in [3, 4] {
        bench.hear(worker, Message::Ping(WorkerPing { timestamp }));
        let said = bench.said(worker);
        let [Said::Pong(pong)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((pong.last_timestamp, pong.timestamp), (timestamp, bench.now.unix_millis()));
        if timestamp == 3 {
            bench.register(worker, JobType::JtRoom, "", "");
            bench.said(worker);
        }
    }
}

#[test]
fn who_does_not_register_properly_is_turned_out() {
    let register = |kind: i32, name: &str| {
        let agent_name = name.to_owned();
        Message::Register(RegisterWorkerRequest { r#type: kind, agent_name, ..Default::default() })
    };
    let good = || register(JobType::JtRoom.into(), "");
    for (name, messages, expected) in [
        ("good", vec![good()], None),
        ("unknown type", vec![register(7, "")], Some(Counted::BadRegistration)),
        ("endless name", vec![register(0, &"x".repeat(257))], Some(Counted::BadRegistration)),
        ("twice", vec![good(), good()], Some(Counted::BadRegistration)),
        (
            "something else first",
            vec![Message::UpdateWorker(Default::default())],
            Some(Counted::Unregistered),
        ),
        ("nothing", vec![], Some(Counted::NotRegistered)),
    ] {
        let mut bench = Bench::new();
        let worker = bench.connect();
        for message in messages {
            bench.hear(worker, message);
        }
        if expected == Some(Counted::NotRegistered) {
            bench.pass(9);
            assert!(!bench.is_closed(worker), "{name}");
        }
        bench.pass(11);
        assert_eq!(bench.is_closed(worker), expected.is_some(), "{name}");
        if let Some(expected) = expected {
            assert_eq!(bench.counted(expected), 1, "{name}");
        }
    }
}

#[test]
fn there_is_a_last_worker() {
    let mut bench = Bench::new();
    let workers: Vec<_> = (0..1024).map(|_| bench.connect()).collect();
    assert_eq!(registering::connect(&mut bench.desk, bench.now, "key"), None);
    assert_eq!(bench.counted(Counted::WorkerLimit), 1);
    bench.disconnect(workers[0]);
    assert!(registering::connect(&mut bench.desk, bench.now, "key").is_some());
}
