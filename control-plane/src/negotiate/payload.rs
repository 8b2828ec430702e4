//! Whether a payload that one client sends can be decoded under a payload type that another client offers.

use sdp::codec::parameter;

use crate::negotiate::codec::{Codec, PublishedCodec};

/// How well a published payload fits an offered one of the same codec: 0 is exact, `None` not at all. `parameters`
/// is the offered `a=fmtp` value.
pub(super) fn fit(published: &PublishedCodec, parameters: &str) -> Option<u8> {
    let ours = published.parameters.as_str();
    let exact = match published.codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma | Codec::Vp8 => true,
        Codec::Red => red_block(ours) == red_block(parameters),
        // RFC 9628 §6: absent means profile 0.
        Codec::Vp9 => same(ours, parameters, "profile-id", "0"),
        Codec::Av1 => same(ours, parameters, "profile", "0"),
        // RFC 7798 §7.1: absent means the main profile, in one stream. Levels are the receiver's limit, not a format.
        Codec::H265 => same(ours, parameters, "profile-id", "1") && same(ours, parameters, "tx-mode", "SRST"),
        Codec::H264 => return h264_fit(ours, parameters),
    };
    exact.then_some(0)
}

/// The payload type of the blocks within RED (RFC 2198 §5): it is inside of each packet, so it cannot be mapped.
pub(super) fn red_block(parameters: &str) -> Option<u8> {
    parameters.split('/').next()?.trim().parse().ok()
}

fn same(ours: &str, theirs: &str, name: &str, default: &str) -> bool {
    let ours = parameter(ours, name).unwrap_or(default);
    ours.eq_ignore_ascii_case(parameter(theirs, name).unwrap_or(default))
}

/// A receiver of packetization mode 1 takes mode 0 as well (RFC 6184 §6.3), and decoders of a larger profile take
/// what is within it.
fn h264_fit(ours: &str, theirs: &str) -> Option<u8> {
    let mode_penalty = match (packetization_mode(ours), packetization_mode(theirs)) {
        (0, 0) | (1, 1) => 0,
        (0, 1) => 8,
        _ => return None,
    };
    let larger: &[Profile] = match profile(ours)? {
        Profile::ConstrainedBaseline => &[
            Profile::ConstrainedBaseline,
            Profile::Baseline,
            Profile::Main,
            Profile::ConstrainedHigh,
            Profile::High,
        ],
        // Nobody encodes what only this profile has (flexible macroblock order): browsers that say Baseline
        // send what a constrained decoder takes.
        Profile::Baseline => &[
            Profile::Baseline,
            Profile::ConstrainedBaseline,
            Profile::Main,
            Profile::ConstrainedHigh,
            Profile::High,
        ],
        Profile::Main => &[Profile::Main, Profile::High],
        Profile::ConstrainedHigh => &[Profile::ConstrainedHigh, Profile::High],
        Profile::High => &[Profile::High],
    };
    let theirs = profile(theirs)?;
    let position = larger.iter().position(|larger| *larger == theirs)?;
    u8::try_from(position).ok().map(|position| position + mode_penalty)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    ConstrainedHigh,
    High,
}

/// RFC 6184 §8.1, table 5.
fn profile(parameters: &str) -> Option<Profile> {
    const BASELINE: &str = "420010"; // RFC 6184 §8.1: what an absent profile-level-id means
    let level_id =
        u32::from_str_radix(parameter(parameters, "profile-level-id").unwrap_or(BASELINE), 16).ok()?;
    let constraints = (level_id >> 8) & 0xff;
    match (level_id >> 16, constraints) {
        (0x42, bits) if bits & 0x4f == 0x40 => Some(Profile::ConstrainedBaseline),
        (0x4d, bits) if bits & 0x8f == 0x80 => Some(Profile::ConstrainedBaseline),
        (0x58, bits) if bits & 0xcf == 0xc0 => Some(Profile::ConstrainedBaseline),
        (0x42, bits) if bits & 0x4f == 0x00 => Some(Profile::Baseline),
        (0x58, bits) if bits & 0xcf == 0x80 => Some(Profile::Baseline),
        (0x4d, bits) if bits & 0xaf == 0x00 => Some(Profile::Main),
        (0x64, 0x00) => Some(Profile::High),
        (0x64, 0x0c) => Some(Profile::ConstrainedHigh),
        _ => None,
    }
}

