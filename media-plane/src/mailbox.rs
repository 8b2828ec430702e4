//! Bounded rings between threads, with a doorbell that is rung only when the other side sleeps.
//!
//! A sender pushes what it has, then rings once. A receiver that found its rings empty arms its bell, looks at the
//! rings once more, and only then sleeps: either the sender sees the bell armed, or the receiver sees the item.

pub mod helper;
pub mod lane;

use std::sync::Arc;

use driver::armed::Armed;
use driver::doorbell::Doorbell;
use tokio::sync::Notify;

/// What wakes the receiving side. A worker has a [`Doorbell`], a task has a [`TaskBell`].
pub trait Bell {
    fn ring(&self);
}

impl Bell for Doorbell {
    fn ring(&self) {
        Self::ring(self);
    }
}

/// The bell of a task: the same protocol as the worker's [`Doorbell`], without a file descriptor.
#[derive(Clone, Debug, Default)]
pub struct TaskBell(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    armed: Armed,
    notify: Notify,
}

impl TaskBell {
    /// The task is about to sleep; it must look at its rings once more before it awaits [`Self::rung`].
    pub fn arm(&self) {
        self.0.armed.arm();
    }

    /// The task is awake.
    pub fn disarm(&self) {
        self.0.armed.disarm();
    }

    /// Resolves when the bell was rung since it was armed; now and then once more, for nothing.
    pub async fn rung(&self) {
        self.0.notify.notified().await;
    }
}

impl Bell for TaskBell {
    fn ring(&self) {
        if self.0.armed.take() {
            self.0.notify.notify_one();
        }
    }
}

/// A ring for one sender and one receiver.
#[must_use]
pub fn ring<T, B: Bell>(capacity: usize, bell: B) -> (Sender<T, B>, Receiver<T>) {
    let (producer, consumer) = rtrb::RingBuffer::new(capacity);
    (Sender { producer, bell, pushed: false }, Receiver { consumer })
}

#[derive(Debug)]
pub struct Sender<T, B> {
    producer: rtrb::Producer<T>,
    bell: B,
    /// Something was pushed since the bell was rung last.
    pushed: bool,
}

impl<T, B: Bell> Sender<T, B> {
    /// Never waits. The receiver learns of it with the next [`Self::ring`].
    ///
    /// # Errors
    /// Gives the item back if the ring is full.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        self.producer.push(item).map_err(|rtrb::PushError::Full(item)| item)?;
        self.pushed = true;
        Ok(())
    }

    /// Tells the receiver about what was pushed, if there is anything.
    pub fn ring(&mut self) {
        if std::mem::take(&mut self.pushed) {
            self.bell.ring();
        }
    }

    /// What wakes the receiver.
    pub const fn bell(&self) -> &B {
        &self.bell
    }

    /// How many items fit now, at least.
    #[must_use]
    pub fn space(&self) -> usize {
        self.producer.slots()
    }
}

#[derive(Debug)]
pub struct Receiver<T> {
    consumer: rtrb::Consumer<T>,
}

impl<T> Receiver<T> {
    pub fn pop(&mut self) -> Option<T> {
        self.consumer.pop().ok()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.consumer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use driver::clock::Clock;
    use driver::driver::{Driver, Io, Options, each};
    use driver::gso::Gso;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ring_is_a_queue_with_a_bound(capacity in 1_usize..9, steps in prop::collection::vec(any::<bool>(), 0..200)) {
            let (mut sender, mut receiver) = ring(capacity, TaskBell::default());
            let mut model = VecDeque::new();
            for (number, push) in steps.into_iter().enumerate() {
                if push {
                    let outcome = sender.push(number);
                    prop_assert_eq!(outcome.is_err(), model.len() == capacity);
                    if outcome.is_ok() {
                        model.push_back(number);
                    }
                } else {
                    prop_assert_eq!(receiver.pop(), model.pop_front());
                }
                prop_assert_eq!(receiver.is_empty(), model.is_empty());
                prop_assert_eq!(sender.space(), capacity - model.len());
            }
        }
    }

    /// Sends `ITEMS` numbers with pauses, so that the receiver sleeps often and wakes are raced.
    fn send_all(mut sender: Sender<u64, impl Bell>) {
        for number in 0..ITEMS {
            let mut item = number;
            while let Err(back) = sender.push(item) {
                sender.ring();
                std::thread::yield_now();
                item = back;
            }
            if number % 7 == 0 {
                sender.ring();
            }
            if number % 1_000 == 0 {
                std::thread::sleep(Duration::from_micros(number % 90));
            }
        }
        sender.ring();
    }

    const ITEMS: u64 = 100_000;

    #[test]
    fn no_wake_of_a_task_is_lost() {
        let bell = TaskBell::default();
        let (sender, mut receiver) = ring(64, bell.clone());
        let thread = std::thread::spawn(move || send_all(sender));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut expected = 0;
            while expected < ITEMS {
                while let Some(number) = receiver.pop() {
                    assert_eq!(number, expected);
                    expected += 1;
                }
                bell.arm();
                if receiver.is_empty() && expected < ITEMS {
                    tokio::time::timeout(Duration::from_secs(5), bell.rung()).await.expect("a wake was lost");
                }
                bell.disarm();
            }
        });
        thread.join().unwrap();
    }

    #[test]
    fn no_wake_of_a_worker_is_lost() {
        let bell = Doorbell::new().unwrap();
        let options = Options {
            io: Io::Epoll,
            gso: Gso::Off,
            address: None,
            port: 0,
            shares_port: false,
            flush_delay: Duration::ZERO,
            send_slots: 1,
        };
        let mut driver = Driver::open(&options, &bell, Clock::start()).unwrap();
        let (sender, mut receiver) = ring(64, bell.clone());
        let thread = std::thread::spawn(move || send_all(sender));
        let mut expected = 0;
        while expected < ITEMS {
            while let Some(number) = receiver.pop() {
                assert_eq!(number, expected);
                expected += 1;
            }
            bell.arm();
            if receiver.is_empty() && expected < ITEMS {
                let deadline = driver.now() + Duration::from_secs(5);
                driver.turn(Some(deadline), &mut each(|_, _, _, _| {})).unwrap();
                assert!(driver.now() < deadline, "a wake was lost");
            }
            bell.disarm();
        }
        thread.join().unwrap();
    }

    #[test]
    fn bell_is_rung_once_for_many_items_and_not_for_none() {
        #[derive(Clone, Default)]
        struct Counting(Arc<AtomicU32>);
        impl Bell for Counting {
            fn ring(&self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let bell = Counting::default();
        let (mut sender, _receiver) = ring(8, bell.clone());
        sender.ring();
        assert_eq!(bell.0.load(Ordering::Relaxed), 0);
        sender.push(1).unwrap();
        sender.push(2).unwrap();
        sender.ring();
        sender.ring();
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
    }
}
