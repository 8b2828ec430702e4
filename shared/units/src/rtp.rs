//! The small numbers and names that RTP identifies streams by (RFC 3550, RFC 8852, RFC 9143).

/// Synchronization source of an RTP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ssrc(pub u32);

/// An RTP payload type, 0 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadType(pub u8);

/// The longest MID or RID that is accepted, in bytes; libwebrtc writes at most 16.
pub const NAME_LEN_MAX: usize = 16;

/// A name of at most [`NAME_LEN_MAX`] bytes, stored in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Name {
    len: u8,
    bytes: [u8; NAME_LEN_MAX],
}

impl Name {
    const fn new(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > NAME_LEN_MAX {
            return None;
        }
        let mut bytes = [0; NAME_LEN_MAX];
        let (head, _) = bytes.split_at_mut(text.len());
        head.copy_from_slice(text);
        #[expect(clippy::cast_possible_truncation, reason = "at most NAME_LEN_MAX")]
        Some(Self { len: text.len() as u8, bytes })
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

macro_rules! name {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(Name);

        impl $name {
            /// `None` if `text` is empty or longer than [`NAME_LEN_MAX`] bytes.
            #[must_use]
            pub const fn new(text: &[u8]) -> Option<Self> {
                match Name::new(text) {
                    Some(name) => Some(Self(name)),
                    None => None,
                }
            }

            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}", self.as_bytes().escape_ascii())
            }
        }
    )+};
}

name! {
    /// Media identification of a media section (RFC 9143).
    Mid,
    /// Restriction identifier of a simulcast encoding (RFC 8852).
    Rid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_kept_up_to_its_limit_and_refused_beyond() {
        assert_eq!(Mid::new(b"0").unwrap().as_bytes(), b"0");
        assert_eq!(Rid::new(&[b'r'; 16]).unwrap().as_bytes(), &[b'r'; 16]);
        assert!(Rid::new(&[b'r'; 17]).is_none());
        assert!(Mid::new(b"").is_none());
    }
}
