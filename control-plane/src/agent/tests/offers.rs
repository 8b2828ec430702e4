//! Jobs find workers: the right ones, one after the other, and in the end.

use livekit_protocol::worker_message::Message;
use livekit_protocol::{
    AvailabilityResponse, JobStatus, JobType, ParticipantPermission, RegisterWorkerRequest,
    SimulateJobRequest, WorkerStatus, participant_info,
};

use super::{Bench, agent, person, room};
use crate::agent::effect::Errand;
use crate::agent::tally::Counted;

#[test]
fn a_room_has_a_job_that_is_offered_and_assigned() {
    let mut bench = Bench::new();
    let worker = bench.connect();
    let permission = ParticipantPermission { can_publish: true, hidden: true, ..Default::default() };
    let request = RegisterWorkerRequest { allowed_permissions: Some(permission), ..Default::default() };
    bench.hear(worker, Message::Register(request));
    bench.start(&room("r"), &[]);
    let offered = bench.asked_one(worker);
    assert!(offered.id.starts_with("AJ_"));
    assert_eq!((offered.r#type(), offered.room.clone()), (JobType::JtRoom, Some(room("r"))));
    assert_eq!(offered.dispatch_id, bench.list("r")[0].id);
    let answer = AvailabilityResponse {
        job_id: offered.id.clone(),
        available: true,
        participant_identity: "bot".to_owned(),
        participant_name: "Bot".to_owned(),
        participant_metadata: "m".to_owned(),
        participant_attributes: [("a".to_owned(), "b".to_owned())].into(),
        ..Default::default()
    };
    bench.hear(worker, Message::Availability(answer));
    let (job, claims) = bench.assigned(worker).expect("an assignment");
    assert_eq!(job.id, offered.id);
    assert_eq!(
        (claims.identity.as_str(), claims.name.as_str(), claims.metadata.as_str()),
        ("bot", "Bot", "m")
    );
    assert_eq!(claims.participant_kind(), participant_info::Kind::Agent);
    assert_eq!(claims.attributes["a"], "b");
    assert_eq!(claims.attributes["lk.agent_name"], "");
    let grant = &claims.video;
    assert!(grant.room_join && grant.agent && grant.hidden && grant.room == "r" && !grant.room_admin);
    assert!(grant.can_publish() && !grant.can_subscribe() && !grant.can_publish_data());
    let state = bench.only_job("r").state.unwrap();
    assert_eq!((state.status(), state.participant_identity.as_str()), (JobStatus::JsRunning, "bot"));
    assert!(state.worker_id.starts_with("AW_"));
    assert_eq!(state.started_at, bench.now.unix_micros() * 1_000);
}

#[test]
fn workers_get_jobs_of_their_kind_and_name_only() {
    for (name, kind, agent_name, dispatched, expected) in [
        ("unnamed room", JobType::JtRoom, "", &[][..], vec![JobType::JtRoom]),
        ("unnamed publisher", JobType::JtPublisher, "", &[], vec![JobType::JtPublisher]),
        ("unnamed participant", JobType::JtParticipant, "", &[], vec![JobType::JtParticipant]),
        ("named, not dispatched", JobType::JtRoom, "echo", &[], vec![]),
        ("named, dispatched", JobType::JtRoom, "echo", &["echo"], vec![JobType::JtRoom]),
        ("another is dispatched", JobType::JtRoom, "echo", &["other"], vec![]),
        ("unnamed, a named one is dispatched", JobType::JtRoom, "", &["echo"], vec![]),
        ("named publisher", JobType::JtPublisher, "echo", &["other", "echo"], vec![JobType::JtPublisher]),
    ] {
        let mut bench = Bench::new();
        let worker = bench.worker(kind, agent_name);
        bench.start(&room("r"), dispatched);
        let alice = person(&bench, "PA_alice");
        bench.join(&room("r"), &alice);
        bench.publish(&room("r"), &alice);
        bench.publish(&room("r"), &alice);
        let kinds: Vec<_> = bench.asked(worker).iter().map(|job| job.r#type()).collect();
        assert_eq!(kinds, expected, "{name}");
    }
}

#[test]
fn each_who_joins_or_publishes_has_a_job_but_agents_have_none() {
    for kind in [JobType::JtParticipant, JobType::JtPublisher] {
        let mut bench = Bench::new();
        let worker = bench.worker(kind, "");
        bench.start(&room("r"), &[]);
        let (alice, bob) = (person(&bench, "PA_alice"), person(&bench, "PA_bob"));
        for who in [&alice, &bob, &agent("PA_agent", "bot")] {
            bench.join(&room("r"), who);
            bench.publish(&room("r"), who);
            bench.publish(&room("r"), who);
        }
        let about: Vec<_> = bench.asked(worker).into_iter().map(|job| job.participant.unwrap().sid).collect();
        assert_eq!(about, ["PA_alice", "PA_bob"]);
        bench.leave(&room("r"), &alice);
        let again = person(&bench, "PA_alice2");
        bench.join(&room("r"), &again);
        bench.publish(&room("r"), &again);
        assert_eq!(bench.asked_one(worker).participant.unwrap().sid, "PA_alice2");
    }
}

#[test]
fn each_namespace_has_a_job_of_its_own() {
    let mut bench = Bench::new();
    let workers = ["", "a", "b"].map(|namespace| {
        let worker = bench.connect();
        bench.register(worker, JobType::JtRoom, "", namespace);
        worker
    });
    bench.start(&room("r"), &[]);
    let jobs = workers.map(|worker| bench.asked_one(worker).id);
    assert_eq!(std::collections::BTreeSet::from(jobs).len(), 3);
}

#[test]
fn refusal_silence_and_disconnection_are_answered_by_another_worker() {
    for (name, counted) in [
        ("refuses", Counted::OfferRefused),
        ("is silent", Counted::OfferTimedOut),
        ("is gone", Counted::OfferLost),
        ("has no identity", Counted::BadAnswer),
    ] {
        let mut bench = Bench::new();
        let workers = [bench.worker(JobType::JtRoom, ""), bench.worker(JobType::JtRoom, "")];
        bench.start(&room("r"), &[]);
        let (first, job) = workers
            .into_iter()
            .find_map(|worker| Some((worker, bench.asked(worker).pop()?)))
            .expect("one is asked");
        let second = *workers.iter().find(|worker| **worker != first).unwrap();
        assert_eq!(bench.asked(second), [], "{name}");
        match counted {
            Counted::OfferRefused => bench.refuse(first, &job),
            Counted::OfferTimedOut => bench.pass(10),
            Counted::OfferLost => bench.disconnect(first),
            _ => {
                let answer =
                    AvailabilityResponse { job_id: job.id.clone(), available: true, ..Default::default() };
                bench.hear(first, Message::Availability(answer));
            }
        }
        assert_eq!(bench.counted(counted), 1, "{name}");
        let again = bench.asked_one(second);
        assert_eq!(again.id, job.id, "{name}");
        // What comes too late changes nothing.
        bench.accept(first, &job);
        assert_eq!(bench.assigned(first), None, "{name}");
        bench.accept(second, &again);
        assert!(bench.assigned(second).is_some(), "{name}");
    }
}

#[test]
fn who_refused_is_not_asked_again_but_who_comes_is() {
    let mut bench = Bench::new();
    let first = bench.worker(JobType::JtRoom, "");
    bench.start(&room("r"), &[]);
    let job = bench.asked_one(first);
    bench.refuse(first, &job);
    bench.report(first, WorkerStatus::WsAvailable, 0.0);
    assert_eq!(bench.asked(first), []);
    let second = bench.connect();
    bench.register(second, JobType::JtRoom, "", "");
    assert_eq!(bench.asked_one(second).id, job.id);
}

#[test]
fn a_full_worker_is_asked_when_it_has_time() {
    let mut bench = Bench::new();
    let worker = bench.worker(JobType::JtRoom, "");
    bench.report(worker, WorkerStatus::WsFull, 0.9);
    bench.start(&room("r"), &[]);
    assert_eq!(bench.asked(worker), []);
    bench.report(worker, WorkerStatus::WsAvailable, f32::NAN);
    bench.asked_one(worker);
}

#[test]
fn a_job_waits_five_minutes_and_no_longer() {
    for (after, taken) in [(299, true), (300, false)] {
        let mut bench = Bench::new();
        let worker = bench.worker(JobType::JtRoom, "");
        bench.report(worker, WorkerStatus::WsFull, 1.0);
        bench.start(&room("r"), &[]);
        bench.pass(after);
        bench.report(worker, WorkerStatus::WsAvailable, 0.0);
        assert_eq!(bench.asked(worker).len(), usize::from(taken), "after {after} s");
        assert_eq!(bench.counted(Counted::JobExpired), u64::from(!taken));
        assert!(bench.desk.waiting.is_empty());
    }
}

#[test]
fn a_worker_that_comes_late_finds_what_it_missed_lately() {
    for (name, after, expected) in [("soon", 60, 1), ("too late", 301, 0)] {
        let mut bench = Bench::new();
        bench.start(&room("r"), &[]);
        let alice = person(&bench, "PA_alice");
        bench.join(&room("r"), &alice);
        bench.pass(after);
        let worker = bench.worker(JobType::JtParticipant, "");
        let errands = bench.errands();
        assert_eq!(errands.len(), expected, "{name}");
        if expected == 1 {
            assert_eq!(errands, [Errand::Survey { room: "r".to_owned() }]);
        }
        bench.survey(&room("r"), &[alice.clone(), agent("PA_agent", "bot")]);
        bench.survey(&room("r"), &[alice]);
        assert_eq!(bench.asked(worker).len(), expected, "{name}");
    }
}

#[test]
fn a_worker_is_asked_about_a_few_jobs_at_once() {
    let mut bench = Bench::new();
    let worker = bench.worker(JobType::JtRoom, "");
    for number in 0..40 {
        bench.start(&room(&number.to_string()), &[]);
    }
    let mut asked = bench.asked(worker);
    assert_eq!(asked.len(), 16);
    let mut taken = 0;
    while let Some(job) = asked.pop() {
        bench.accept(worker, &job);
        taken += 1;
        asked.extend(bench.asked(worker));
        assert!(asked.len() <= 16);
    }
    assert_eq!(taken, 40);
}

#[test]
fn a_worker_simulates_a_job_for_itself() {
    let mut bench = Bench::new();
    let workers = [bench.worker(JobType::JtRoom, "a"), bench.worker(JobType::JtRoom, "a")];
    let request = SimulateJobRequest { room: Some(room("imagined")), ..Default::default() };
    bench.hear(workers[1], Message::SimulateJob(request));
    assert_eq!(bench.asked(workers[0]), []);
    let job = bench.asked_one(workers[1]);
    bench.accept(workers[1], &job);
    assert_eq!(bench.assigned(workers[1]).unwrap().1.video.room, "imagined");
    bench.update(workers[1], &job, JobStatus::JsSuccess);
    assert!(bench.desk.jobs.is_empty());
    bench.hear(workers[1], Message::SimulateJob(SimulateJobRequest::default()));
    assert_eq!(bench.counted(Counted::BadSimulation), 1);
}
