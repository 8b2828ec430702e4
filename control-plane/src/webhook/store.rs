//! Where undelivered events are kept: on disk, so that they survive this process; in memory, if there is no disk.
//!
//! What `put` has written is with the operating system: the end of this process, in whatever way, does not lose it. A
//! loss of power may lose what `sync` has not seen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use livekit_protocol::WebhookEvent;
use prost::Message;

/// An event for one URL.
#[derive(Clone, PartialEq, Message)]
pub struct Record {
    #[prost(string, tag = "1")]
    pub url: String,
    #[prost(message, optional, tag = "2")]
    pub event: Option<WebhookEvent>,
    /// Microseconds since 1970.
    #[prost(uint64, tag = "3")]
    pub at: u64,
}

/// By number, ascending.
#[derive(Debug)]
pub enum Store {
    Disk(Disk),
    Memory(Mutex<BTreeMap<u64, Record>>),
}

pub struct Disk {
    database: Database,
    events: Keyspace,
}

impl Store {
    #[must_use]
    pub fn memory() -> Self {
        Self::Memory(Mutex::default())
    }

    /// # Errors
    /// When the directory cannot be written, or somebody else has it open.
    pub fn open(directory: &Path) -> Result<Self, fjall::Error> {
        let database = Database::builder(directory)
            .worker_threads(1)
            .cache_size(CACHE_SIZE)
            .max_journaling_size(JOURNALS_SIZE_MAX)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_SIZE_MAX);
        let events = database.keyspace("events", options)?;
        Ok(Self::Disk(Disk { database, events }))
    }

    #[must_use]
    pub const fn is_durable(&self) -> bool {
        matches!(self, Self::Disk(_))
    }

    /// Everything, in order, with its length. What cannot be read is left out.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn scan(&self, mut each: impl FnMut(u64, Record, usize)) -> Result<(), fjall::Error> {
        match self {
            Self::Disk(disk) => {
                for item in disk.events.iter() {
                    let (key, value) = item.into_inner()?;
                    if let (Ok(key), Ok(record)) = (key.as_ref().try_into(), Record::decode(value.as_ref())) {
                        each(u64::from_be_bytes(key), record, value.len());
                    }
                }
            }
            Self::Memory(events) => {
                for (number, record) in lock(events).iter() {
                    each(*number, record.clone(), record.encoded_len());
                }
            }
        }
        Ok(())
    }

    /// All of them, or none.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn put(&self, records: &[(u64, Record)]) -> Result<(), fjall::Error> {
        match self {
            Self::Disk(disk) => {
                let mut batch = disk.database.batch().durability(Some(PersistMode::Buffer));
                for (number, record) in records {
                    batch.insert(&disk.events, number.to_be_bytes(), record.encode_to_vec());
                }
                batch.commit()
            }
            Self::Memory(events) => {
                lock(events).extend(records.iter().cloned());
                Ok(())
            }
        }
    }

    #[must_use]
    pub fn find(&self, number: u64) -> Option<Record> {
        match self {
            Self::Disk(disk) => {
                let value = disk.events.get(number.to_be_bytes()).ok()??;
                Record::decode(value.as_ref()).ok()
            }
            Self::Memory(events) => lock(events).get(&number).cloned(),
        }
    }

    /// What is not removed for want of a disk is delivered again after a restart.
    pub fn remove(&self, numbers: &[u64]) {
        match self {
            Self::Disk(disk) => {
                let mut batch = disk.database.batch().durability(Some(PersistMode::Buffer));
                numbers.iter().for_each(|number| batch.remove(&disk.events, number.to_be_bytes()));
                if let Err(error) = batch.commit() {
                    tracing::warn!("webhooks: delivered events cannot be removed from the outbox: {error}");
                }
            }
            Self::Memory(events) => {
                let mut events = lock(events);
                numbers.iter().for_each(|number| {
                    events.remove(number);
                });
            }
        }
    }

    /// # Errors
    /// When the disk fails.
    pub fn sync(&self) -> Result<(), fjall::Error> {
        match self {
            Self::Disk(disk) => disk.database.persist(PersistMode::SyncData),
            Self::Memory(_) => Ok(()),
        }
    }
}

/// Where events are kept if nobody says: what the service manager gives this service, or what it usually gives.
#[must_use]
pub fn default_directory() -> PathBuf {
    let given = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    given.unwrap_or_else(|| PathBuf::from("/var/lib/millrace")).join("webhooks")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Disk")
    }
}

/// Events are read once, soon after they were written.
const CACHE_SIZE: u64 = 1024 * 1024;
const MEMTABLE_SIZE_MAX: u64 = 8 * 1024 * 1024;
/// The least that the library takes.
const JOURNALS_SIZE_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::fixture::copy;

    fn record(id: &str) -> Record {
        let event = WebhookEvent { id: id.into(), ..WebhookEvent::default() };
        Record { url: "http://a".into(), event: Some(event), at: 7 }
    }

    fn numbers(store: &Store) -> Vec<u64> {
        let mut numbers = Vec::new();
        store.scan(|number, _, _| numbers.push(number)).unwrap();
        numbers
    }

    #[test]
    fn what_is_put_is_found_until_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        for store in [Store::memory(), Store::open(directory.path()).unwrap()] {
            store.put(&[(300, record("c")), (1, record("a")), (2, record("b"))]).unwrap();
            assert_eq!(numbers(&store), [1, 2, 300]);
            assert_eq!(store.find(2), Some(record("b")));
            store.remove(&[1, 2]);
            assert_eq!((numbers(&store), store.find(2)), (vec![300], None));
            store.sync().unwrap();
        }
    }

    #[test]
    fn what_is_put_is_there_for_who_comes_after_a_kill() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.put(&[(1, record("a")), (2, record("b"))]).unwrap();
        store.remove(&[1]);
        // As it is when the process is killed here: nothing is flushed or closed.
        let killed = tempfile::tempdir().unwrap();
        copy(directory.path(), killed.path());
        let successor = Store::open(killed.path()).unwrap();
        assert_eq!((numbers(&successor), successor.find(2)), (vec![2], Some(record("b"))));
    }

    #[test]
    fn a_directory_that_is_in_use_or_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let _first = Store::open(directory.path()).unwrap();
        assert!(Store::open(directory.path()).is_err(), "in use");
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Store::open(&file).is_err(), "a file");
    }
}
