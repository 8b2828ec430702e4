//! STUN Binding as ICE uses it: checks read and verified, answers written (RFC 8489, RFC 8445 §7).

pub mod write;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::cursor::Reader;

/// Which exchange a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction(pub [u8; 12]);

/// What a Binding message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Indication,
    Success,
    Error,
}

/// The sender's part in ICE, with the number by which a conflict of parts is resolved (RFC 8445 §7.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Controlling(u64),
    Controlled(u64),
}

/// Why bytes are no Binding message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Cut off, or the length field disagrees with the datagram.
    Length,
    /// No magic cookie.
    Cookie,
    /// A method other than Binding.
    Method,
    /// An attribute reaches beyond the message, or its content has a wrong length.
    Attribute(u16),
    /// More attributes than are looked at.
    TooMany,
    /// The checksum is wrong.
    Fingerprint,
}

/// Attributes of one message that are looked at; browsers send at most 9.
pub const ATTRIBUTES_MAX: usize = 32;

/// A Binding message whose lengths, and checksum if it has one, were checked; not yet its integrity.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub kind: Kind,
    pub transaction: Transaction,
    /// Of a request: the receiver's ufrag, a colon, the sender's ufrag.
    pub username: Option<&'a [u8]>,
    pub priority: Option<u32>,
    pub role: Option<Role>,
    pub use_candidate: bool,
    /// Of a success: where the request came from.
    pub mapped_address: Option<SocketAddr>,
    /// Of an error.
    pub error_code: Option<u16>,
    pub has_fingerprint: bool,
    /// The first attribute that must be understood and is not; the answer is error 420.
    pub unknown_required: Option<u16>,
    integrity: Option<Integrity<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Integrity<'a> {
    header: &'a [u8; HEADER_LEN],
    /// What stands between the header and the attribute.
    attributes: &'a [u8],
    code: &'a [u8; INTEGRITY_LEN],
}

impl<'a> Message<'a> {
    //  0                   1                   2                   3
    //  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    // +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    // |0 0|     STUN Message Type     |         Message Length        |
    // |                         Magic Cookie                          |
    // |                     Transaction ID (96 bits)                  |
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let (header, body) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Length)?;
        let mut reader = Reader::new(header);
        let message_type = reader.u16().ok_or(Malformed::Length)?;
        let length = reader.u16().ok_or(Malformed::Length)?;
        if usize::from(length) != body.len() || length & 3 != 0 {
            return Err(Malformed::Length);
        }
        if reader.u32() != Some(COOKIE) {
            return Err(Malformed::Cookie);
        }
        let transaction = Transaction(*reader.array().ok_or(Malformed::Length)?);
        let kind = match message_type {
            0x0001 => Kind::Request,
            0x0011 => Kind::Indication,
            0x0101 => Kind::Success,
            0x0111 => Kind::Error,
            _ => return Err(Malformed::Method),
        };
        let mut message = Self {
            kind,
            transaction,
            username: None,
            priority: None,
            role: None,
            use_candidate: false,
            mapped_address: None,
            error_code: None,
            has_fingerprint: false,
            unknown_required: None,
            integrity: None,
        };
        message.parse_attributes(header, body)?;
        Ok(message)
    }

    fn parse_attributes(&mut self, header: &'a [u8; HEADER_LEN], body: &'a [u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(body);
        for _ in 0..ATTRIBUTES_MAX {
            if reader.is_empty() {
                return Ok(());
            }
            let before = body.get(..body.len().saturating_sub(reader.rest().len())).unwrap_or_default();
            let kind = reader.u16().ok_or(Malformed::Length)?;
            let malformed = Malformed::Attribute(kind);
            let len = usize::from(reader.u16().ok_or(malformed)?);
            let value = reader.bytes(len).ok_or(malformed)?;
            reader.bytes(len.wrapping_neg() & 3).ok_or(malformed)?;
            match kind {
                // RFC 8489 §14.7: the last attribute.
                FINGERPRINT => {
                    check_fingerprint(header, before, value)?;
                    self.has_fingerprint = true;
                    return if reader.is_empty() { Ok(()) } else { Err(malformed) };
                }
                // RFC 8489 §14.5: what follows the integrity is not protected by it, so it is ignored.
                _ if self.integrity.is_some() => {}
                MESSAGE_INTEGRITY => {
                    let code = value.try_into().map_err(|_| malformed)?;
                    self.integrity = Some(Integrity { header, attributes: before, code });
                }
                _ => self.parse_attribute(kind, value).ok_or(malformed)?,
            }
        }
        if reader.is_empty() { Ok(()) } else { Err(Malformed::TooMany) }
    }

    /// `None` if the value is malformed. Of a repeated attribute the first counts (RFC 8489 §14).
    fn parse_attribute(&mut self, kind: u16, value: &'a [u8]) -> Option<()> {
        match kind {
            USERNAME if value.len() > USERNAME_LEN_MAX => return None,
            USERNAME => self.username = self.username.or(Some(value)),
            PRIORITY => self.priority = self.priority.or(Some(u32::from_be_bytes(value.try_into().ok()?))),
            USE_CANDIDATE if !value.is_empty() => return None,
            USE_CANDIDATE => self.use_candidate = true,
            ICE_CONTROLLING | ICE_CONTROLLED => {
                let number = u64::from_be_bytes(value.try_into().ok()?);
                let role = if kind == ICE_CONTROLLING {
                    Role::Controlling(number)
                } else {
                    Role::Controlled(number)
                };
                self.role = self.role.or(Some(role));
            }
            XOR_MAPPED_ADDRESS => {
                let address = read_address(value, self.transaction)?;
                self.mapped_address = self.mapped_address.or(Some(address));
            }
            ERROR_CODE => {
                let [_, _, class, number] = *value.first_chunk()?;
                let code = u16::from(class & 7).saturating_mul(100).saturating_add(number.into());
                self.error_code = self.error_code.or(Some(code));
            }
            // RFC 8489 §14: the lower half must be understood. These may be there and mean nothing to ICE.
            MAPPED_ADDRESS | REALM | NONCE | UNKNOWN_ATTRIBUTES | MESSAGE_INTEGRITY_SHA256 | 0x8000.. => {}
            _ => self.unknown_required = self.unknown_required.or(Some(kind)),
        }
        Some(())
    }

    /// Whether the message was made by someone who knows `password`; compared in constant time.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        let Some(integrity) = self.integrity else { return false };
        integrity.mac(password).is_some_and(|mac| mac.verify(integrity.code.into()).is_ok())
    }

    /// Of a request's username: the part before the colon, by which we know who is meant.
    #[must_use]
    pub fn local_ufrag(&self) -> Option<&'a [u8]> {
        self.username?.split(|byte| *byte == b':').next()
    }

    /// Of a request's username: the part behind the colon.
    #[must_use]
    pub fn remote_ufrag(&self) -> Option<&'a [u8]> {
        self.username?.splitn(2, |byte| *byte == b':').nth(1)
    }
}

