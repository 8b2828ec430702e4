//! The table of resources: what the control plane asked for, with its own bytes and revisions.
