//! Vectors of RFC 5769, answers read back, and malformed messages.

use std::net::SocketAddr;
use std::vec::Vec;

use proptest::prelude::*;

use super::write::{BindingRequest, ErrorCode, error, request, success};
use super::*;
use crate::cursor::NoRoom;

/// RFC 5769 §2.1.
const SAMPLE_REQUEST: [u8; 108] =
    *b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\
    \x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\x00\x06\x00\x09evtj:h6vY\x20\x20\x20\
    \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
    \x80\x28\x00\x04\xe5\x7a\x3b\xcf";

/// RFC 5769 §2.2.
const SAMPLE_V4_RESPONSE: [u8; 80] =
    *b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector\x20\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\
    \x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\
    \x80\x28\x00\x04\xc0\x7d\x4c\x96";

/// RFC 5769 §2.3.
const SAMPLE_V6_RESPONSE: [u8; 92] = *b"\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector\x20\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\
    \xbe\xd2\xb9\xd9\x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41\
    \x80\x28\x00\x04\xc8\xfb\x0b\x4c";

const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
const TRANSACTION: Transaction = Transaction(*b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");

#[test]
fn sample_request_is_read_and_verified() {
    let message = Message::parse(&SAMPLE_REQUEST).unwrap();
    assert_eq!(message.kind, Kind::Request);
    assert_eq!(message.transaction, TRANSACTION);
    assert_eq!(message.username, Some(&b"evtj:h6vY"[..]));
    assert_eq!(message.local_ufrag(), Some(&b"evtj"[..]));
    assert_eq!(message.remote_ufrag(), Some(&b"h6vY"[..]));
    assert_eq!(message.priority, Some(0x6e00_01ff));
    assert_eq!(message.role, Some(Role::Controlled(0x932f_f9b1_5126_3b36)));
    assert!(!message.use_candidate && message.has_fingerprint && message.unknown_required.is_none());
    assert!(message.verify(PASSWORD));
    assert!(!message.verify(b"VOkJxbRl1RmTxUk/WvJxBT"));
}

#[test]
fn sample_responses_are_read_and_verified() {
    for (name, bytes, address) in [
        ("IPv4", &SAMPLE_V4_RESPONSE[..], "192.0.2.1:32853"),
        ("IPv6", &SAMPLE_V6_RESPONSE, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let message = Message::parse(bytes).unwrap();
        assert_eq!(message.kind, Kind::Success, "{name}");
        assert_eq!(message.mapped_address, Some(address.parse().unwrap()), "{name}");
        assert!(message.verify(PASSWORD), "{name}");
    }
}

#[test]
fn integrity_without_fingerprint_is_verified() {
    let mut bytes = SAMPLE_REQUEST[..100].to_vec();
    bytes[3] = 80;
    let message = Message::parse(&bytes).unwrap();
    assert!(!message.has_fingerprint);
    assert!(message.verify(PASSWORD));
}

#[test]
fn message_without_integrity_is_not_verified() {
    let mut bytes = SAMPLE_REQUEST[..76].to_vec();
    bytes[3] = 56;
    let message = Message::parse(&bytes).unwrap();
    assert!(message.username.is_some());
    assert!(!message.verify(PASSWORD));
    assert!(!message.verify(b""));
}

#[test]
fn written_messages_are_read_back() {
    let sources: [SocketAddr; 2] = ["192.0.2.1:32853".parse().unwrap(), "[2001:db8::17]:1".parse().unwrap()];
    for source in sources {
        let mut out = [0; 128];
        let len = success(&mut out, TRANSACTION, source, PASSWORD).unwrap();
        let message = Message::parse(&out[..len]).unwrap();
        assert_eq!((message.kind, message.transaction), (Kind::Success, TRANSACTION));
        assert_eq!(message.mapped_address, Some(source));
        assert!(message.verify(PASSWORD) && message.has_fingerprint);
        assert_eq!(success(&mut out[..len - 1], TRANSACTION, source, PASSWORD), Err(NoRoom));
    }
    for (code, number) in [
        (ErrorCode::BadRequest, 400),
        (ErrorCode::UnknownAttribute(0x7777), 420),
        (ErrorCode::RoleConflict, 487),
    ] {
        let mut out = [0; 128];
        let len = error(&mut out, TRANSACTION, code, PASSWORD).unwrap();
        let message = Message::parse(&out[..len]).unwrap();
        assert_eq!((message.kind, message.error_code), (Kind::Error, Some(number)));
        assert!(message.verify(PASSWORD) && message.has_fingerprint);
    }
}

#[test]
fn checks_are_read_as_written() {
    for (role, use_candidate) in [(Role::Controlling(7), true), (Role::Controlled(u64::MAX), false)] {
        let check =
            BindingRequest { transaction: TRANSACTION, username: b"ab:c", priority: 9, role, use_candidate };
        let mut out = [0; 128];
        let len = request(&mut out, &check, PASSWORD).unwrap();
        let message = Message::parse(&out[..len]).unwrap();
        assert_eq!(message.username, Some(&b"ab:c"[..]));
        assert_eq!((message.priority, message.role), (Some(9), Some(role)));
        assert_eq!(message.use_candidate, use_candidate);
        assert!(message.verify(PASSWORD));
    }
}

/// A request with these attribute bytes and nothing else.
fn with_attributes(attributes: &[u8]) -> Vec<u8> {
    let mut bytes = SAMPLE_REQUEST[..20].to_vec();
    bytes[2..4].copy_from_slice(&u16::try_from(attributes.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(attributes);
    bytes
}

#[test]
fn malformed_messages_name_what_is_wrong() {
    let changed = |at: usize, value: u8| {
        let mut bytes = SAMPLE_REQUEST.to_vec();
        bytes[at] = value;
        bytes
    };
    for (name, bytes, expected) in [
        ("empty", Vec::new(), Malformed::Length),
        ("cut off", SAMPLE_REQUEST[..107].to_vec(), Malformed::Length),
        ("length too small", changed(3, 0x54), Malformed::Length),
        ("length of no whole word", with_attributes(&[0]), Malformed::Length),
        ("no cookie", changed(4, 0), Malformed::Cookie),
        ("allocate", changed(1, 3), Malformed::Method),
        ("another attribute than was signed", changed(60, 1), Malformed::Fingerprint),
        (
            "attribute beyond the message",
            with_attributes(&[0, 6, 0, 9, 1, 2, 3, 4]),
            Malformed::Attribute(USERNAME),
        ),
        (
            "padding beyond the message",
            with_attributes(&[0, 6, 0, 5, 1, 2, 3, 4]),
            Malformed::Attribute(USERNAME),
        ),
        (
            "priority of two bytes",
            with_attributes(&[0, 0x24, 0, 2, 1, 2, 0, 0]),
            Malformed::Attribute(PRIORITY),
        ),
        (
            "role of four bytes",
            with_attributes(&[0x80, 0x29, 0, 4, 1, 2, 3, 4]),
            Malformed::Attribute(ICE_CONTROLLED),
        ),
        (
            "integrity of four bytes",
            with_attributes(&[0, 8, 0, 4, 1, 2, 3, 4]),
            Malformed::Attribute(MESSAGE_INTEGRITY),
        ),
        (
            "use-candidate with a value",
            with_attributes(&[0, 0x25, 0, 1, 1, 0, 0, 0]),
            Malformed::Attribute(USE_CANDIDATE),
        ),
        (
            "address of no family",
            with_attributes(&[0, 0x20, 0, 8, 0, 3, 0, 0, 1, 2, 3, 4]),
            Malformed::Attribute(XOR_MAPPED_ADDRESS),
        ),
        ("too many attributes", with_attributes(&[0x80, 0x22, 0, 0].repeat(33)), Malformed::TooMany),
    ] {
        assert_eq!(Message::parse(&bytes).map(|_| ()), Err(expected), "{name}");
    }
}

#[test]
fn attributes_behind_the_integrity_are_ignored() {
    let mut bytes = SAMPLE_REQUEST[..100].to_vec();
    bytes.extend_from_slice(&[0, 0x25, 0, 0]);
    bytes[3] = 84;
    let message = Message::parse(&bytes).unwrap();
    assert!(!message.use_candidate);
    assert!(message.verify(PASSWORD));
}

#[test]
fn unknown_attributes_matter_in_the_lower_half_only() {
    let message = with_attributes(&[0x80, 0x99, 0, 0, 0x00, 0x99, 0, 0, 0x00, 0x98, 0, 0]);
    assert_eq!(Message::parse(&message).unwrap().unknown_required, Some(0x0099));
}

proptest! {
    #[test]
    fn no_changed_byte_is_verified(at in 0..100_usize, change in 1_u8..) {
        let mut bytes = SAMPLE_REQUEST[..100].to_vec();
        bytes[3] = 80;
        bytes[at] ^= change;
        prop_assert!(!Message::parse(&bytes).is_ok_and(|message| message.verify(PASSWORD)));
    }

    #[test]
    fn mapped_address_is_read_as_written(source: SocketAddr, id: [u8; 12]) {
        let mut out = [0; 128];
        let len = success(&mut out, Transaction(id), source, PASSWORD).unwrap();
        let mapped = Message::parse(&out[..len]).unwrap().mapped_address.unwrap();
        prop_assert_eq!((mapped.ip(), mapped.port()), (source.ip(), source.port()));
    }
}
