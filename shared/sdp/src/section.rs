//! One media section: an `m=` line and what belongs to it.

use std::str::FromStr;

use crate::attribute::{
    Direction, Extension, Fingerprint, Msid, Rid, SetupRole, Simulcast, SourceAttribute, SourceGroup,
};
use crate::codec::Codec;
use crate::error::Reason;
use crate::limit;

/// What a media section is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Audio,
    Video,
    Application,
    Other(String),
}

impl Kind {
    fn from_name(name: &str) -> Self {
        match name {
            "audio" => Self::Audio,
            "video" => Self::Video,
            "application" => Self::Application,
            other => Self::Other(other.to_owned()),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Application => "application",
            Self::Other(name) => name,
        }
    }

    const fn is_rtp(&self) -> bool {
        matches!(self, Self::Audio | Self::Video)
    }
}

/// A media section. What is not listed here is not read and not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSection {
    pub kind: Kind,
    /// 0: rejected, unless `bundle_only`.
    pub port: u16,
    pub protocol: String,
    /// Audio and video, in the order of the `m=` line, the preferred one first.
    pub codecs: Vec<Codec>,
    /// Other kinds: the rest of the `m=` line, `webrtc-datachannel`.
    pub format: String,
    pub mid: Option<String>,
    pub setup: Option<SetupRole>,
    pub ice_ufrag: Option<String>,
    pub ice_pwd: Option<String>,
    pub fingerprints: Vec<Fingerprint>,
    pub bundle_only: bool,
    pub rtcp_mux: bool,
    pub rtcp_rsize: bool,
    pub extmap_allow_mixed: bool,
    pub extensions: Vec<Extension>,
    pub rids: Vec<Rid>,
    pub simulcast: Option<Simulcast>,
    pub source_groups: Vec<SourceGroup>,
    pub source_attributes: Vec<SourceAttribute>,
    pub msids: Vec<Msid>,
    pub direction: Direction,
    pub sctp_port: Option<u16>,
    pub max_message_size: Option<u64>,
    /// As written, at most [`limit::CANDIDATES_MAX`]; names in them are never resolved.
    pub candidates: Vec<String>,
    pub candidates_ignored: usize,
    pub end_of_candidates: bool,
}

impl MediaSection {
    #[must_use]
    pub const fn new(kind: Kind, protocol: String) -> Self {
        Self {
            kind,
            port: 9, // the discard port, as RFC 8829 §5.2.1 has it
            protocol,
            codecs: Vec::new(),
            format: String::new(),
            mid: None,
            setup: None,
            ice_ufrag: None,
            ice_pwd: None,
            fingerprints: Vec::new(),
            bundle_only: false,
            rtcp_mux: false,
            rtcp_rsize: false,
            extmap_allow_mixed: false,
            extensions: Vec::new(),
            rids: Vec::new(),
            simulcast: None,
            source_groups: Vec::new(),
            source_attributes: Vec::new(),
            msids: Vec::new(),
            direction: Direction::SendRecv,
            sctp_port: None,
            max_message_size: None,
            candidates: Vec::new(),
            candidates_ignored: 0,
            end_of_candidates: false,
        }
    }

