//! The contract between the control plane and a media plane, as generated from `millrace/media/v1/media.proto`, and
//! the names of its resources.
#![allow(missing_debug_implementations, reason = "generated clients and servers have none")]
#![allow(clippy::wildcard_imports, clippy::use_self, clippy::or_fun_call, reason = "generated code")]
#![allow(unused_qualifications, unreachable_pub, elided_lifetimes_in_paths, reason = "generated code")]

pub mod key;

pub mod media {
    pub mod v1 {
        tonic::include_proto!("millrace.media.v1");
    }
}
