//! STUN Binding messages written: our answers, and the checks that test clients send.

use core::net::{IpAddr, SocketAddr};

use hmac::Mac;

use crate::cursor::{NoRoom, Writer};
use crate::stun::{
    COOKIE, ERROR_CODE, FINGERPRINT, HEADER_LEN, ICE_CONTROLLED, ICE_CONTROLLING, INTEGRITY_LEN,
    MESSAGE_INTEGRITY, PORT_MASK, PRIORITY, Role, Transaction, UNKNOWN_ATTRIBUTES, USE_CANDIDATE, USERNAME,
    XOR_MAPPED_ADDRESS, address_mask, fingerprint, integrity_mac,
};

/// Errors that a Binding request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    BadRequest,
    /// With the attribute that was not understood.
    UnknownAttribute(u16),
    RoleConflict,
}

/// What a connectivity check says.
#[derive(Clone, Copy, Debug)]
pub struct BindingRequest<'a> {
    pub transaction: Transaction,
    /// The receiver's ufrag, a colon, the sender's ufrag.
    pub username: &'a [u8],
    pub priority: u32,
    pub role: Role,
    pub use_candidate: bool,
}

/// Writes the answer to a valid check: where it came from.
pub fn success(
    out: &mut [u8],
    transaction: Transaction,
    source: SocketAddr,
    password: &[u8],
) -> Result<usize, NoRoom> {
    message(out, SUCCESS, transaction, password, |writer| {
        let mask = address_mask(transaction);
        let port = source.port() ^ PORT_MASK;
        match source.ip() {
            IpAddr::V4(address) => {
                attribute_header(writer, XOR_MAPPED_ADDRESS, 8)?;
                writer.u16(1)?;
                writer.u16(port)?;
                writer.u32(address.to_bits() ^ COOKIE)
            }
            IpAddr::V6(address) => {
                attribute_header(writer, XOR_MAPPED_ADDRESS, 20)?;
                writer.u16(2)?;
                writer.u16(port)?;
                writer.bytes(&(address.to_bits() ^ mask).to_be_bytes())
            }
        }
    })
}

/// Writes the answer to an authenticated check that can't be served.
pub fn error(
    out: &mut [u8],
    transaction: Transaction,
    code: ErrorCode,
    password: &[u8],
) -> Result<usize, NoRoom> {
    message(out, ERROR, transaction, password, |writer| {
        let (class_and_number, reason): ([u8; 2], &[u8]) = match code {
            ErrorCode::BadRequest => ([4, 0], b"Bad Request"),
            ErrorCode::UnknownAttribute(_) => ([4, 20], b"Unknown Attribute"),
            ErrorCode::RoleConflict => ([4, 87], b"Role Conflict"),
        };
        let mut value = [0; 32];
        let mut content = Writer::new(&mut value);
        content.u16(0)?;
        content.bytes(&class_and_number)?;
        content.bytes(reason)?;
        attribute(writer, ERROR_CODE, content.written())?;
        if let ErrorCode::UnknownAttribute(kind) = code {
            attribute(writer, UNKNOWN_ATTRIBUTES, &kind.to_be_bytes())?;
        }
        Ok(())
    })
}

/// Writes a connectivity check.
pub fn request(out: &mut [u8], request: &BindingRequest<'_>, password: &[u8]) -> Result<usize, NoRoom> {
    message(out, REQUEST, request.transaction, password, |writer| {
        attribute(writer, USERNAME, request.username)?;
        attribute(writer, PRIORITY, &request.priority.to_be_bytes())?;
        match request.role {
            Role::Controlling(number) => attribute(writer, ICE_CONTROLLING, &number.to_be_bytes())?,
            Role::Controlled(number) => attribute(writer, ICE_CONTROLLED, &number.to_be_bytes())?,
        }
        if request.use_candidate {
            attribute(writer, USE_CANDIDATE, &[])?;
        }
        Ok(())
    })
}

fn message(
    out: &mut [u8],
    message_type: u16,
    transaction: Transaction,
    password: &[u8],
    attributes: impl FnOnce(&mut Writer<'_>) -> Result<(), NoRoom>,
) -> Result<usize, NoRoom> {
    let mut writer = Writer::new(out);
    writer.u16(message_type)?;
    writer.u16(0)?;
    writer.u32(COOKIE)?;
    writer.bytes(&transaction.0)?;
    attributes(&mut writer)?;

    let code = integrity(writer.written(), password).ok_or(NoRoom)?;
    attribute(&mut writer, MESSAGE_INTEGRITY, &code)?;
    // RFC 8489 §14.7: the checksum covers a length that counts it.
    let end = writer.len().saturating_add(FINGERPRINT_LEN);
    set_length(&mut writer, end)?;
    let checksum = fingerprint(writer.written().iter());
    attribute(&mut writer, FINGERPRINT, &checksum.to_be_bytes())?;
    Ok(writer.len())
}

fn integrity(written: &[u8], password: &[u8]) -> Option<[u8; INTEGRITY_LEN]> {
    let (header, attributes) = written.split_first_chunk::<HEADER_LEN>()?;
    Some(integrity_mac(password, header, attributes)?.finalize().into_bytes().into())
}

fn set_length(writer: &mut Writer<'_>, end: usize) -> Result<(), NoRoom> {
    writer.patch_u16(2, u16::try_from(end.saturating_sub(HEADER_LEN)).map_err(|_| NoRoom)?)
}

fn attribute(writer: &mut Writer<'_>, kind: u16, value: &[u8]) -> Result<(), NoRoom> {
    attribute_header(writer, kind, u16::try_from(value.len()).map_err(|_| NoRoom)?)?;
    writer.bytes(value)?;
    while writer.len() & 3 != 0 {
        writer.u8(0)?;
    }
    Ok(())
}

fn attribute_header(writer: &mut Writer<'_>, kind: u16, len: u16) -> Result<(), NoRoom> {
    writer.u16(kind)?;
    writer.u16(len)
}

const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;
const FINGERPRINT_LEN: usize = 8;