    /// The section is refused, or was stopped for good (RFC 9143 §6: `bundle-only` is neither).
    #[must_use]
    pub const fn is_rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }

    #[must_use]
    pub fn codec(&self, payload_type: u8) -> Option<&Codec> {
        self.codecs.iter().find(|codec| codec.payload_type == payload_type)
    }

    /// The sources of this section in the order of their first mention.
    #[must_use]
    pub fn sources(&self) -> Vec<u32> {
        let mut sources = Vec::new();
        for attribute in &self.source_attributes {
            if !sources.contains(&attribute.ssrc) {
                sources.push(attribute.ssrc);
            }
        }
        sources
    }

    pub(crate) fn from_parsed(media: &sdp_types::Media, default: Direction) -> Result<Self, Reason> {
        let kind = Kind::from_name(&media.media);
        let mut section = Self::new(kind, media.proto.clone());
        section.port = media.port;
        section.direction = default;
        if section.kind.is_rtp() {
            section.codecs = codecs_of(&media.fmt)?;
        } else {
            section.format.clone_from(&media.fmt);
        }
        // A codec's attributes may stand before its rtpmap (RFC 8866 asks for no order): names first.
        for attribute in &media.attributes {
            if attribute.attribute == "rtpmap" {
                section.read_rtpmap(attribute.value.as_deref().unwrap_or_default())?;
            }
        }
        for attribute in &media.attributes {
            section.read(&attribute.attribute, attribute.value.as_deref().unwrap_or_default())?;
        }
        Ok(section)
    }

    fn read(&mut self, name: &str, value: &str) -> Result<(), Reason> {
        match name {
            "mid" => self.mid = Some(word(value, "mid")?),
            "setup" => self.setup = Some(value.parse()?),
            "ice-ufrag" => self.ice_ufrag = Some(word(value, "ice-ufrag")?),
            "ice-pwd" => self.ice_pwd = Some(word(value, "ice-pwd")?),
            "fingerprint" => {
                push(&mut self.fingerprints, value.parse()?, limit::FINGERPRINTS_MAX, "fingerprint")?;
            }
            "bundle-only" => self.bundle_only = true,
            "rtcp-mux" => self.rtcp_mux = true,
            "rtcp-rsize" => self.rtcp_rsize = true,
            "extmap-allow-mixed" => self.extmap_allow_mixed = true,
            "extmap" => push(&mut self.extensions, value.parse()?, limit::EXTENSIONS_MAX, "extmap")?,
            "rid" => push(&mut self.rids, value.parse()?, limit::RIDS_MAX, "rid")?,
            "simulcast" => self.simulcast = Some(value.parse()?),
            "ssrc-group" => {
                push(&mut self.source_groups, value.parse()?, limit::SOURCE_GROUPS_MAX, "ssrc-group")?;
            }
            "ssrc" => {
                push(&mut self.source_attributes, value.parse()?, limit::SOURCE_ATTRIBUTES_MAX, "ssrc")?;
            }
            "msid" => push(&mut self.msids, value.parse()?, limit::MSIDS_MAX, "msid")?,
            "sctp-port" => self.sctp_port = Some(number(value, "sctp-port")?),
            "max-message-size" => self.max_message_size = Some(number(value, "max-message-size")?),
            "candidate" if self.candidates.len() < limit::CANDIDATES_MAX => {
                self.candidates.push(value.to_owned());
            }
            "candidate" => self.candidates_ignored += 1,
            "end-of-candidates" => self.end_of_candidates = true,
            "fmtp" => self.read_parameters(value)?,
            "rtcp-fb" => self.read_feedback(value)?,
            _ => self.direction = Direction::from_name(name).unwrap_or(self.direction),
        }
        Ok(())
    }

    /// `111 opus/48000/2`. A payload type that is not on the `m=` line is none of this section's.
    fn read_rtpmap(&mut self, value: &str) -> Result<(), Reason> {
        const MALFORMED: Reason = Reason::Malformed("rtpmap");
        let (payload_type, encoding) = value.trim().split_once(' ').ok_or(MALFORMED)?;
        let payload_type: u8 = number(payload_type, "rtpmap")?;
        let mut parts = encoding.trim().split('/');
        let name = word(parts.next().unwrap_or_default(), "rtpmap")?;
        let clock_rate = number(parts.next().ok_or(MALFORMED)?, "rtpmap")?;
        let channels = parts.next().map(|channels| number(channels, "rtpmap")).transpose()?;
        if let Some(codec) = self.codec_mut(payload_type) {
            (codec.name, codec.clock_rate, codec.channels) = (name, clock_rate, channels);
        }
        Ok(())
    }

    fn read_parameters(&mut self, value: &str) -> Result<(), Reason> {
        let (payload_type, parameters) = value.trim().split_once(' ').ok_or(Reason::Malformed("fmtp"))?;
        if parameters.len() > limit::PARAMETERS_LEN_MAX {
            return Err(Reason::TooMany("fmtp"));
        }
        if let Some(codec) = self.codec_mut(number(payload_type, "fmtp")?) {
            parameters.trim().clone_into(&mut codec.parameters);
        }
        Ok(())
    }

    /// `96 nack pli`, or `* nack pli` for every codec (RFC 4585 §4.2).
    fn read_feedback(&mut self, value: &str) -> Result<(), Reason> {
        let (payload_type, feedback) = value.trim().split_once(' ').ok_or(Reason::Malformed("rtcp-fb"))?;
        let feedback = word_sequence(feedback);
        if payload_type == "*" {
            return self.codecs.iter_mut().try_for_each(|codec| add_feedback(codec, &feedback));
        }
        let payload_type = number(payload_type, "rtcp-fb")?;
        self.codec_mut(payload_type).map_or(Ok(()), |codec| add_feedback(codec, &feedback))
    }

    fn codec_mut(&mut self, payload_type: u8) -> Option<&mut Codec> {
        self.codecs.iter_mut().find(|codec| codec.payload_type == payload_type)
    }

    pub(crate) fn to_parsed(&self) -> sdp_types::Media {
        let connection = sdp_types::Connection::from_ip_addr(std::net::Ipv4Addr::UNSPECIFIED);
        let mut attributes = Lines(Vec::new());
        if self.kind.is_rtp() {
            self.write_rtp(&mut attributes);
        } else {
            self.write_other(&mut attributes);
        }
        for candidate in &self.candidates {
            attributes.value("candidate", candidate);
        }
        attributes.flag("end-of-candidates", self.end_of_candidates);
        sdp_types::Media {
            media: self.kind.name().to_owned(),
            port: self.port,
            num_ports: None,
            proto: self.protocol.clone(),
            fmt: self.formats(),
            media_title: None,
            connections: vec![connection],
            bandwidths: Vec::new(),
            key: None,
            attributes: attributes.0,
        }
    }

    fn formats(&self) -> String {
        if !self.kind.is_rtp() {
            return self.format.clone();
        }
        let types: Vec<String> = self.codecs.iter().map(|codec| codec.payload_type.to_string()).collect();
        // The grammar wants at least one (RFC 8866 §9), even on a section that is refused.
        if types.is_empty() { "0".to_owned() } else { types.join(" ") }
    }

    fn write_rtp(&self, lines: &mut Lines) {
        self.write_transport(lines);
        lines.option("ice-ufrag", self.ice_ufrag.as_ref());
        lines.option("ice-pwd", self.ice_pwd.as_ref());
        lines.flag("rtcp-mux", self.rtcp_mux);
        lines.flag("rtcp-rsize", self.rtcp_rsize);
        for codec in &self.codecs {
            write_codec(codec, lines);
        }
        lines.values("extmap", &self.extensions);
        lines.values("rid", &self.rids);
        lines.option("simulcast", self.simulcast.as_ref());
        lines.values("ssrc-group", &self.source_groups);
        lines.values("ssrc", &self.source_attributes);
        lines.values("msid", &self.msids);
        lines.flag(self.direction.name(), true);
    }

    fn write_other(&self, lines: &mut Lines) {
        self.write_transport(lines);
        lines.flag(self.direction.name(), true);
        lines.option("sctp-port", self.sctp_port.as_ref());
        lines.option("max-message-size", self.max_message_size.as_ref());
        lines.option("ice-ufrag", self.ice_ufrag.as_ref());
        lines.option("ice-pwd", self.ice_pwd.as_ref());
    }

    fn write_transport(&self, lines: &mut Lines) {
        lines.values("fingerprint", &self.fingerprints);
        lines.option("setup", self.setup.map(SetupRole::name).as_ref());
        lines.option("mid", self.mid.as_ref());
        lines.flag("bundle-only", self.bundle_only);
        lines.flag("extmap-allow-mixed", self.extmap_allow_mixed);
    }
}