/// RFC 6184 §8.1: absent means 0.
fn packetization_mode(parameters: &str) -> u8 {
    parameter(parameters, "packetization-mode").and_then(|mode| mode.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(codec: Codec, parameters: &str) -> PublishedCodec {
        PublishedCodec {
            codec,
            payload_type: 96,
            rtx_payload_type: None,
            clock_rate: 90_000,
            channels: None,
            parameters: parameters.to_owned(),
        }
    }

    #[test]
    fn profiles_of_h264_are_told_from_their_ids() {
        for (id, expected) in [
            ("42e01f", Some(Profile::ConstrainedBaseline)),
            ("42c02a", Some(Profile::ConstrainedBaseline)),
            ("4d801f", Some(Profile::ConstrainedBaseline)),
            ("58f01f", Some(Profile::ConstrainedBaseline)),
            ("58c01f", Some(Profile::ConstrainedBaseline)),
            ("42001f", Some(Profile::Baseline)),
            ("42800a", Some(Profile::Baseline)),
            ("58801f", Some(Profile::Baseline)),
            ("4d001f", Some(Profile::Main)),
            ("4d401f", Some(Profile::Main)),
            ("64001f", Some(Profile::High)),
            ("640c1f", Some(Profile::ConstrainedHigh)),
            ("f4001f", None),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(profile(&format!("profile-level-id={id}")), expected, "{id}");
        }
        assert_eq!(profile("packetization-mode=1"), Some(Profile::Baseline), "absent");
    }

    #[test]
    fn h264_fits_larger_profiles_and_modes_but_not_smaller_ones() {
        for (ours, theirs, fits) in [
            ("42e01f", "42e034", Some(0)),
            ("42e01f", "42001f", Some(1)),
            ("42001f", "42e01f", Some(1)),
            ("42e01f", "4d001f", Some(2)),
            ("42e01f", "64001f", Some(4)),
            ("4d001f", "42e01f", None),
            ("4d001f", "64001f", Some(1)),
            ("640c1f", "64001f", Some(1)),
            ("64001f", "640c1f", None),
            ("f4001f", "f4001f", None),
        ] {
            for (our_mode, their_mode, penalty) in
                [(0, 0, Some(0)), (1, 1, Some(0)), (0, 1, Some(8)), (1, 0, None)]
            {
                let parameters =
                    |mode: u8, id: &str| format!("packetization-mode={mode};profile-level-id={id}");
                let ours = published(Codec::H264, &parameters(our_mode, ours));
                let expected = fits.zip(penalty).map(|(fits, penalty): (u8, u8)| fits + penalty);
                assert_eq!(fit(&ours, &parameters(their_mode, theirs)), expected, "{ours:?} {theirs}");
            }
        }
    }

    #[test]
    fn other_codecs_fit_by_profile() {
        for (codec, ours, theirs, fits) in [
            (Codec::Vp8, "max-fs=12288", "", true),
            (Codec::Vp9, "", "profile-id=0", true),
            (Codec::Vp9, "profile-id=2", "profile-id=2", true),
            (Codec::Vp9, "profile-id=2", "", false),
            (Codec::Av1, "level-idx=5;profile=0;tier=0", "", true),
            (Codec::Av1, "profile=1", "profile=0", false),
            (Codec::H265, "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST", "", true),
            (Codec::H265, "profile-id=2", "profile-id=1", false),
            (Codec::H265, "tx-mode=MRST", "", false),
            (Codec::Opus, "stereo=1", "minptime=10", true),
            (Codec::Red, "111/111", "111/111", true),
            (Codec::Red, "111/111", "109/109", false),
        ] {
            assert_eq!(fit(&published(codec, ours), theirs), fits.then_some(0), "{codec:?} {ours} {theirs}");
        }
    }
}
