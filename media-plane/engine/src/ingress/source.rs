//! Which publication and layer an SSRC belongs to: as signalled, else by the names in its header extensions (RFC 9143 §9.2).

use alloc::vec::Vec;

use units::handle::PublicationId;
use units::rtp::{Mid, PayloadType, Rid, Ssrc};

use crate::command::PublicationSpec;
use crate::slots::Slot;

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub publication: Slot<PublicationId>,
    pub layer: u8,
    /// It carries retransmissions of the layer's packets (RFC 4588).
    pub repair: bool,
}

/// The names that a stream's packets carried. Senders leave them out once they were acknowledged, so they are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub mid: Option<Mid>,
    pub rid: Option<Rid>,
    pub repaired_rid: Option<Rid>,
}

impl Names {
    /// Adds what `newer` says.
    pub fn learn(&mut self, newer: Self) {
        self.mid = newer.mid.or(self.mid);
        self.rid = newer.rid.or(self.rid);
        self.repaired_rid = newer.repaired_rid.or(self.repaired_rid);
    }
}

/// What one peer may send.
#[derive(Debug, Default)]
pub struct Signalled {
    publications: Vec<(Slot<PublicationId>, PublicationSpec)>,
}

impl Signalled {
    pub fn upsert(&mut self, slot: Slot<PublicationId>, spec: &PublicationSpec) {
        self.remove(slot);
        self.publications.push((slot, spec.clone()));
    }

    pub fn remove(&mut self, slot: Slot<PublicationId>) {
        self.publications.retain(|(other, _)| *other != slot);
    }

    /// What the stream with this SSRC, these names and this payload type is.
    #[must_use]
    pub fn resolve(&self, ssrc: Ssrc, names: &Names, payload_type: PayloadType) -> Option<Assignment> {
        self.by_ssrc(ssrc).or_else(|| self.by_names(names, payload_type)).or_else(|| {
            // Only a stream without any name may be told by its payload type.
            (*names == Names::default()).then(|| self.by_payload_type(payload_type)).flatten()
        })
    }

    fn by_ssrc(&self, ssrc: Ssrc) -> Option<Assignment> {
        self.publications.iter().find_map(|(publication, spec)| {
            (0..).zip(&spec.encodings).find_map(|(layer, encoding)| {
                let repair = encoding.rtx_ssrc == Some(ssrc);
                (repair || encoding.ssrc == Some(ssrc)).then_some(Assignment {
                    publication: *publication,
                    layer,
                    repair,
                })
            })
        })
    }

    fn by_names(&self, names: &Names, payload_type: PayloadType) -> Option<Assignment> {
        let name = names.rid.or(names.repaired_rid);
        let mut found = self.publications.iter().filter(|(_, spec)| match names.mid {
            Some(mid) => spec.mid == mid,
            None => name.is_some() && spec.encodings.iter().any(|encoding| encoding.rid == name),
        });
        let (publication, spec) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        let publication = *publication;
        let Some(name) = name else {
            return single(publication, spec, payload_type);
        };
        let (layer, _) = (0..).zip(&spec.encodings).find(|(_, encoding)| encoding.rid == Some(name))?;
        Some(Assignment { publication, layer, repair: names.rid.is_none() })
    }

    fn by_payload_type(&self, payload_type: PayloadType) -> Option<Assignment> {
        let mut users = self.publications.iter().filter(|(_, spec)| has_payload_type(spec, payload_type));
        let (publication, spec) = users.next()?;
        let assignment = single(*publication, spec, payload_type)?;
        users.next().is_none().then_some(assignment)
    }
}

fn has_payload_type(spec: &PublicationSpec, payload_type: PayloadType) -> bool {
    spec.codecs
        .iter()
        .any(|codec| codec.payload_type == payload_type || codec.rtx_payload_type == Some(payload_type))
}

/// The stream of a publication with one encoding, told from its retransmissions by the payload type.
fn single(
    publication: Slot<PublicationId>,
    spec: &PublicationSpec,
    payload_type: PayloadType,
) -> Option<Assignment> {
    let repair = spec.codecs.iter().any(|codec| codec.rtx_payload_type == Some(payload_type));
    let usable = spec.encodings.len() == 1 && has_payload_type(spec, payload_type);
    usable.then_some(Assignment { publication, layer: 0, repair })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::EncodingSpec;
    use crate::tests::{audio_spec, video_spec};

    fn signalled() -> Signalled {
        let mut signalled = Signalled::default();
        signalled.upsert(Slot::at(0), &audio_spec(1, 1));
        let mut simulcast = video_spec(2, 1);
        simulcast.encodings =
            [b"q", b"h"].map(|rid| EncodingSpec { rid: Rid::new(rid), ssrc: None, rtx_ssrc: None }).into();
        signalled.upsert(Slot::at(1), &simulcast);
        let mut plain = video_spec(3, 1);
        plain.mid = Mid::new(b"2").unwrap();
        plain.encodings = [EncodingSpec { rid: None, ssrc: Some(Ssrc(30)), rtx_ssrc: Some(Ssrc(31)) }].into();
        signalled.upsert(Slot::at(2), &plain);
        signalled
    }

    #[test]
    fn stream_is_told_by_ssrc_then_names_then_payload_type() {
        let names = |mid: &[u8], rid: &[u8], repaired_rid: &[u8]| Names {
            mid: Mid::new(mid),
            rid: Rid::new(rid),
            repaired_rid: Rid::new(repaired_rid),
        };
        for (name, ssrc, names, payload_type, expected) in [
            ("signalled", 30, names(b"", b"", b""), 96, Some((2, 0, false))),
            ("signalled repair", 31, names(b"", b"", b""), 97, Some((2, 0, true))),
            ("mid and rid", 9, names(b"1", b"h", b""), 96, Some((1, 1, false))),
            ("mid and repaired rid", 9, names(b"1", b"", b"h"), 97, Some((1, 1, true))),
            ("rid alone", 9, names(b"", b"q", b""), 96, Some((1, 0, false))),
            ("rid of nobody", 9, names(b"1", b"f", b""), 96, None),
            ("mid of simulcast without rid", 9, names(b"1", b"", b""), 96, None),
            ("mid of a single stream", 9, names(b"2", b"", b""), 96, Some((2, 0, false))),
            ("mid of a single stream's repair", 9, names(b"2", b"", b""), 97, Some((2, 0, true))),
            ("mid of nobody", 9, names(b"7", b"", b""), 111, None),
            ("unique payload type", 9, names(b"", b"", b""), 111, Some((0, 0, false))),
            ("payload type of two", 9, names(b"", b"", b""), 96, None),
            ("payload type of nobody", 9, names(b"", b"", b""), 100, None),
        ] {
            let assignment = signalled().resolve(Ssrc(ssrc), &names, PayloadType(payload_type));
            let told = assignment.map(|told| (told.publication.index(), told.layer, told.repair));
            assert_eq!(told, expected, "{name}");
        }
    }
}
