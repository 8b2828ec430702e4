//! A whole description: the session level and its media sections.

use std::fmt;

use crate::attribute::{Direction, Extension, Fingerprint, SetupRole};
use crate::error::{Error, Place, Reason};
use crate::limit;
use crate::section::{Lines, MediaSection, push, word};

/// A session description. What is not listed here is not read and not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// `o=`: constant over the life of a peer connection, while the version grows by one (RFC 8829 §5.2.1).
    pub id: u64,
    pub version: u64,
    pub ice_lite: bool,
    /// `a=msid-semantic:WMS *`
    pub msid_semantic: bool,
    pub fingerprints: Vec<Fingerprint>,
    pub extmap_allow_mixed: bool,
    pub setup: Option<SetupRole>,
    pub ice_ufrag: Option<String>,
    pub ice_pwd: Option<String>,
    /// Extensions of the session level are of every section (RFC 8285 §8).
    pub extensions: Vec<Extension>,
    /// The mids of each `a=group:BUNDLE` line.
    pub bundles: Vec<Vec<String>>,
    pub sections: Vec<MediaSection>,
}

impl Session {
    /// Reads a description of a client.
    pub fn parse(text: &str) -> Result<Self, Error> {
        check_length(text)?;
        let parsed = sdp_types::Session::parse(text.as_bytes()).map_err(|error| unreadable(&error))?;
        let mut session = Self {
            id: parsed.origin.sess_id.parse().unwrap_or_default(), // nobody relies on it
            version: parsed.origin.sess_version,
            ..Self::default()
        };
        let mut direction = Direction::SendRecv;
        for attribute in &parsed.attributes {
            let value = attribute.value.as_deref().unwrap_or_default();
            session.read(&attribute.attribute, value).map_err(|reason| reason.at(Place::Session))?;
            direction = Direction::from_name(&attribute.attribute).unwrap_or(direction);
        }
        for (index, media) in parsed.medias.iter().enumerate() {
            let section = MediaSection::from_parsed(media, direction);
            session.sections.push(section.map_err(|reason| reason.at(Place::Section(index)))?);
        }
        Ok(session)
    }

    fn read(&mut self, name: &str, value: &str) -> Result<(), Reason> {
        match name {
            "ice-lite" => self.ice_lite = true,
            "msid-semantic" => self.msid_semantic = true,
            "fingerprint" => {
                push(&mut self.fingerprints, value.parse()?, limit::FINGERPRINTS_MAX, "fingerprint")?;
            }
            "extmap-allow-mixed" => self.extmap_allow_mixed = true,
            "setup" => self.setup = Some(value.parse()?),
            "ice-ufrag" => self.ice_ufrag = Some(word(value, "ice-ufrag")?),
            "ice-pwd" => self.ice_pwd = Some(word(value, "ice-pwd")?),
            "extmap" => push(&mut self.extensions, value.parse()?, limit::EXTENSIONS_MAX, "extmap")?,
            "group" => {
                let mut words = value.split_ascii_whitespace();
                if words.next() == Some("BUNDLE") {
                    let mids: Vec<String> = words.map(str::to_owned).collect();
                    if mids.len() > limit::SECTIONS_MAX {
                        return Err(Reason::TooMany("group"));
                    }
                    push(&mut self.bundles, mids, limit::BUNDLES_MAX, "group")?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The ufrag that holds for a section.
    #[must_use]
    pub fn ice_ufrag<'a>(&'a self, section: &'a MediaSection) -> Option<&'a str> {
        section.ice_ufrag.as_deref().or(self.ice_ufrag.as_deref())
    }

    /// The certificate fingerprints that hold for a section.
    #[must_use]
    pub fn fingerprints<'a>(&'a self, section: &'a MediaSection) -> &'a [Fingerprint] {
        if section.fingerprints.is_empty() { &self.fingerprints } else { &section.fingerprints }
    }

    /// The DTLS role that holds for a section.
    #[must_use]
    pub fn setup(&self, section: &MediaSection) -> Option<SetupRole> {
        section.setup.or(self.setup)
    }

    /// The extensions that hold for a section.
    pub fn extensions<'a>(&'a self, section: &'a MediaSection) -> impl Iterator<Item = &'a Extension> {
        self.extensions.iter().chain(&section.extensions)
    }

    /// Two-byte extension headers may be mixed in (RFC 8285 §6).
    #[must_use]
    pub const fn allows_mixed(&self, section: &MediaSection) -> bool {
        self.extmap_allow_mixed || section.extmap_allow_mixed
    }

    fn to_parsed(&self) -> sdp_types::Session {
        let origin = sdp_types::Origin::with_ip_addr(self.id, self.version, std::net::Ipv4Addr::UNSPECIFIED);
        let mut session = sdp_types::Session::new(origin, "-");
        let mut lines = Lines(Vec::new());
        lines.flag("ice-lite", self.ice_lite);
        if self.msid_semantic {
            lines.value("msid-semantic", &"WMS *");
        }
        lines.values("fingerprint", &self.fingerprints);
        lines.option("setup", self.setup.map(SetupRole::name).as_ref());
        lines.option("ice-ufrag", self.ice_ufrag.as_ref());
        lines.option("ice-pwd", self.ice_pwd.as_ref());
        lines.flag("extmap-allow-mixed", self.extmap_allow_mixed);
        lines.values("extmap", &self.extensions);
        for mids in &self.bundles {
            lines.value("group", &format!("BUNDLE {}", mids.join(" ")));
        }
        session.attributes = lines.0;
        session.medias = self.sections.iter().map(MediaSection::to_parsed).collect();
        session
    }
}

/// The description as text.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        self.to_parsed().write(&mut bytes).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&bytes).map_err(|_| fmt::Error)?)
    }
}

fn check_length(text: &str) -> Result<(), Error> {
    let sections = text.lines().filter(|line| line.starts_with("m=")).count();
    if sections > limit::SECTIONS_MAX {
        return Err(Reason::TooManySections.at(Place::Description));
    }
    let allowed = limit::LEN_BASE_MAX + sections * limit::LEN_PER_SECTION_MAX;
    if text.len() > allowed.min(limit::LEN_MAX) {
        return Err(Reason::TooLong.at(Place::Description));
    }
    Ok(())
}

fn unreadable(error: &sdp_types::ParserError) -> Error {
    use sdp_types::ParserError as Parser;
    match *error {
        Parser::NoVersion | Parser::InvalidVersion(..) => Reason::NotSdp.at(Place::Description),
        Parser::InvalidLineFormat(line, what)
        | Parser::InvalidFieldEncoding(line, what)
        | Parser::InvalidFieldFormat(line, what)
        | Parser::MissingField(line, what)
        | Parser::FieldTrailingData(line, what) => Reason::Malformed(what).at(Place::Line(line)),
        Parser::MultipleVersions(line)
        | Parser::MultipleOrigins(line)
        | Parser::MultipleSessionNames(line)
        | Parser::MultipleSessionDescription(line)
        | Parser::MultipleUris(line)
        | Parser::MultipleConnections(line)
        | Parser::MultipleTimeZones(line)
        | Parser::MultipleMediaTitles(line)
        | Parser::MultipleKeys(line)
        | Parser::RepeatWithoutTime(line) => Reason::TooMany("one line of its kind").at(Place::Line(line)),
        _ => Reason::Malformed("line").at(Place::Description),
    }
}

#[cfg(test)]
mod tests;
