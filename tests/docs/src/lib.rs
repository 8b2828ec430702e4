//! Follows the references of the documents: every file and every test that they name must be there.

pub mod compatibility;
pub mod mention;
pub mod repository;
pub mod title;
