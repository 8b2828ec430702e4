//! Access tokens and what they grant.

pub mod bearer;
pub mod grants;
pub mod token;
