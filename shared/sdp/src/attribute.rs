//! Attribute values as types: each is parsed from, and displayed as, what stands after the colon.

use std::fmt;
use std::str::FromStr;

use crate::error::Reason;
use crate::limit;

/// Who sends (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sendrecv" => Some(Self::SendRecv),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::RecvOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    #[must_use]
    pub const fn from_flags(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The describing side sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// The describing side receives.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same, said by the other side.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self::from_flags(self.receives(), self.sends())
    }
}

/// `a=setup`: who starts the DTLS handshake (RFC 4145 §4, RFC 8842 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupRole {
    /// The offerer leaves it to the answerer.
    ActPass,
    /// The DTLS client.
    Active,
    /// The DTLS server.
    Passive,
}

impl SetupRole {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }
}

impl FromStr for SetupRole {
    type Err = Reason;

    fn from_str(value: &str) -> Result<Self, Reason> {
        match value.trim() {
            "actpass" => Ok(Self::ActPass),
            "active" => Ok(Self::Active),
            "passive" => Ok(Self::Passive),
            _ => Err(Reason::Malformed("setup")),
        }
    }
}

/// `a=fingerprint` (RFC 8122 §5). The hash function's name is in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub algorithm: String,
    pub value: Vec<u8>,
}

impl FromStr for Fingerprint {
    type Err = Reason;

    fn from_str(value: &str) -> Result<Self, Reason> {
        const MALFORMED: Reason = Reason::Malformed("fingerprint");
        let (algorithm, digits) = value.trim().split_once(' ').ok_or(MALFORMED)?;
        if algorithm.len() > 16 || digits.len() > 3 * 64 {
            return Err(MALFORMED); // SHA-512 is the longest there is
        }
        let value = digits.trim().split(':').map(hex_byte).collect::<Option<Vec<u8>>>().ok_or(MALFORMED)?;
        Ok(Self { algorithm: algorithm.to_ascii_lowercase(), value })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.algorithm)?;
        for (index, byte) in self.value.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

fn hex_byte(digits: &str) -> Option<u8> {
    let two = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    two.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// `a=extmap` (RFC 8285 §8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    pub id: u16,
    /// Absent: both ways.
    pub direction: Option<Direction>,
    pub uri: String,
}

impl FromStr for Extension {
    type Err = Reason;

    fn from_str(value: &str) -> Result<Self, Reason> {
        const MALFORMED: Reason = Reason::Malformed("extmap");
        let mut words = value.split_ascii_whitespace();
        let entry = words.next().ok_or(MALFORMED)?;
        let uri = words.next().ok_or(MALFORMED)?;
        let (id, direction) = match entry.split_once('/') {
            Some((id, direction)) => (id, Some(Direction::from_name(direction).ok_or(MALFORMED)?)),
            None => (entry, None),
        };
        let id = id.parse().map_err(|_| MALFORMED)?;
        Ok(Self { id, direction, uri: uri.to_owned() })
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.direction {
            Some(direction) => write!(f, "{}/{} {}", self.id, direction.name(), self.uri),
            None => write!(f, "{} {}", self.id, self.uri),
        }
    }
}

/// `a=msid` (RFC 8830 §2). `-` as stream means none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msid {
    pub stream: String,
    /// Empty if the line names only a stream.
    pub track: String,
}

impl FromStr for Msid {
    type Err = Reason;

    fn from_str(value: &str) -> Result<Self, Reason> {
        let mut words = value.split_ascii_whitespace();
        let stream = words.next().ok_or(Reason::Malformed("msid"))?;
        let track = words.next().unwrap_or_default();
        if stream.len() > limit::NAME_LEN_MAX || track.len() > limit::NAME_LEN_MAX {
            return Err(Reason::TooMany("msid"));
        }
        Ok(Self { stream: stream.to_owned(), track: track.to_owned() })
    }
}

impl fmt::Display for Msid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.track.is_empty() { "" } else { " " };
        write!(f, "{}{space}{}", self.stream, self.track)
    }
}

/// One `a=ssrc` line (RFC 5576 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAttribute {
    pub ssrc: u32,
    /// `cname`, `msid`, ...; empty if the line names only a source.
    pub name: String,
    pub value: Option<String>,
}

impl FromStr for SourceAttribute {
    type Err = Reason;

    fn from_str(value: &str) -> Result<Self, Reason> {
        let (ssrc, attribute) = value.split_once(' ').unwrap_or((value, ""));
        let ssrc = ssrc.trim().parse().map_err(|_| Reason::Malformed("ssrc"))?;
        let (name, value) = match attribute.trim().split_once(':') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (attribute.trim(), None),
        };
        Ok(Self { ssrc, name: name.to_owned(), value })
    }
}

