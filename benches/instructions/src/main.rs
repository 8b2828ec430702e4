//! Runs one of the loops whose instructions scripts/instructions counts, by name, and prints how many packets it was for.

use std::hint::black_box;
use std::process::ExitCode;

use call::across::Across;
use call::call::{BATCH, Call};
use call::media::Media;
use call::null::Null;
use call::train::{Train, audio, in_order, swapped, video};
use forward::facts::{Class, Facts};
use forward::forwarder::Forwarder;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(found) = LOOPS.iter().find(|other| other.name == name) else {
        LOOPS.iter().for_each(|found| println!("{}", found.name));
        return if name == "list" { ExitCode::SUCCESS } else { ExitCode::from(2) };
    };
    println!("{}", (found.run)());
    ExitCode::SUCCESS
}

struct Loop {
    name: &'static str,
    run: fn() -> u64,
}

/// Each runs twice: to warm up, and then through [`counted`].
const LOOPS: [Loop; 19] = [
    Loop { name: "forward-vp8", run: || forwarded(Class::Vp8, 2, video, in_order) },
    Loop { name: "forward-vp8-temporal-layer-0", run: || forwarded(Class::Vp8, 0, video, in_order) },
    Loop { name: "forward-vp8-out-of-order", run: || forwarded(Class::Vp8, 2, video, swapped) },
    Loop { name: "forward-audio", run: || forwarded(Class::Audio, 0, audio, in_order) },
    Loop { name: "engine-vp8-1-to-1", run: || sent(Media::Video, 1) },
    Loop { name: "engine-vp8-1-to-10", run: || sent(Media::Video, 10) },
    Loop { name: "engine-vp8-1-to-50", run: || sent(Media::Video, 50) },
    Loop { name: "engine-audio-1-to-1", run: || sent(Media::Audio, 1) },
    Loop { name: "engine-audio-1-to-50", run: || sent(Media::Audio, 50) },
    Loop { name: "engine-red-1-to-50", run: || sent(Media::Red, 50) },
    Loop { name: "engine-vp9-svc-1-to-1", run: || sent(Media::Vp9, 1) },
    Loop { name: "engine-vp9-svc-1-to-50", run: || sent(Media::Vp9, 50) },
    Loop { name: "engine-av1-svc-1-to-1", run: || sent(Media::Av1, 1) },
    Loop { name: "engine-av1-svc-1-to-50", run: || sent(Media::Av1, 50) },
    Loop { name: "engine-opus-to-red-1-to-1", run: || sent(Media::Encoded, 1) },
    Loop { name: "engine-opus-to-red-1-to-50", run: || sent(Media::Encoded, 50) },
    Loop { name: "relay-vp8-to-1-worker", run: relayed },
    Loop { name: "relayed-vp8-1-to-1", run: || sent_across(1) },
    Loop { name: "relayed-vp8-1-to-50", run: || sent_across(50) },
];

/// Packets that a forwarder decided on.
fn forwarded(class: Class, temporal_max: u8, packet: fn(u64) -> Facts, arrangement: fn(u64) -> u64) -> u64 {
    let mut forwarder = Forwarder::new(class, 90_000);
    forwarder.set_target(Some(0), temporal_max);
    let mut train = Train::new(packet, arrangement);
    let mut packets: Vec<_> = (0..2 * PACKETS).map(|_| train.next_packet()).collect();
    let measured = packets.split_off(PACKETS);
    let mut decide = |packets: &[_]| {
        for (now, facts) in packets {
            let _ = black_box(forwarder.forward(*now, facts));
        }
    };
    decide(&packets);
    counted(|| decide(&measured));
    PACKETS as u64
}

/// Copies that an engine sent.
fn sent(media: Media, subscribers: u16) -> u64 {
    let mut call = Call::<Null>::new(media, subscribers);
    for _ in 0..BATCHES {
        call.prepare(BATCH);
        call.receive_all();
    }
    let before = call.copies_sent();
    for _ in 0..BATCHES {
        call.prepare(BATCH);
        counted(|| call.receive_all());
    }
    let copies = call.copies_sent() - before;
    assert_eq!(copies, BATCHES * BATCH * u64::from(subscribers), "each copy was sent");
    copies
}

/// Packets that a publisher's worker handed to another one.
fn relayed() -> u64 {
    let (mut across, warm_up) = warmed_up(1);
    for _ in 0..BATCHES {
        across.prepare(BATCH);
        counted(|| across.relay_all());
        across.forward_all();
    }
    let relayed = across.packets_relayed() - warm_up;
    assert_eq!(relayed, BATCHES * BATCH, "each packet was handed over");
    relayed
}

/// Copies that the other worker sent.
fn sent_across(subscribers: u16) -> u64 {
    let (mut across, _) = warmed_up(subscribers);
    let before = across.copies_sent();
    for _ in 0..BATCHES {
        across.prepare(BATCH);
        across.relay_all();
        counted(|| across.forward_all());
    }
    let copies = across.copies_sent() - before;
    assert_eq!(copies, BATCHES * BATCH * u64::from(subscribers), "each copy was sent");
    copies
}

/// A room on two workers, and how many packets were handed over so far.
fn warmed_up(subscribers: u16) -> (Across<Null>, u64) {
    let mut across = Across::new(Media::Video, subscribers);
    for _ in 0..BATCHES {
        across.prepare(BATCH);
        across.relay_all();
        across.forward_all();
    }
    let relayed = across.packets_relayed();
    (across, relayed)
}

/// What is counted: callgrind looks for this name.
#[inline(never)]
fn counted(work: impl FnOnce()) {
    work();
}

/// 100 cycles of the temporal layers.
const PACKETS: usize = 1_600;
const BATCHES: u64 = 25;
