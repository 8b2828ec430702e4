//! The engine as a whole, driven by small clients that speak STUN, SRTP and RTCP with the pure cipher.

mod bare_vp8;
mod blanks;
mod client;
mod extensions;
mod feedback;
mod frame_rate;
mod garbage;
mod layers;
mod media;
mod overload;
mod probe;
mod red;
mod relay;
mod repair;
mod round_trip;
mod shedding;
mod silent_layer;
mod specs;
mod stream_state;
mod transport;
mod wake;

pub(crate) use layers::dependency_structure;
pub(crate) use specs::{AUDIO_PT, VIDEO_PT, audio_spec, peer_spec, simulcast_spec, video_spec};
