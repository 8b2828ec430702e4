//! Claims about what is asked for, when, and what is given up.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

const fn ms(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

fn asked(nack: &mut Nack, now: Instant) -> Vec<u64> {
    let mut asked = Vec::new();
    nack.due(now, None, |sequence| asked.push(sequence.0));
    asked
}

/// These came, in this order, at 0 ms.
fn after(sequences: &[u64]) -> Nack {
    let mut nack = Nack::default();
    for sequence in sequences {
        nack.received(ms(0), Seq(*sequence));
    }
    nack
}

#[test]
fn gap_is_asked_for_after_20_ms_and_then_by_round_trip_time() {
    let mut nack = after(&[10, 13]);
    assert_eq!(asked(&mut nack, ms(19)), []);
    assert_eq!(asked(&mut nack, ms(20)), [11, 12]);
    nack.received(ms(30), Seq(11));
    assert_eq!(asked(&mut nack, ms(89)), []);
    assert_eq!(asked(&mut nack, ms(90)), [12]);
    assert_eq!(nack.next_at(), Some(ms(160)), "70 ms later");
}

#[test]
fn packet_is_given_up_after_ten_tries_or_half_a_second() {
    for (name, rtt_ms, expected_ms, given_up_ms) in [
        ("no way at all", 1, &[20, 40, 60, 80, 100, 120, 145, 176, 215, 264][..], 325),
        ("near", 70, &[20, 90, 160, 230, 300, 370, 457], 500),
        ("far", 200, &[20, 220, 420], 500),
        ("farther than any", 5_000, &[20, 420], 500),
    ] {
        let mut nack = after(&[1, 3]);
        let mut tries = Vec::new();
        let rtt = Some(Duration::from_millis(rtt_ms));
        let given_up = loop {
            let at = nack.next_at().unwrap();
            if nack.give_up(at) > 0 {
                break at;
            }
            nack.due(at, rtt, |_| tries.push(at.0 / 1_000_000));
        };
        assert_eq!((&tries[..], given_up.0 / 1_000_000), (expected_ms, given_up_ms), "{name}");
        assert!(nack.take_broken(), "{name}: a picture is lost");
        assert!(!nack.take_broken(), "{name}: which is told once");
        assert_eq!(nack.next_at(), None, "{name}");
    }
}

#[test]
fn what_nothing_needs_is_given_up_without_a_word() {
    let mut nack = after(&[1, 3]);
    nack.disposable_from(Seq(2));
    nack.received(ms(0), Seq(5));
    nack.disposable_from(Seq(4));
    assert_eq!((nack.give_up(ms(500)), nack.take_broken()), (2, false));
    let mut nack = after(&[1, 3, 5]);
    nack.disposable_from(Seq(4));
    assert_eq!((nack.give_up(ms(500)), nack.take_broken()), (2, true));
}

#[test]
fn key_frame_makes_up_for_all_before_it() {
    for (name, begins_here, still_asked) in
        [("its first packet", true, &[9][..]), ("it may have begun before", false, &[6, 7, 9])]
    {
        let mut nack = after(&[1, 4, 5, 8, 10]);
        nack.is_broken = true;
        nack.key_frame(Seq(8), begins_here);
        assert_eq!(asked(&mut nack, ms(20)), still_asked, "{name}");
        assert!(!nack.take_broken(), "{name}");
    }
}

#[test]
fn longer_gap_than_the_queue_is_an_outage_and_not_asked_for() {
    for (name, to, given_up, is_broken, asked_for) in [
        ("fits", 151, 49, true, (100, 51)),
        ("next", 51, 0, false, (49, 1)),
        ("one too many", 152, 150, true, (0, 0)),
        ("numbers jumped", 1_000_000, 999_998, true, (0, 0)),
    ] {
        let mut nack = after(&[0, 50]);
        let count = nack.received(ms(0), Seq(to));
        assert_eq!((count, nack.take_broken()), (given_up, is_broken), "{name}");
        let asked = asked(&mut nack, ms(20));
        assert_eq!((asked.len(), asked.first().copied().unwrap_or(0)), asked_for, "{name}");
    }
}

proptest! {
    #[test]
    fn asks_only_for_what_is_missing_in_order_and_within_the_bound(
        steps in proptest::collection::vec((0_u64..400, 0_u64..30, any::<u8>()), 1..200),
    ) {
        let mut nack = Nack::default();
        let mut seen = BTreeSet::new();
        let mut tries = vec![0; 2_000];
        let mut missing_since = vec![None; 2_000];
        let mut highest = 0_u64;
        let mut now = 0;
        for (step, wait, act) in steps {
            now += wait;
            let sequence = (highest + step).saturating_sub(250).min(1_999);
            for missing in highest + 1..sequence {
                missing_since[usize::try_from(missing).unwrap()] = Some(now);
            }
            highest = highest.max(sequence);
            nack.received(ms(now), Seq(sequence));
            seen.insert(sequence);
            match act {
                0..20 => nack.key_frame(Seq(sequence), act % 2 == 0),
                20..40 => nack.disposable_from(Seq(sequence.saturating_sub(5))),
                _ => {}
            }
            nack.give_up(ms(now));
            let asked = asked(&mut nack, ms(now));
            prop_assert!(asked.len() <= QUEUE_MAX);
            prop_assert!(asked.is_sorted());
            for sequence in asked {
                prop_assert!(!seen.contains(&sequence) && sequence < highest);
                let at = usize::try_from(sequence).unwrap();
                tries[at] += 1;
                prop_assert!(missing_since[at].is_some_and(|since| now < since + 500));
            }
        }
        prop_assert!(tries.iter().all(|tries| *tries <= 10));
    }
}
