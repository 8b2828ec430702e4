//! What kind of datagram arrived on a port shared by STUN, DTLS, RTP and RTCP (RFC 7983, RFC 5761).

/// The protocol of a datagram, told from its first two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
}

/// Why a datagram belongs to no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Shorter than the fixed header of its class.
    Short,
    /// A first byte of another protocol: ZRTP, a TURN channel, QUIC, or nothing known.
    Foreign,
}

impl Class {
    /// The class of `datagram`, which is at least as long as the fixed header of that class.
    pub const fn of(datagram: &[u8]) -> Result<Self, Refused> {
        let [first, second, ..] = *datagram else { return Err(Refused::Short) };
        // RFC 7983 §7: the ranges of the first byte.
        let class = match first {
            0..=3 => Self::Stun,
            20..=63 => Self::Dtls,
            // RFC 5761 §4: RTCP types 192 to 223 are RTP payload types 64 to 95 with the marker; those are not used.
            128..=191 if matches!(second & 0x7f, 64..=95) => Self::Rtcp,
            128..=191 => Self::Rtp,
            _ => return Err(Refused::Foreign),
        };
        if datagram.len() < class.len_min() { Err(Refused::Short) } else { Ok(class) }
    }

    /// Bytes of the fixed header; without those of a cipher, which the cipher checks.
    const fn len_min(self) -> usize {
        match self {
            Self::Stun => 20,
            Self::Dtls => 13,
            Self::Rtp => 12,
            Self::Rtcp => 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_name_the_class() {
        for (name, first, second, expected) in [
            ("stun binding request", 0, 1, Ok(Class::Stun)),
            ("last of stun", 3, 0, Ok(Class::Stun)),
            ("between stun and zrtp", 4, 0, Err(Refused::Foreign)),
            ("zrtp", 16, 0, Err(Refused::Foreign)),
            ("first of dtls", 20, 254, Ok(Class::Dtls)),
            ("dtls 1.3 unified header", 63, 0, Ok(Class::Dtls)),
            ("turn channel", 64, 0, Err(Refused::Foreign)),
            ("quic", 127, 0, Err(Refused::Foreign)),
            ("rtp", 128, 111, Ok(Class::Rtp)),
            ("rtp with marker", 0x90, 0x80 | 96, Ok(Class::Rtp)),
            ("below rtcp", 128, 63, Ok(Class::Rtp)),
            ("full intra request of old", 128, 192, Ok(Class::Rtcp)),
            ("sender report", 128, 200, Ok(Class::Rtcp)),
            ("last of rtcp", 191, 223, Ok(Class::Rtcp)),
            ("first dynamic payload type", 191, 224, Ok(Class::Rtp)),
            ("version 3", 192, 0, Err(Refused::Foreign)),
        ] {
            let mut datagram = [0; 40];
            datagram[0] = first;
            datagram[1] = second;
            assert_eq!(Class::of(&datagram), expected, "{name}");
        }
    }

    #[test]
    fn shorter_than_a_fixed_header_is_refused() {
        for (name, head, len) in
            [("stun", [0, 1], 20), ("dtls", [22, 254], 13), ("rtp", [128, 96], 12), ("rtcp", [128, 200], 8)]
        {
            let mut datagram = [0; 20];
            datagram[..2].copy_from_slice(&head);
            assert_eq!(Class::of(&datagram[..len - 1]), Err(Refused::Short), "{name}");
            assert!(Class::of(&datagram[..len]).is_ok(), "{name}");
        }
        assert_eq!(Class::of(&[]), Err(Refused::Short));
        assert_eq!(Class::of(&[128]), Err(Refused::Short));
    }
}
