//! Handing over between threads: the ring of the mailboxes, and the doorbell of a worker.

mod timing;

use core::hint::black_box;
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use driver::doorbell::Doorbell;
use media_plane::mailbox::{Receiver, TaskBell, ring};
use timing::CpuTime;

fn main() {
    let mut criterion = timing::criterion();
    hand_over(&mut criterion);
    doorbell(&mut criterion);
    criterion.final_summary();
}

/// Per item of 64 bytes, pushed in chunks with one ring of the bell each.
fn hand_over(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("ring");
    group.bench_function("push and pop, by one thread", |bencher| {
        let (mut sender, mut receiver) = ring(CAPACITY, TaskBell::default());
        bencher.iter_custom(|items| {
            let begun = CpuTime::now();
            for first in (0..items).step_by(CHUNK) {
                for number in (first..items).take(CHUNK) {
                    sender.push(black_box([number; 8])).expect("it is emptied each time");
                }
                sender.ring();
                while let Some(item) = receiver.pop() {
                    black_box(item);
                }
            }
            CpuTime::now().saturating_sub(begun)
        });
    });
    group.bench_function("push, while another thread pops", |bencher| {
        bencher.iter_custom(|items| {
            let (mut sender, receiver) = ring(CAPACITY, TaskBell::default());
            let popping = thread::spawn(move || pop_all(receiver, items));
            let mut spent = Duration::ZERO;
            for first in (0..items).step_by(CHUNK) {
                // Room for a chunk is waited for outside of what is measured.
                while sender.space() < CHUNK {
                    thread::yield_now();
                }
                let begun = CpuTime::now();
                for number in (first..items).take(CHUNK) {
                    sender.push(black_box([number; 8])).expect("there is room");
                }
                sender.ring();
                spent += CpuTime::now().saturating_sub(begun);
            }
            assert_eq!(popping.join().ok(), Some(items), "each item arrived");
            spent
        });
    });
    group.finish();
}

fn pop_all(mut receiver: Receiver<[u64; 8]>, items: u64) -> u64 {
    let mut popped = 0;
    while popped < items {
        match receiver.pop() {
            Some(item) => popped += u64::from(item[0] == popped),
            None => thread::yield_now(),
        }
    }
    popped
}

fn doorbell(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("doorbell");
    let bell = Doorbell::new().expect("a file may be opened");
    group.bench_function("rung while the worker is awake", |bencher| bencher.iter(|| bell.ring()));
    assert!(!bell.clear(), "nothing was written");
    group.bench_function("armed, rung, cleared", |bencher| {
        bencher.iter(|| {
            bell.arm();
            bell.ring();
            bell.clear()
        });
    });
    group.finish();
}

const CAPACITY: usize = 1_024;
/// What a worker hands over at once.
const CHUNK: usize = 32;
