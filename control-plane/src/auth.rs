//! Access tokens and what they grant.

pub mod bearer;
pub mod grants;
pub mod revocation;
pub mod token;
