//! Jobs end, move, and outlive a connection.

use livekit_protocol::worker_message::Message;
use livekit_protocol::{DisconnectReason, JobStatus, JobType, MigrateJobRequest, ParticipantInfo};

use super::{Bench, agent, room};
use crate::agent::tally::Counted;

fn state(bench: &Bench) -> (JobStatus, String, bool) {
    let state = bench.only_job("r").state.unwrap();
    (state.status(), state.error.clone(), state.ended_at > 0)
}

#[test]
fn a_worker_says_how_its_job_ended() {
    for status in [JobStatus::JsSuccess, JobStatus::JsFailed] {
        let mut bench = Bench::new();
        let (worker, job, _) = bench.running(&room("r"));
        bench.update(worker, &job, JobStatus::JsRunning);
        assert_eq!(state(&bench), (JobStatus::JsRunning, String::new(), false));
        bench.pass(1);
        bench.update(worker, &job, status);
        assert_eq!(state(&bench), (status, String::new(), true));
        bench.update(worker, &job, JobStatus::JsRunning);
        assert_eq!(state(&bench), (status, String::new(), true));
        assert_eq!(bench.terminated(worker), Vec::<String>::new());
    }
}

#[test]
fn a_job_ends_when_its_agent_leaves() {
    let mut bench = Bench::new();
    let (worker, job, bot) = bench.running(&room("r"));
    bench.leave(&room("r"), &bot);
    assert_eq!(bench.terminated(worker), [job.id.as_str()]);
    assert_eq!(state(&bench), (JobStatus::JsFailed, "agent worker left the room".to_owned(), true));
    bench.update(worker, &job, JobStatus::JsSuccess);
    assert_eq!(state(&bench), (JobStatus::JsSuccess, String::new(), true), "the worker knows why it left");
}

#[test]
fn an_agent_that_is_replaced_by_itself_has_not_left() {
    let mut bench = Bench::new();
    let (worker, _, bot) = bench.running(&room("r"));
    let replaced =
        ParticipantInfo { disconnect_reason: DisconnectReason::DuplicateIdentity.into(), ..bot.clone() };
    bench.leave(&room("r"), &replaced);
    let next = agent("PA_next", &bot.identity);
    bench.join(&room("r"), &next);
    bench.leave(&room("r"), &bot);
    assert_eq!(bench.terminated(worker), Vec::<String>::new());
    bench.leave(&room("r"), &next);
    assert_eq!(bench.terminated(worker).len(), 1);
}

#[test]
fn a_room_that_ends_ends_its_jobs_and_is_forgotten() {
    let mut bench = Bench::new();
    let (worker, job, _) = bench.running(&room("r"));
    let another = livekit_protocol::Room { sid: "RM_older".to_owned(), ..room("r") };
    bench.finish(&another);
    assert_eq!(bench.terminated(worker), Vec::<String>::new());
    bench.finish(&room("r"));
    assert_eq!(bench.terminated(worker), [job.id]);
    assert!(bench.desk.rooms.is_empty() && bench.desk.jobs.is_empty());
    assert!(bench.desk.workers[&worker].running.is_empty());
}

#[test]
fn a_room_of_the_same_name_ends_the_one_before() {
    let mut bench = Bench::new();
    let (worker, job, _) = bench.running(&room("r"));
    bench.start(&livekit_protocol::Room { sid: "RM_newer".to_owned(), ..room("r") }, &[]);
    assert_eq!(bench.terminated(worker), [job.id]);
    assert_eq!(bench.list("r").len(), 1);
}

#[test]
fn an_offer_for_a_room_that_ended_comes_to_nothing() {
    let mut bench = Bench::new();
    let worker = bench.worker(JobType::JtRoom, "");
    bench.start(&room("r"), &[]);
    let job = bench.asked_one(worker);
    bench.finish(&room("r"));
    assert_eq!(bench.terminated(worker), [job.id.as_str()]);
    bench.accept(worker, &job);
    assert_eq!(bench.assigned(worker), None);
    assert_eq!((bench.counted(Counted::Stale), bench.counted(Counted::JobDropped)), (1, 1));
}

#[test]
fn a_worker_that_comes_back_keeps_its_jobs() {
    let mut bench = Bench::new();
    let (first, job, bot) = bench.running(&room("r"));
    bench.disconnect(first);
    let second = bench.worker(JobType::JtRoom, "");
    bench.update(second, &job, JobStatus::JsRunning);
    bench.pass(60);
    assert_eq!(state(&bench).0, JobStatus::JsRunning);
    bench.leave(&room("r"), &bot);
    assert_eq!(bench.terminated(second), [job.id]);
}

#[test]
fn a_job_that_nobody_does_any_more_has_failed() {
    for (name, in_room, expected) in [
        ("its agent never came", false, JobStatus::JsFailed),
        ("its agent is still there", true, JobStatus::JsRunning),
    ] {
        let mut bench = Bench::new();
        let worker = bench.worker(JobType::JtRoom, "");
        bench.start(&room("r"), &[]);
        let job = bench.asked_one(worker);
        bench.accept(worker, &job);
        if in_room {
            bench.join(&room("r"), &agent("PA_agent", &format!("agent-{}", job.id)));
        }
        bench.disconnect(worker);
        bench.pass(29);
        assert_eq!(state(&bench).0, JobStatus::JsRunning, "{name}");
        bench.pass(1);
        assert_eq!(state(&bench).0, expected, "{name}");
    }
}

#[test]
fn a_job_moves_to_a_worker_that_takes_it() {
    let mut bench = Bench::new();
    let (first, job, bot) = bench.running(&room("r"));
    let second = bench.worker(JobType::JtRoom, "");
    let migrate = || Message::MigrateJob(MigrateJobRequest { job_ids: vec![job.id.clone()] });
    bench.hear(first, migrate());
    let offered = bench.asked_one(second);
    bench.refuse(second, &offered);
    assert_eq!(bench.terminated(first), Vec::<String>::new(), "nobody takes it, so it stays");
    bench.hear(first, migrate());
    let offered = bench.asked_one(second);
    bench.accept(second, &offered);
    assert!(bench.assigned(second).is_some());
    assert_eq!(bench.terminated(first), [job.id.as_str()]);
    // The agent of the new worker has the same identity, and takes the place of the old one.
    let replaced =
        ParticipantInfo { disconnect_reason: DisconnectReason::DuplicateIdentity.into(), ..bot.clone() };
    bench.leave(&room("r"), &replaced);
    bench.join(&room("r"), &agent("PA_next", &bot.identity));
    assert_eq!(state(&bench).0, JobStatus::JsRunning);
    bench.update(second, &job, JobStatus::JsSuccess);
    assert_eq!(state(&bench).0, JobStatus::JsSuccess);
    bench.hear(first, migrate());
    assert_eq!(bench.counted(Counted::Stale), 1, "it is not that worker's any more");
}
