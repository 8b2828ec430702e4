//! Counters of workers, helper and process, read by snapshot.