impl fmt::Display for SourceAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ssrc)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        self.value.as_ref().map_or(Ok(()), |value| write!(f, ":{value}"))
    }
}

/// `a=ssrc-group` (RFC 5576 §4.2): `FID` pairs a source with its retransmissions, `SIM` lists simulcast layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceGroup {
    pub semantics: String,
    pub ssrcs: Vec<u32>,
}

impl FromStr for SourceGroup {
    type Err = Reason;

    fn from_str(value: &str) -> Result<Self, Reason> {
        let mut words = value.split_ascii_whitespace();
        let semantics = words.next().ok_or(Reason::Malformed("ssrc-group"))?.to_owned();
        let mut ssrcs = Vec::new();
        for word in words {
            if ssrcs.len() == limit::RIDS_MAX {
                return Err(Reason::TooMany("ssrc-group"));
            }
            ssrcs.push(word.parse().map_err(|_| Reason::Malformed("ssrc-group"))?);
        }
        Ok(Self { semantics, ssrcs })
    }
}

impl fmt::Display for SourceGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.semantics)?;
        self.ssrcs.iter().try_for_each(|ssrc| write!(f, " {ssrc}"))
    }
}

/// `a=rid` (RFC 8851 §10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rid {
    pub id: String,
    /// `send` or `recv`, of the describing side.
    pub sends: bool,
    /// `pt=…;max-width=…`; empty: none.
    pub restrictions: String,
}

impl FromStr for Rid {
    type Err = Reason;

    fn from_str(value: &str) -> Result<Self, Reason> {
        let mut words = value.trim().splitn(3, ' ');
        let id = rid_id(words.next().unwrap_or_default())?;
        let sends = match words.next() {
            Some("send") => true,
            Some("recv") => false,
            _ => return Err(Reason::Malformed("rid")),
        };
        Ok(Self { id, sends, restrictions: words.next().unwrap_or_default().trim().to_owned() })
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.sends { "send" } else { "recv" };
        let space = if self.restrictions.is_empty() { "" } else { " " };
        write!(f, "{} {way}{space}{}", self.id, self.restrictions)
    }
}

/// RFC 8851 §10 as corrected by erratum 7132: letters, digits, `-` and `_`.
fn rid_id(id: &str) -> Result<String, Reason> {
    let legal = !id.is_empty()
        && id.len() <= limit::NAME_LEN_MAX
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if legal { Ok(id.to_owned()) } else { Err(Reason::Malformed("rid")) }
}

/// `a=simulcast` (RFC 8853 §5.1). Of alternatives (`a,b`) only the first is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulcast {
    pub send: Vec<SimulcastStream>,
    pub recv: Vec<SimulcastStream>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulcastStream {
    pub rid: String,
    /// Written `~rid`.
    pub paused: bool,
}

impl FromStr for Simulcast {
    type Err = Reason;

    fn from_str(value: &str) -> Result<Self, Reason> {
        let mut simulcast = Self::default();
        let mut words = value.split_ascii_whitespace();
        while let Some(way) = words.next() {
            let list = match way {
                "send" => &mut simulcast.send,
                "recv" => &mut simulcast.recv,
                _ => return Err(Reason::Malformed("simulcast")),
            };
            for stream in words.next().ok_or(Reason::Malformed("simulcast"))?.split(';') {
                if list.len() == limit::RIDS_MAX {
                    return Err(Reason::TooMany("simulcast"));
                }
                list.push(simulcast_stream(stream)?);
            }
        }
        Ok(simulcast)
    }
}

fn simulcast_stream(alternatives: &str) -> Result<SimulcastStream, Reason> {
    let first = alternatives.split(',').next().unwrap_or_default();
    let (paused, rid) = first.strip_prefix('~').map_or((false, first), |rid| (true, rid));
    Ok(SimulcastStream { rid: rid_id(rid)?, paused })
}

impl fmt::Display for Simulcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for (way, streams) in [("send", &self.send), ("recv", &self.recv)] {
            if streams.is_empty() {
                continue;
            }
            write!(f, "{space}{way} ")?;
            space = " ";
            for (index, stream) in streams.iter().enumerate() {
                let semicolon = if index == 0 { "" } else { ";" };
                let tilde = if stream.paused { "~" } else { "" };
                write!(f, "{semicolon}{tilde}{}", stream.rid)?;
            }
        }
        Ok(())
    }
}
