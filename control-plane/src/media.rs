//! Media planes: attached by the contract in `proto`, chosen for rooms, started when there is none.

pub mod address;
pub mod busy;
pub mod child;
pub mod event;
pub mod in_flight;
pub mod lineage;
pub mod link;
pub mod placement;
pub mod plane;
pub mod reconcile;
pub mod table;
