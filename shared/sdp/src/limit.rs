//! How much of a description is read before it is refused.

/// Of a whole description, in bytes.
pub const LEN_MAX: usize = 1024 * 1024;
/// A description without many media sections has no reason to be longer.
pub const LEN_BASE_MAX: usize = 256 * 1024;
/// What each media section may add to that; a section of Chromium 156 with every codec is under 5 KiB.
pub const LEN_PER_SECTION_MAX: usize = 16 * 1024;
/// 1,024 subscriptions and 32 publications, with as many again that rest.
pub const SECTIONS_MAX: usize = 2_200;

pub const BUNDLES_MAX: usize = 16;
pub const CODECS_MAX: usize = 128; // the payload types there are
pub const FEEDBACK_MAX: usize = 32; // kinds of feedback of one codec
pub const PARAMETERS_LEN_MAX: usize = 1_024; // of one `a=fmtp`
pub const EXTENSIONS_MAX: usize = 64;
pub const SOURCE_ATTRIBUTES_MAX: usize = 64; // `a=ssrc` lines
pub const SOURCE_GROUPS_MAX: usize = 32;
pub const RIDS_MAX: usize = 8;
pub const MSIDS_MAX: usize = 8;
pub const FINGERPRINTS_MAX: usize = 8;
pub const NAME_LEN_MAX: usize = 256; // ufrags, passwords (RFC 8839 §5.4) and msid parts
/// Candidates beyond are counted, not kept. We answer as ICE-lite and use none.
pub const CANDIDATES_MAX: usize = 64;