impl Integrity<'_> {
    fn mac(&self, password: &[u8]) -> Option<Hmac<Sha1>> {
        integrity_mac(password, self.header, self.attributes)
    }
}

/// RFC 8489 §14.5: over the message up to the attribute, with the length that it has if the attribute is the last.
fn integrity_mac(password: &[u8], header: &[u8; HEADER_LEN], attributes: &[u8]) -> Option<Hmac<Sha1>> {
    let length = attributes.len().checked_add(ATTRIBUTE_HEADER_LEN)?.checked_add(INTEGRITY_LEN)?;
    let [kind_high, kind_low, _, _, rest @ ..] = header;
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(password).ok()?;
    mac.update(&[*kind_high, *kind_low]);
    mac.update(&u16::try_from(length).ok()?.to_be_bytes());
    mac.update(rest);
    mac.update(attributes);
    Some(mac)
}

fn check_fingerprint(header: &[u8; HEADER_LEN], before: &[u8], value: &[u8]) -> Result<(), Malformed> {
    let expected = fingerprint(header.iter().chain(before));
    if value == expected.to_be_bytes() { Ok(()) } else { Err(Malformed::Fingerprint) }
}

/// RFC 8489 §14.7: the CRC-32 of the message up to the attribute, XORed with a constant.
fn fingerprint<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    let crc = bytes.fold(u32::MAX, |crc, byte| {
        let index = usize::from(crc.to_le_bytes()[0] ^ byte);
        CRC_TABLE.get(index).copied().unwrap_or(0) ^ crc >> 8
    });
    !crc ^ 0x5354_554e
}

// |0 0 0 0 0 0 0 0|    Family     |         X-Port                |
// |                X-Address (32 or 128 bits)                     |
fn read_address(value: &[u8], transaction: Transaction) -> Option<SocketAddr> {
    let mut reader = Reader::new(value);
    let [_, family] = *reader.array()?;
    let port = reader.u16()? ^ PORT_MASK;
    let address = match family {
        1 => IpAddr::V4(Ipv4Addr::from_bits(reader.u32()? ^ COOKIE)),
        2 => {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from_be_bytes(*reader.array()?) ^ address_mask(transaction)))
        }
        _ => return None,
    };
    reader.is_empty().then_some(SocketAddr::new(address, port))
}

/// RFC 8489 §14.2: the cookie, then the transaction id.
fn address_mask(Transaction(id): Transaction) -> u128 {
    id.iter().fold(u128::from(COOKIE), |mask, byte| mask << 8 | u128::from(*byte))
}

/// Of the reflected polynomial 0xedb88320.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 0 { value >> 1 } else { value >> 1 ^ 0xedb8_8320 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

const HEADER_LEN: usize = 20;
const ATTRIBUTE_HEADER_LEN: usize = 4;
const INTEGRITY_LEN: usize = 20;
const USERNAME_LEN_MAX: usize = 512; // RFC 8489 §14.3: fewer than 509 bytes, rounded up
const COOKIE: u32 = 0x2112_a442;
const PORT_MASK: u16 = 0x2112;
const MAPPED_ADDRESS: u16 = 0x0001;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

#[cfg(test)]
mod tests;
