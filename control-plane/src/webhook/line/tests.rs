//! Whatever receivers do: order within rooms, bounds, and nothing forgotten.

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { max_age: Duration::from_secs(60), max_depth: 4 };
const BYTES: u64 = 1_000;

fn waiting(number: u64, at: Time) -> Waiting {
    Waiting { number, len: 10, at }
}

fn line(rooms: &[(&str, u64)]) -> Line {
    let mut line = Line::default();
    for (room, number) in rooms {
        assert_eq!(line.push(room, waiting(*number, Time(0)), &BOUNDS, BYTES), []);
    }
    line
}

fn number(job: Option<Job>) -> Option<u64> {
    job.map(|job| job.number)
}

#[test]
fn a_room_waits_for_its_first_event_and_others_do_not() {
    let mut line = line(&[("a", 1), ("a", 2), ("b", 3)]);
    let first = line.next(Time(0)).unwrap();
    assert_eq!(first, Job { room: "a".into(), number: 1, dropped: 0 });
    assert_eq!(number(line.next(Time(0))), Some(3));
    assert_eq!(line.next(Time(0)), None, "the other of a waits for the first");
    assert_eq!(line.done(&first, Outcome::Failed, Time(0), 1.0), None);
    assert_eq!(line.next(Time(0)), None);
    let due = line.next_due().unwrap();
    assert_eq!(due, Time(500_000));
    let again = line.next(due).unwrap();
    assert_eq!(again, first);
    line.done(&again, Outcome::Delivered, due, 0.0);
    assert_eq!(number(line.next(due)), Some(2));
}

#[test]
fn pauses_grow_to_half_a_minute_and_are_spread() {
    for (failures, chance, expected) in [
        (1, 0.0, 250),
        (1, 1.0, 500),
        (2, 1.0, 1_000),
        (4, 1.0, 4_000),
        (7, 1.0, 30_000),
        (u32::MAX, 0.0, 15_000),
    ] {
        assert_eq!(pause(failures, chance), Duration::from_millis(expected), "{failures} {chance}");
    }
}

#[test]
fn what_is_rejected_again_and_again_is_given_up_and_what_fails_is_not() {
    for (outcome, expected) in [(Outcome::Rejected, Some((1, Drop::Rejected))), (Outcome::Failed, None)] {
        let mut line = line(&[("a", 1), ("a", 2)]);
        let mut given_up = None;
        for _ in 0..8 {
            let now = line.next_due().unwrap_or_default();
            let job = line.next(now).unwrap();
            assert_eq!((job.number, given_up), (1, None));
            given_up = line.done(&job, outcome, now, 0.5);
        }
        assert_eq!(given_up, expected);
        if expected.is_some() {
            assert_eq!(line.next(Time(0)), Some(Job { room: "a".into(), number: 2, dropped: 1 }), "and told");
        }
    }
}

#[test]
fn a_receiver_that_is_back_gets_one_more_with_each_success() {
    let mut line = line(&[("a", 1), ("b", 2), ("c", 3)]);
    while let Some(job) = line.next(Time(0)) {
        line.done(&job, Outcome::Failed, Time(0), if job.number == 1 { 0.0 } else { 1.0 });
    }
    let now = Time(300_000);
    let first = line.next(now).unwrap();
    assert_eq!((first.number, number(line.next(now))), (1, None));
    line.done(&first, Outcome::Delivered, now, 0.0);
    let second = line.next(now).unwrap();
    assert_eq!((second.number, number(line.next(now))), (2, None));
    line.done(&second, Outcome::Delivered, now, 0.0);
    assert_eq!(number(line.next(now)), Some(3));
}

#[test]
fn what_does_not_fit_goes_from_the_oldest_and_is_told_with_the_next() {
    let mut deep = line(&[("a", 1), ("a", 2), ("a", 3), ("a", 4)]);
    let job = deep.next(Time(0)).unwrap();
    assert_eq!(
        deep.push("a", waiting(5, Time(0)), &BOUNDS, BYTES),
        [(2, Drop::Depth)],
        "not what is under way"
    );
    deep.done(&job, Outcome::Delivered, Time(0), 0.0);
    assert_eq!(deep.next(Time(0)), Some(Job { room: "a".into(), number: 3, dropped: 1 }));
    let mut heavy = line(&[("a", 1), ("b", 2)]);
    assert_eq!(heavy.push("c", waiting(3, Time(0)), &BOUNDS, 25), [(1, Drop::Bytes)]);
    assert_eq!(number(heavy.next(Time(0))), Some(2));
}

