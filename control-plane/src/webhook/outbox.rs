//! The outbox: takes notices from rooms without holding them up, writes them down, and hands them to the couriers.
//!
//! A thread of its own writes, for disks may be slow. Everything that came while it wrote goes with its next write.

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use livekit_protocol::WebhookEvent;
use prost::Message;
use rand::Rng;
use rand::distr::Alphanumeric;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::auth::token::Keys;
use crate::config::live::Live;
use crate::room::clock::Time;
use crate::room::notice::{Kept, Listener, Notice};
use crate::webhook::counters::Counters;
use crate::webhook::courier::{Courier, Filed};
use crate::webhook::event;
use crate::webhook::line::Waiting;
use crate::webhook::store::{self, Record, Store};

/// Cheap to have: nothing is started before there is a URL.
#[derive(Debug)]
pub struct Outbox {
    office: Arc<Office>,
    inbox: OnceLock<SyncSender<Letter>>,
}

/// What everybody here works with.
#[derive(Debug)]
pub struct Office {
    pub config: Live,
    pub keys: Arc<Keys>,
    pub counters: Counters,
    /// Events that never came to be written: the next one tells of them.
    overflowed: AtomicI32,
    /// Of events that are not written yet.
    unwritten_bytes: AtomicUsize,
}

#[derive(Debug)]
enum Letter {
    Events {
        events: Vec<(Time, WebhookEvent)>,
        len: usize,
        kept: oneshot::Sender<()>,
    },
    /// Answered when all before it is on disk for good.
    Flush(oneshot::Sender<()>),
}

impl Outbox {
    #[must_use]
    pub fn new(config: Live, keys: Arc<Keys>, node_id: &str) -> Self {
        let counters = Counters::new(node_id);
        let office = Office {
            config,
            keys,
            counters,
            overflowed: AtomicI32::new(0),
            unwritten_bytes: AtomicUsize::new(0),
        };
        Self { office: Arc::new(office), inbox: OnceLock::new() }
    }

    /// Delivers what a predecessor left. Within a runtime.
    pub fn open(&self) {
        if !self.office.config.now().webhook.urls.is_empty() {
            self.inbox();
        }
    }

    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.office.counters
    }

    /// Before the end: everything that was heard is on disk, or delivered if there is none. Not for longer than that.
    pub async fn flush(&self, patience: Duration) {
        let Some(inbox) = self.inbox.get() else { return };
        let _ = tokio::time::timeout(patience, async {
            let (flushed, done) = oneshot::channel();
            if inbox.try_send(Letter::Flush(flushed)).is_ok() {
                let _ = done.await;
            }
            let counters = &self.office.counters;
            while counters.durable.get() == 0 && counters.waiting.get() > 0 {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        })
        .await;
    }

    fn inbox(&self) -> &SyncSender<Letter> {
        self.inbox.get_or_init(|| {
            let (sender, letters) = sync_channel(LETTERS_MAX);
            let (office, runtime) = (Arc::clone(&self.office), Handle::current());
            let clerk = move || Clerk::new(office, runtime).work(&letters);
            if let Err(error) = thread::Builder::new().name("webhooks".into()).spawn(clerk) {
                tracing::error!("webhooks: no thread for them: {error}");
            }
            sender
        })
    }
}

impl Listener for Outbox {
    fn hear(&self, notices: &[Notice]) -> Option<Kept> {
        let config = self.office.config.now();
        if config.webhook.urls.is_empty() {
            return None;
        }
        let filter = &config.webhook.filter_params;
        let wanted = notices.iter().filter(|notice| filter.lets(event::name(&notice.happened)));
        let events: Vec<_> = wanted.map(|notice| (notice.at, event::event(notice, event_id()))).collect();
        if events.is_empty() {
            return None;
        }
        let (kept, wait) = oneshot::channel();
        let count = i32::try_from(events.len()).unwrap_or(i32::MAX);
        let len = events.iter().map(|(_, event)| event.encoded_len()).sum();
        let unwritten = &self.office.unwritten_bytes;
        let fits = unwritten.fetch_add(len, Ordering::Relaxed) <= UNWRITTEN_BYTES_MAX;
        if !fits || self.inbox().try_send(Letter::Events { events, len, kept }).is_err() {
            unwritten.fetch_sub(len, Ordering::Relaxed);
            (0..count).for_each(|_| self.office.counters.overflowed());
            self.office.overflowed.fetch_add(count, Ordering::Relaxed);
            return None;
        }
        Some(wait)
    }
}

/// Writes, on its own thread.
struct Clerk {
    office: Arc<Office>,
    runtime: Handle,
    store: Arc<Store>,
    couriers: HashMap<String, mpsc::Sender<Filed>>,
    last_number: u64,
    unsynced_since: Option<Instant>,
}

impl Clerk {
    fn new(office: Arc<Office>, runtime: Handle) -> Self {
        let directory =
            office.config.now().webhook.outbox_dir.clone().unwrap_or_else(store::default_directory);
        let store = Arc::new(open(&directory));
        office.counters.durable.set(store.is_durable().into());
        let mut clerk =
            Self { office, runtime, store, couriers: HashMap::new(), last_number: 0, unsynced_since: None };
        clerk.take_over();
        clerk
    }

