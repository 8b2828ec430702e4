//! A descriptor with another frame number and other active decode targets; everything else stays bit for bit.

use super::bits::{BitWriter, Bits};
use super::structure::Structure;
use super::{Flags, MANDATORY_LEN};

/// What an element of a header extension holds at most (RFC 8285 §4.3).
pub const LEN_MAX: usize = 255;

/// Which decode targets can be decoded from what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveDecodeTargets {
    /// One bit per decode target.
    pub bitmask: u32,
    /// How many decode targets the structure has.
    pub count: u8,
}

/// Writes `data`, which is a descriptor, to the front of `out`; `active` takes the place of what it says of decode
/// targets, or is added, and the descriptor grows.
///
/// `None` if there is no room, or if `data` is cut off.
pub fn rewrite<'a>(
    data: &[u8],
    frame_number: u16,
    active: Option<ActiveDecodeTargets>,
    out: &'a mut [u8; LEN_MAX],
) -> Option<&'a [u8]> {
    let len = match active {
        Some(active) => with_active(data, active, out)?,
        None => {
            out.get_mut(..data.len())?.copy_from_slice(data);
            data.len()
        }
    };
    let out = out.get_mut(..len)?;
    out.get_mut(1..MANDATORY_LEN)?.copy_from_slice(&frame_number.to_be_bytes());
    Some(out)
}

/// All but the frame number; the length.
fn with_active(data: &[u8], active: ActiveDecodeTargets, out: &mut [u8]) -> Option<usize> {
    let (mandatory, extended) = data.split_at_checked(MANDATORY_LEN)?;
    out.get_mut(..MANDATORY_LEN)?.copy_from_slice(mandatory);
    let mut from = Bits::new(extended);
    let flags = if extended.is_empty() { Flags::default() } else { Flags::read(&mut from)? };
    let mut to = BitWriter::new(out.get_mut(MANDATORY_LEN..)?);
    for flag in [flags.structure, true, flags.indications, flags.differences, flags.chains] {
        to.flag(flag)?;
    }
    if flags.structure {
        let mut behind = from.clone();
        Structure::read(&mut behind).ok()?;
        let len = behind.taken().saturating_sub(from.taken());
        to.copy(&mut from, len)?;
    }
    if flags.active_decode_targets {
        from.read(active.count.into())?;
    }
    to.write(active.bitmask, active.count.into())?;
    to.copy_rest(&mut from)?;
    to.len()?.checked_add(MANDATORY_LEN)
}