#[test]
fn what_is_too_old_is_given_up_and_remembered() {
    let mut line = line(&[("a", 1), ("a", 2)]);
    let late = Time(61_000_000);
    let job = line.next(Time(0)).unwrap();
    assert_eq!(line.expire(Time(60_000_000), BOUNDS.max_age), []);
    assert_eq!(line.expire(late, BOUNDS.max_age), [(2, Drop::Age)], "not what is under way");
    line.done(&job, Outcome::Failed, late, 0.0);
    assert_eq!(line.expire(late, BOUNDS.max_age), [(1, Drop::Age)]);
    assert!(line.is_empty() && line.next_due().is_none());
    line.push("a", waiting(3, late), &BOUNDS, BYTES);
    assert_eq!(line.next(late), Some(Job { room: "a".into(), number: 3, dropped: 2 }));
}

#[test]
fn rooms_that_fail_leave_places_to_the_others() {
    let mut line = Line::default();
    let rooms: Vec<String> = (0..40).map(|room| format!("{room}")).collect();
    for (number, room) in (0..).zip(&rooms) {
        line.push(room, waiting(number, Time(0)), &BOUNDS, BYTES);
    }
    for _ in 0..3 {
        let jobs: Vec<Job> = std::iter::from_fn(|| line.next(Time(0))).collect();
        jobs.iter().for_each(|job| assert_eq!(line.done(job, Outcome::Failed, Time(0), 1.0), None));
    }
    let later = Time(1_000_000);
    let retries = std::iter::from_fn(|| line.next(later)).count();
    assert_eq!((retries, line.next_due()), (RETRIES_MAX, None));
    line.push("fresh", waiting(99, later), &BOUNDS, BYTES);
    assert_eq!(number(line.next(later)), Some(99));
}

proptest! {
    /// Every event ends one way, and those of a room go out in order.
    #[test]
    fn nothing_is_forgotten_or_overtakes(acts in prop::collection::vec((0_u8..5, 0_usize..3, 0_u8..3), 0..200)) {
        let mut line = Line::default();
        let (mut now, mut pushed, mut ended) = (Time(0), 0_u64, 0_usize);
        let mut under_way: Vec<Job> = Vec::new();
        let mut last: HashMap<Arc<str>, u64> = HashMap::new();
        for (act, which, outcome) in acts {
            match act {
                0 | 1 => {
                    pushed += 1;
                    let room = ["a", "b", "c"][which];
                    ended += line.push(room, waiting(pushed, now), &BOUNDS, 60).len();
                }
                2 => under_way.extend(line.next(now)),
                3 if !under_way.is_empty() => {
                    let job = under_way.remove(which % under_way.len());
                    let outcome = [Outcome::Delivered, Outcome::Failed, Outcome::Rejected][usize::from(outcome)];
                    let given_up = line.done(&job, outcome, now, 0.5);
                    if outcome == Outcome::Delivered {
                        let former = last.insert(Arc::clone(&job.room), job.number);
                        prop_assert!(former.is_none_or(|former| former < job.number));
                    }
                    ended += usize::from(outcome == Outcome::Delivered || given_up.is_some());
                }
                _ => {
                    now = now.after(Duration::from_secs(7));
                    ended += line.expire(now, BOUNDS.max_age).len();
                }
            }
            prop_assert_eq!(line.len() + ended, usize::try_from(pushed).unwrap());
            let rooms: Vec<&Arc<str>> = under_way.iter().map(|job| &job.room).collect();
            let unique: BTreeSet<&Arc<str>> = rooms.iter().copied().collect();
            prop_assert_eq!(rooms.len(), unique.len(), "one of a room at a time");
        }
        // At last the receiver takes everything.
        for job in under_way {
            ended += usize::from(line.done(&job, Outcome::Delivered, now, 0.5).is_none());
        }
        while let Some(job) = line.next(now.after(Duration::from_secs(60))) {
            line.done(&job, Outcome::Delivered, now, 0.5);
            ended += 1;
        }
        prop_assert_eq!((line.len(), ended), (0, usize::try_from(pushed).unwrap()));
        prop_assert_eq!(line.bytes, 0);
    }
}
