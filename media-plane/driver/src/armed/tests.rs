//! Every order in which two threads can pass each other, tried by loom: no wake is lost, and what would lose one is seen.

use std::panic::catch_unwind;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::thread;

use super::{Armed, Flag};

/// The real thing, with loom's flag.
struct Fenced(AtomicBool);

/// Without the fences. Loom gives accesses no more order than acquire and release, whatever they ask for.
struct Unfenced(AtomicBool);

impl Flag for Fenced {
    fn store(&self, value: bool) {
        self.0.store(value, Ordering::SeqCst);
    }

    fn clear(&self) -> bool {
        self.0.compare_exchange(true, false, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

impl Flag for Unfenced {
    fn store(&self, value: bool) {
        self.0.store(value, Ordering::SeqCst);
    }

    fn clear(&self) -> bool {
        self.0.compare_exchange(true, false, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn fence() {}
}

/// A mailbox: how many items were published, and how often its receiver was woken.
struct Mailbox<F> {
    items: AtomicUsize,
    armed: Armed<F>,
    wakes: AtomicUsize,
}

/// What the receiver had seen when it fell asleep; `None` if it did not.
type Asleep = Option<usize>;

impl<F: Flag> Mailbox<F> {
    /// As rings do it: what is published is seen by who sees the count.
    fn publish(&self) {
        self.items.fetch_add(1, Ordering::Release);
    }

    fn published(&self) -> usize {
        self.items.load(Ordering::Acquire)
    }

    fn ring(&self) {
        if self.armed.take() {
            self.wakes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send(&self) {
        self.publish();
        self.ring();
    }

    fn send_too_late(&self) {
        self.ring();
        self.publish();
    }

    /// Takes what there is, and falls asleep unless there is more at the second look.
    fn receive(&self) -> Asleep {
        let seen = self.published();
        self.armed.arm();
        if self.published() == seen {
            return Some(seen);
        }
        self.armed.disarm();
        None
    }

    fn receive_without_a_second_look(&self) -> Asleep {
        let seen = self.published();
        self.armed.arm();
        Some(seen)
    }
}

/// Tries all orders of `senders` threads that send one item each, and the receiver.
fn play<F: Flag + Send + Sync + 'static>(
    flag: fn(AtomicBool) -> F,
    senders: usize,
    send: fn(&Mailbox<F>),
    receive: fn(&Mailbox<F>) -> Asleep,
) {
    let mut model = loom::model::Builder::new();
    // How often a thread is interrupted where it need not be: more finds nothing new in so few steps.
    model.preemption_bound = Some(3);
    model.check(move || {
        let mailbox = Arc::new(Mailbox {
            items: AtomicUsize::new(0),
            armed: Armed(flag(AtomicBool::new(false))),
            wakes: AtomicUsize::new(0),
        });
        let spawn = |_| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || send(&mailbox))
        };
        let threads: Vec<_> = (0..senders).map(spawn).collect();
        let asleep = receive(&mailbox);
        for thread in threads {
            thread.join().unwrap();
        }
        let wakes = mailbox.wakes.load(Ordering::Relaxed);
        assert!(asleep.is_none_or(|seen| seen == senders || wakes > 0), "a wake was lost");
        assert!(wakes <= 1, "it was woken twice");
    });
}

#[test]
fn no_wake_is_lost_and_none_sent_twice_whatever_the_order() {
    for senders in [1, 2] {
        play(Fenced, senders, Mailbox::send, Mailbox::receive);
    }
}

#[test]
fn protocols_that_lose_a_wake_are_found_out() {
    let broken: [(&str, fn()); 3] = [
        ("no fences", || play(Unfenced, 1, Mailbox::send, Mailbox::receive)),
        ("rung before it is published", || play(Fenced, 1, Mailbox::send_too_late, Mailbox::receive)),
        ("no second look", || play(Fenced, 1, Mailbox::send, Mailbox::receive_without_a_second_look)),
    ];
    for (name, play) in broken {
        let outcome = catch_unwind(play).expect_err(name);
        assert_eq!(outcome.downcast_ref::<&str>(), Some(&"a wake was lost"), "{name}");
    }
}
