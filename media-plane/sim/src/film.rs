//! A film of real VP8 with three temporal layers, encoded by ffmpeg, that can be joined at any of many key frames.
//!
//! ffmpeg takes no orders while it encodes. So the same film is encoded once per phase, which is where its key frames
//! lie, and who is asked for a key frame goes on with the encoding that has one next.

pub mod ffmpeg;
pub mod figures;
pub mod ivf;
pub mod payload;
pub mod playback;
pub mod screening;

use std::sync::OnceLock;

/// Frames, after which it begins anew: 8 s at 30 fps.
pub const LENGTH: u32 = 240;
/// Frames between the key frames of an encoding: so rare that what is lost is missed.
pub const KEY_FRAME_INTERVAL: u32 = 120;
/// Key frames lie where the pattern of temporal layers begins.
pub const PATTERN: [Place; 4] = [
    Place { temporal: 0, sync: false, needs: &[0] },
    Place { temporal: 2, sync: true, needs: &[0] },
    Place { temporal: 1, sync: true, needs: &[0] },
    Place { temporal: 2, sync: false, needs: &[0, 1] },
];
pub const PHASES: usize = KEY_FRAME_INTERVAL as usize / PATTERN.len();

/// A picture's place in the pattern of temporal layers.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub temporal: u8,
    /// It refers to layer 0 only.
    pub sync: bool,
    /// The layers to whose newest pictures it refers.
    pub needs: &'static [u8],
}

/// A picture in one of the encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    pub phase: usize,
    pub frame: u32,
}

/// What is asked for is encoded and decoded once.
#[derive(Debug, Default)]
pub struct Film {
    encodings: [Encoding; PHASES],
}

#[derive(Debug, Default)]
struct Encoding {
    frames: OnceLock<Vec<Vec<u8>>>,
    digests: OnceLock<Vec<String>>,
}

impl Film {
    /// # Panics
    /// If ffmpeg is missing or fails.
    #[must_use]
    pub fn picture(&self, take: Take) -> &[u8] {
        &self.frames(take.phase)[take.frame as usize]
    }

    /// What a decoder shows that misses nothing, as a digest.
    ///
    /// # Panics
    /// As [`Self::picture`].
    #[must_use]
    pub fn digest(&self, take: Take) -> &str {
        let digests = self.encodings[take.phase].digests.get_or_init(|| {
            let all = ffmpeg::digests(self.frames(take.phase)).expect("what was encoded can be decoded");
            assert_eq!(all.len(), LENGTH as usize, "every frame of phase {} is shown", take.phase);
            all
        });
        &digests[take.frame as usize]
    }

    /// All pictures of one encoding.
    ///
    /// # Panics
    /// As [`Self::picture`].
    #[must_use]
    pub fn frames(&self, phase: usize) -> &[Vec<u8>] {
        self.encodings[phase].frames.get_or_init(|| {
            let frames = ffmpeg::encode(phase).expect("the film is encoded");
            assert_eq!(frames.len(), LENGTH as usize, "phase {phase} has all frames");
            frames
        })
    }
}

/// Where an encoding may have a key frame.
#[must_use]
pub fn begins_pattern(frame: u32) -> bool {
    (frame as usize).is_multiple_of(PATTERN.len())
}

/// The encoding that has a key frame where the pattern begins that this frame is in.
#[must_use]
pub fn phase_at(frame: u32) -> usize {
    (frame % KEY_FRAME_INTERVAL) as usize / PATTERN.len()
}

#[must_use]
pub fn is_key_frame(take: Take) -> bool {
    begins_pattern(take.frame) && phase_at(take.frame) == take.phase
}

#[must_use]
pub fn place(frame: u32) -> Place {
    PATTERN[frame as usize % PATTERN.len()]
}
