//! Session descriptions as types.
