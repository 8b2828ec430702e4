//! Another beginning for a payload without copying the rest: the new bytes are written over what stands before it, for a moment.

/// Calls `use_payload` with `prefix` and then what stands in `packet` from `at` on; `packet` is afterwards as before.
///
/// `None` if there is no room for the prefix before `at`: it is always shorter than an RTP header and what it replaces.
pub fn with_prefix<R>(
    packet: &mut [u8],
    at: usize,
    prefix: &[u8],
    use_payload: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    let mut saved = [0; PREFIX_LEN_MAX];
    let saved = saved.get_mut(..prefix.len())?;
    let start = at.checked_sub(prefix.len())?;
    let before = packet.get_mut(start..at)?;
    saved.copy_from_slice(before);
    before.copy_from_slice(prefix);
    let result = use_payload(packet.get(start..)?);
    packet.get_mut(start..at)?.copy_from_slice(saved);
    Some(result)
}

/// The original sequence number of a retransmission, and a codec header.
pub const PREFIX_LEN_MAX: usize = wire::rtx::ORIGINAL_SEQUENCE_LEN + forward::rewrite::PATCH_LEN_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_stands_before_the_rest_and_leaves_no_trace() {
        for (name, at, prefix, expected) in [
            ("nothing", 4, &b""[..], Some(&b"efgh"[..])),
            ("replaces as much", 4, b"XY", Some(b"XYefgh")),
            ("all of the front", 4, b"WXYZ", Some(b"WXYZefgh")),
            ("no room", 1, b"XY", None),
            ("too long", 8, b"01234567890", None),
            ("beyond the end", 9, b"XY", None),
        ] {
            let mut packet = *b"abcdefgh";
            let seen = with_prefix(&mut packet, at, prefix, <[u8]>::to_vec);
            assert_eq!(seen.as_deref(), expected, "{name}");
            assert_eq!(&packet, b"abcdefgh", "{name}");
        }
    }
}
