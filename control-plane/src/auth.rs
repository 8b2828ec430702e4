//! Access tokens and what they grant.

pub mod grants;
pub mod token;