fn write_codec(codec: &Codec, lines: &mut Lines) {
    let Codec { payload_type, name, clock_rate, channels, parameters, feedback } = codec;
    if !name.is_empty() {
        let channels = channels.map(|channels| format!("/{channels}")).unwrap_or_default();
        lines.value("rtpmap", &format!("{payload_type} {name}/{clock_rate}{channels}"));
    }
    if !parameters.is_empty() {
        lines.value("fmtp", &format!("{payload_type} {parameters}"));
    }
    for feedback in feedback {
        lines.value("rtcp-fb", &format!("{payload_type} {feedback}"));
    }
}

/// Attribute lines in the making.
pub(crate) struct Lines(pub(crate) Vec<sdp_types::Attribute>);

impl Lines {
    pub(crate) fn flag(&mut self, name: &str, set: bool) {
        if set {
            self.0.push(sdp_types::Attribute::new(name));
        }
    }

    pub(crate) fn value(&mut self, name: &str, value: &impl ToString) {
        self.0.push(sdp_types::Attribute::with_value(name, value.to_string()));
    }

    pub(crate) fn option(&mut self, name: &str, value: Option<&impl ToString>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    pub(crate) fn values(&mut self, name: &str, values: &[impl ToString]) {
        for value in values {
            self.value(name, value);
        }
    }
}

fn codecs_of(formats: &str) -> Result<Vec<Codec>, Reason> {
    let mut codecs: Vec<Codec> = Vec::new();
    for format in formats.split_ascii_whitespace() {
        let payload_type: u8 = number(format, "m")?;
        if payload_type > 127 {
            return Err(Reason::Malformed("m"));
        }
        if codecs.len() == limit::CODECS_MAX {
            return Err(Reason::TooMany("m"));
        }
        if codecs.iter().all(|codec| codec.payload_type != payload_type) {
            codecs.push(Codec::unmapped(payload_type));
        }
    }
    Ok(codecs)
}

fn add_feedback(codec: &mut Codec, feedback: &str) -> Result<(), Reason> {
    if codec.has_feedback(feedback) {
        return Ok(());
    }
    push(&mut codec.feedback, feedback.to_owned(), limit::FEEDBACK_MAX, "rtcp-fb")
}

pub(crate) fn push<T>(
    list: &mut Vec<T>,
    value: T,
    count_max: usize,
    name: &'static str,
) -> Result<(), Reason> {
    if list.len() >= count_max {
        return Err(Reason::TooMany(name));
    }
    list.push(value);
    Ok(())
}

/// A value without blanks in it, of bounded length.
pub(crate) fn word(value: &str, name: &'static str) -> Result<String, Reason> {
    let value = value.trim();
    if value.is_empty() || value.contains(|character: char| character.is_whitespace()) {
        return Err(Reason::Malformed(name));
    }
    if value.len() > limit::NAME_LEN_MAX {
        return Err(Reason::TooMany(name));
    }
    Ok(value.to_owned())
}

/// Words with one space between them.
fn word_sequence(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn number<T: FromStr>(value: &str, name: &'static str) -> Result<T, Reason> {
    value.trim().parse().map_err(|_| Reason::Malformed(name))
}
