//! Every fuzz target: the name of the binary chooses the body.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| BODY(data));

const BODY: fn(&[u8]) = body(env!("CARGO_BIN_NAME").as_bytes());

const fn body(name: &[u8]) -> fn(&[u8]) {
    match name {
        b"demultiplex" => wire::fuzz::demultiplex,
        b"rtp_packet" => wire::fuzz::rtp_packet,
        b"retransmission" => wire::fuzz::retransmission,
        b"rtcp_compound" => wire::fuzz::rtcp_compound,
        b"stun_message" => wire::fuzz::stun_message,
        b"vp8_descriptor" => wire::fuzz::vp8_descriptor,
        b"vp9_descriptor" => wire::fuzz::vp9_descriptor,
        b"key_frames" => wire::fuzz::key_frames,
        b"dependency_descriptor" => wire::fuzz::dependency_descriptor,
        b"redundant_audio" => wire::fuzz::redundant_audio,
        b"header_extensions" => wire::fuzz::header_extensions,
        b"packet_trailer" => wire::fuzz::packet_trailer,
        b"unauthenticated_packet" => srtp::fuzz::unauthenticated_packet,
        b"forwarder_model" => reference::fuzz::forwarder_model,
        _ => panic!("a target in Cargo.toml without a body"),
    }
}
