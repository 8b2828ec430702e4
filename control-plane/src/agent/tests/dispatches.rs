//! Dispatches are made with a room or by the server API, listed and deleted.

use livekit_protocol::{self as livekit, CreateAgentDispatchRequest, JobStatus, JobType};

use super::{Bench, agent, person, room};
use crate::agent::dispatching::{self, DispatchError};
use crate::agent::effect::Errand;
use crate::agent::tally::Counted;

fn create(bench: &mut Bench, name: &str) -> Result<livekit::AgentDispatch, DispatchError> {
    let request = CreateAgentDispatchRequest {
        agent_name: name.to_owned(),
        room: "r".to_owned(),
        metadata: "about".to_owned(),
        ..Default::default()
    };
    let created = dispatching::create(&mut bench.desk, bench.now, &room("r"), request);
    bench.collect();
    created
}

#[test]
fn a_new_room_has_one_unnamed_dispatch_or_those_it_was_made_with() {
    for (name, agents, expected) in [
        ("nothing said", &[][..], vec![""]),
        ("one", &["echo"], vec!["echo"]),
        ("several", &["echo", "", "scribe"], vec!["echo", "", "scribe"]),
    ] {
        let mut bench = Bench::new();
        bench.start(&room("r"), agents);
        bench.start(&room("r"), agents);
        let listed = bench.list("r");
        let names: Vec<_> = listed.iter().map(|dispatch| dispatch.agent_name.as_str()).collect();
        assert_eq!(names, expected, "{name}");
        for dispatch in &listed {
            assert!(dispatch.id.starts_with("AD_") && dispatch.room == "r", "{name}");
            let state = dispatch.state.as_ref().unwrap();
            assert_eq!((state.created_at, state.jobs.len()), (bench.now.unix_micros() * 1_000, 0), "{name}");
        }
    }
}

#[test]
fn a_dispatch_by_the_api_reaches_who_is_there_already() {
    let mut bench = Bench::new();
    let workers = [JobType::JtRoom, JobType::JtParticipant, JobType::JtPublisher]
        .map(|kind| bench.worker(kind, "echo"));
    bench.start(&room("r"), &[]);
    let alice = person(&bench, "PA_alice");
    let bob = livekit::ParticipantInfo { is_publisher: true, ..person(&bench, "PA_bob") };
    bench.pass(3_600);
    let created = create(&mut bench, "echo").unwrap();
    assert_eq!(created.metadata, "about");
    assert_eq!(bench.errands(), [Errand::Survey { room: "r".to_owned() }]);
    bench.survey(&room("r"), &[alice, bob, agent("PA_agent", "bot")]);
    let asked = workers.map(|worker| bench.asked(worker));
    let about = asked
        .clone()
        .map(|jobs| jobs.into_iter().map(|job| job.participant.unwrap_or_default().sid).collect::<Vec<_>>());
    assert_eq!(about, [vec![""], vec!["PA_alice", "PA_bob"], vec!["PA_bob"]]);
    assert!(asked.iter().flatten().all(|job| job.metadata == "about" && job.dispatch_id == created.id));
}

#[test]
fn a_dispatch_is_for_the_room_that_was_meant_and_for_no_newer_one() {
    let mut bench = Bench::new();
    assert_eq!(create(&mut bench, "echo"), Err(DispatchError::RoomNotFound), "it has not started");
    bench.start(&livekit::Room { sid: "RM_newer".to_owned(), ..room("r") }, &[]);
    assert_eq!(create(&mut bench, "echo"), Err(DispatchError::RoomNotFound), "it is another");
    assert_eq!(bench.list("r").len(), 1, "and keeps what it has");
}

#[test]
fn dispatches_are_listed_by_room_and_id() {
    let mut bench = Bench::new();
    bench.start(&room("r"), &[]);
    let created = create(&mut bench, "echo").unwrap();
    let names: Vec<_> = bench.list("r").into_iter().map(|dispatch| dispatch.agent_name).collect();
    assert_eq!(names, ["", "echo"]);
    let one = dispatching::list(&bench.desk, "r", &created.id).unwrap();
    assert_eq!(one, [created]);
    assert_eq!(dispatching::list(&bench.desk, "r", "AD_other"), Ok(Vec::new()));
    assert_eq!(dispatching::list(&bench.desk, "elsewhere", ""), Err(DispatchError::RoomNotFound));
}

#[test]
fn a_deleted_dispatch_ends_its_jobs_and_its_agents_go() {
    for leaves in [true, false] {
        let mut bench = Bench::new();
        let (worker, job, bot) = bench.running(&room("r"));
        let id = bench.list("r")[0].id.clone();
        let delete = |bench: &mut Bench, id: &str| {
            let deleted = dispatching::delete(&mut bench.desk, bench.now, "r", id);
            bench.collect();
            deleted
        };
        assert_eq!(delete(&mut bench, "AD_other"), Err(DispatchError::NotFound));
        let state = delete(&mut bench, &id).unwrap().state.unwrap();
        assert_eq!(state.deleted_at, bench.now.unix_micros() * 1_000);
        assert_eq!(state.jobs[0].state.as_ref().unwrap().status(), JobStatus::JsSuccess);
        assert_eq!(bench.terminated(worker), [job.id.as_str()]);
        assert_eq!(bench.list("r"), []);
        assert_eq!(delete(&mut bench, &id), Err(DispatchError::NotFound));
        if leaves {
            bench.leave(&room("r"), &bot);
        }
        bench.pass(10);
        let removal = Errand::Remove { room: "r".to_owned(), identity: bot.identity.clone() };
        assert_eq!(bench.errands(), if leaves { vec![] } else { vec![removal] });
        assert!(bench.desk.jobs.is_empty());
    }
}

#[test]
fn dispatches_are_bounded_in_number_and_size() {
    let mut bench = Bench::new();
    bench.start(&room("r"), &[]);
    assert_eq!(create(&mut bench, &"x".repeat(257)), Err(DispatchError::TooLarge));
    for _ in 0..63 {
        create(&mut bench, "echo").unwrap();
    }
    assert_eq!(create(&mut bench, "echo"), Err(DispatchError::TooMany));
    assert_eq!(bench.counted(Counted::DispatchLimit), 2);
}

#[test]
fn a_dispatch_lists_the_last_hundred_jobs() {
    let mut bench = Bench::new();
    let worker = bench.worker(JobType::JtParticipant, "");
    bench.start(&room("r"), &[]);
    for number in 0..150 {
        let who = person(&bench, &format!("PA_{number}"));
        bench.join(&room("r"), &who);
        let job = bench.asked_one(worker);
        bench.accept(worker, &job);
        bench.update(worker, &job, JobStatus::JsSuccess);
        bench.leave(&room("r"), &who);
    }
    let jobs = bench.list("r").remove(0).state.unwrap().jobs;
    assert_eq!((jobs.len(), bench.desk.jobs.len()), (100, 100));
    assert_eq!(jobs.last().unwrap().participant.as_ref().unwrap().sid, "PA_149");
}
