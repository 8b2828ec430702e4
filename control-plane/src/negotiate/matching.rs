//! Which announced track a client's media section carries.

use std::collections::HashSet;

use sdp::section::MediaSection;

use crate::negotiate::codec::Kind;
use crate::negotiate::section::{Purpose, Received, Section};
use crate::negotiate::track::{AnnouncedCid, AnnouncedTrack};

/// Matches every section on which the client sends, and remembers it. The surest sign comes first over all sections,
/// so that a guess never takes what another section has a right to.
pub(super) fn match_sections(
    sections: &mut [Section],
    offered: &[MediaSection],
    accepted: &[bool],
    announced: &[AnnouncedTrack],
) {
    let mut open: Vec<usize> = Vec::new();
    for (index, section) in sections.iter_mut().enumerate() {
        let (Some(offered), Some(accepted)) = (offered.get(index), accepted.get(index)) else { continue };
        let Purpose::Media(kind) = section.purpose else { continue };
        forget_unpublished(section, announced);
        if !accepted || !offered.direction.sends() {
            continue;
        }
        if let Some((track, cid)) = by_msid(offered, kind, announced) {
            section.received = Some(received(track, Some(cid)));
        } else if section.received.as_ref().is_none_or(|received| received.track_sid.is_none()) {
            section.received = Some(Received::default());
            open.push(index);
        }
    }
    let mut free = free_tracks(sections, announced);
    for index in open {
        let Some(section) = sections.get_mut(index) else { continue };
        let Some(position) = free.iter().position(|track| section.is_for(track.kind)) else { continue };
        let track = free.remove(position);
        section.received = Some(received(track, track.cids.first()));
    }
}

/// The announced tracks that no section carries, in their order.
fn free_tracks<'a>(sections: &[Section], announced: &'a [AnnouncedTrack]) -> Vec<&'a AnnouncedTrack> {
    let alive = sections.iter().filter(|section| !section.rejected);
    let bound = alive.filter_map(|section| section.received.as_ref());
    let taken: HashSet<&str> = bound.filter_map(|received| received.track_sid.as_deref()).collect();
    announced.iter().filter(|track| !taken.contains(track.sid.as_str())).collect()
}

/// A track that is gone leaves its section, which the client may use for another one.
fn forget_unpublished(section: &mut Section, announced: &[AnnouncedTrack]) {
    let Some(received) = &mut section.received else { return };
    let gone = |sid: &String| announced.iter().all(|track| track.sid != *sid);
    if received.track_sid.as_ref().is_some_and(gone) {
        *received = Received::default();
    }
}

/// The track id of `msid` is the `cid` of `add_track`. Where there is no `a=msid` line, a source may have one; and
/// some clients announce the stream's id.
fn by_msid<'a>(
    offered: &MediaSection,
    kind: Kind,
    announced: &'a [AnnouncedTrack],
) -> Option<(&'a AnnouncedTrack, &'a AnnouncedCid)> {
    let of_kind = || announced.iter().filter(|track| track.kind == kind);
    let (streams, tracks) = msids(offered);
    [tracks, streams].into_iter().flatten().find_map(|id| {
        of_kind().find_map(|track| {
            let cid = track.cids.iter().find(|cid| !cid.cid.is_empty() && cid.cid == id)?;
            Some((track, cid))
        })
    })
}

/// The stream ids and track ids of a section.
fn msids(offered: &MediaSection) -> (Vec<&str>, Vec<&str>) {
    let lines = offered.msids.iter().map(|msid| (msid.stream.as_str(), msid.track.as_str()));
    let of_sources = offered
        .source_attributes
        .iter()
        .filter(|attribute| attribute.name == "msid")
        .filter_map(|attribute| attribute.value.as_deref()?.split_once(' '));
    lines.chain(of_sources).unzip()
}

fn received(track: &AnnouncedTrack, cid: Option<&AnnouncedCid>) -> Received {
    Received { track_sid: Some(track.sid.clone()), cid: cid.map(|cid| cid.cid.clone()) }
}

#[cfg(test)]
mod tests;