    /// What a predecessor left.
    fn take_over(&mut self) {
        let mut left = Vec::new();
        let scanned = self.store.scan(|number, record, len| {
            let room = room(record.event.as_ref());
            left.push((
                record.url,
                Filed { room, waiting: waiting(number, len, Time(record.at)), dropped: 0 },
            ));
        });
        if let Err(error) = scanned {
            tracing::error!("webhooks: the outbox cannot be read: {error}");
        }
        if !left.is_empty() {
            tracing::info!(events = left.len(), "webhooks: events of a former run go out now");
        }
        for (url, filed) in left {
            self.last_number = self.last_number.max(filed.waiting.number);
            self.hand_over(&url, filed);
        }
    }

    fn work(&mut self, letters: &Receiver<Letter>) {
        loop {
            let wait = self.unsynced_since.map(|since| SYNC_INTERVAL.saturating_sub(since.elapsed()));
            let first = match letters.recv_timeout(wait.unwrap_or(IDLE)) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.sync();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return self.sync(),
            };
            let others: Vec<Letter> = letters.try_iter().take(LETTERS_AT_A_TIME_MAX).collect();
            self.file(std::iter::once(first).chain(others));
            if self.unsynced_since.is_some_and(|since| since.elapsed() >= SYNC_INTERVAL) {
                self.sync();
            }
        }
    }

    /// One write for all of them.
    fn file(&mut self, letters: impl Iterator<Item = Letter>) {
        let urls = self.office.config.now().webhook.urls.clone();
        let (mut records, mut filed, mut waits, mut flushes) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for letter in letters {
            match letter {
                Letter::Events { events, len, kept } => {
                    self.office.unwritten_bytes.fetch_sub(len, Ordering::Relaxed);
                    waits.push(kept);
                    for (at, event) in events {
                        let dropped = self.office.overflowed.swap(0, Ordering::Relaxed);
                        for url in &urls {
                            self.last_number += 1;
                            let record = Record { url: url.clone(), event: Some(event.clone()), at: at.0 };
                            let waiting = waiting(self.last_number, record.encoded_len(), at);
                            filed.push((url, Filed { room: room(Some(&event)), waiting, dropped }));
                            records.push((self.last_number, record));
                        }
                    }
                }
                Letter::Flush(done) => flushes.push(done),
            }
        }
        self.write(records);
        // Whoever waits for it may speak now.
        drop(waits);
        for (url, filed) in filed {
            self.hand_over(url, filed);
        }
        if !flushes.is_empty() {
            self.sync();
        }
    }

    fn write(&mut self, records: Vec<(u64, Record)>) {
        if records.is_empty() {
            return;
        }
        if let Err(error) = self.store.put(&records) {
            tracing::error!(
                "webhooks: the outbox cannot be written, so events are in memory from here on, and a restart loses \
                 those that are not delivered: {error}"
            );
            // What is on disk already stays there for the couriers that have it; they end when they are through.
            self.store = Arc::new(Store::memory());
            self.couriers.clear();
            self.office.counters.durable.set(0);
            let _ = self.store.put(&records);
        }
        self.unsynced_since.get_or_insert_with(Instant::now);
    }

    fn sync(&mut self) {
        if self.unsynced_since.take().is_some()
            && let Err(error) = self.store.sync()
        {
            tracing::warn!("webhooks: the outbox cannot be synchronised with the disk: {error}");
        }
    }

    fn hand_over(&mut self, url: &str, filed: Filed) {
        self.office.counters.waiting.inc();
        let filed = match self.couriers.get(url).map(|courier| courier.blocking_send(filed.clone())) {
            Some(Ok(())) => return,
            // A courier whose URL was taken away and came back.
            Some(Err(returned)) => returned.0,
            None => filed,
        };
        let (sender, mailbox) = mpsc::channel(LETTERS_MAX);
        let courier = Courier::new(Arc::clone(&self.office), Arc::clone(&self.store), url.to_owned());
        self.runtime.spawn(courier.work(mailbox));
        let _ = sender.blocking_send(filed);
        self.couriers.insert(url.to_owned(), sender);
    }
}

fn open(directory: &Path) -> Store {
    // Addresses of receivers may be secrets, and events tell who is where.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(fjall::Error::from);
    match made.and_then(|()| Store::open(directory)) {
        Ok(store) => {
            tracing::info!(directory = %directory.display(), "webhooks: undelivered events are kept on disk");
            store
        }
        Err(error) => {
            tracing::warn!(
                directory = %directory.display(),
                "webhooks: undelivered events are in memory only, and lost with this process: {error} \
                 (webhook.outbox_dir names a directory for them)"
            );
            Store::memory()
        }
    }
}

fn waiting(number: u64, len: usize, at: Time) -> Waiting {
    Waiting { number, len: u64::try_from(len).unwrap_or(u64::MAX), at }
}

fn room(event: Option<&WebhookEvent>) -> String {
    event.and_then(|event| event.room.as_ref()).map(|room| room.name.clone()).unwrap_or_default()
}

fn event_id() -> String {
    let random = rand::rng().sample_iter(Alphanumeric).take(EVENT_ID_LEN);
    format!("EV_{}", random.map(char::from).collect::<String>())
}

const EVENT_ID_LEN: usize = 12;
/// Steps of rooms that wait to be written; and events that wait for one courier to look at them.
const LETTERS_MAX: usize = 8_192;
const LETTERS_AT_A_TIME_MAX: usize = 1_024;
/// What a disk that hangs may cost of memory.
const UNWRITTEN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most that a loss of power loses.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(3_600);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
