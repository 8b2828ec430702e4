//! Sections on which we send: which subscription goes where, and in which payload types.

use proto::media::v1 as proto;
use sdp::attribute::{Msid, SourceAttribute, SourceGroup};
use sdp::section::MediaSection;

use crate::negotiate::codec::{Codec, Kind, PublishedCodec};
use crate::negotiate::outcome::SentSection;
use crate::negotiate::payload;
use crate::negotiate::section::{Section, Sending};
use crate::negotiate::track::SendTrack;

/// Takes subscriptions that ended off their sections.
pub(super) fn release(sections: &mut [Section], sends: &[SendTrack]) {
    for section in sections {
        let Some(subscription) = section.carries() else { continue };
        let kept = sends.iter().any(|send| send.subscription == subscription && section.is_for(send.kind));
        if section.rejected {
            section.sending = Sending::Free;
        } else if !kept {
            section.sending = Sending::Resting;
        }
    }
}

/// The client has been through a negotiation without anything on these sections.
pub(super) fn wake(sections: &mut [Section]) {
    for section in sections {
        if section.sending == Sending::Resting {
            section.sending = Sending::Free;
        }
    }
}

/// The subscriptions that no section carries yet.
pub(super) fn waiting<'a>(sections: &[Section], sends: &'a [SendTrack]) -> Vec<&'a SendTrack> {
    let carried: std::collections::HashSet<u64> = sections.iter().filter_map(Section::carries).collect();
    sends.iter().filter(|send| !carried.contains(&send.subscription)).collect()
}

pub(super) fn find(sends: &[SendTrack], subscription: u64) -> Option<&SendTrack> {
    sends.iter().find(|send| send.subscription == subscription)
}

/// How a track's payload types become a client's. `theirs` is what the client takes, in its payload types. Empty: it
/// cannot take what is sent.
pub(super) fn map(send: &SendTrack, theirs: &[PublishedCodec]) -> Vec<proto::PayloadMapping> {
    let taken =
        |codec| send.codecs.iter().any(|ours| ours.codec == codec && target(ours, send, theirs).is_some());
    if send.carried.is_some_and(|carried| !taken(carried)) {
        return Vec::new();
    }
    let mapped = send.codecs.iter().filter_map(|ours| {
        if let Some((red, block)) = red_instead(ours, send, theirs) {
            return Some(proto::PayloadMapping {
                from: ours.payload_type.into(),
                to: red.into(),
                rtx: None,
                red: Some(block.into()),
            });
        }
        let best = target(ours, send, theirs)?;
        let rtx = best.rtx_payload_type.filter(|_| send.rtx_ssrc != 0);
        Some(proto::PayloadMapping {
            from: ours.payload_type.into(),
            to: best.payload_type.into(),
            rtx: rtx.map(u32::from),
            red: None,
        })
    });
    mapped.collect()
}

/// RED becomes Opus where the client takes no RED, or would look for another payload type in its blocks: the media
/// plane then sends the primary block of each packet alone.
fn target<'a>(
    ours: &PublishedCodec,
    send: &SendTrack,
    theirs: &'a [PublishedCodec],
) -> Option<&'a PublishedCodec> {
    if ours.codec != Codec::Red {
        return best_fit(ours, theirs);
    }
    best_fit(ours, theirs)
        .filter(|_| opus_is_alike(send, theirs))
        .or_else(|| best_fit(opus(&send.codecs)?, theirs))
}

/// The client's payload types of RED and of its blocks, if Opus of the track goes out as RED: the media plane then
/// repeats frames that the publisher does not.
fn red_instead(ours: &PublishedCodec, send: &SendTrack, theirs: &[PublishedCodec]) -> Option<(u8, u8)> {
    let is_plain = ours.codec == Codec::Opus && send.codecs.iter().all(|codec| codec.codec != Codec::Red);
    let block = opus(theirs).filter(|_| send.active_red && is_plain)?.payload_type;
    let takes_block = |red: &&PublishedCodec| payload::red_block(&red.parameters) == Some(block);
    let mut reds = theirs.iter().filter(|codec| codec.codec == Codec::Red);
    reds.find(takes_block).map(|red| (red.payload_type, block))
}

fn best_fit<'a>(ours: &PublishedCodec, theirs: &'a [PublishedCodec]) -> Option<&'a PublishedCodec> {
    let same_codec = theirs.iter().filter(|theirs| theirs.codec == ours.codec);
    let fitting = same_codec.filter_map(|theirs| Some((payload::fit(ours, &theirs.parameters)?, theirs)));
    fitting.min_by_key(|(fit, _)| *fit).map(|(_, theirs)| theirs)
}

/// Blocks within RED name the payload type of Opus, and nobody rewrites them.
fn opus_is_alike(send: &SendTrack, theirs: &[PublishedCodec]) -> bool {
    let payload_type = |codecs| opus(codecs).map(|opus| opus.payload_type);
    payload_type(&send.codecs) == payload_type(theirs)
}

fn opus(codecs: &[PublishedCodec]) -> Option<&PublishedCodec> {
    codecs.iter().find(|codec| codec.codec == Codec::Opus)
}

/// Whether the client can take any payload of a track.
pub(super) fn is_supported(send: &SendTrack, theirs: &[PublishedCodec]) -> bool {
    !map(send, theirs).is_empty()
}

pub(super) fn sent_section(mid: &str, send: &SendTrack, theirs: &[PublishedCodec]) -> SentSection {
    let payloads = map(send, theirs);
    SentSection {
        mid: mid.to_owned(),
        subscription: send.subscription,
        track_sid: send.track_sid.clone(),
        rtx: payloads.iter().any(|payload| payload.rtx.is_some()),
        payloads,
    }
}

/// Puts what a track is carried by first: a client that asks which codec comes reads the first one.
pub(super) fn in_order_of_track(mut theirs: Vec<PublishedCodec>, send: &SendTrack) -> Vec<PublishedCodec> {
    if send.kind == Kind::Audio {
        return theirs; // Opus stays before RED
    }
    let mapped: Vec<u32> = map(send, &theirs).iter().map(|payload| payload.to).collect();
    theirs.sort_by_key(|codec| {
        let place = mapped.iter().position(|to| *to == u32::from(codec.payload_type));
        place.unwrap_or(mapped.len())
    });
    theirs
}

/// Feedback that clients may send us on what they receive, if both sides know it. Nothing of bandwidth: there is no
/// estimator of the downlink yet.
pub(super) const fn feedback(codec: Codec) -> &'static [&'static str] {
    match (codec, codec.kind()) {
        (Codec::Red, _) => &[],
        (_, Kind::Audio) => &["nack"],
        (_, Kind::Video) => &["ccm fir", "nack", "nack pli"],
    }
}

/// The stream and its sources, as LiveKit writes them: old clients read `mslabel` and `label`.
pub(super) fn describe_sources(section: &mut MediaSection, send: &SendTrack, rtx: bool) {
    let stream = send.stream.clone();
    let mut ssrcs = vec![send.ssrc];
    if rtx {
        ssrcs.push(send.rtx_ssrc);
        section.source_groups.push(SourceGroup { semantics: "FID".to_owned(), ssrcs: ssrcs.clone() });
    }
    for ssrc in ssrcs {
        let attributes = [
            ("cname", stream.clone()),
            ("msid", format!("{stream} {}", send.track_sid)),
            ("mslabel", stream.clone()),
            ("label", send.track_sid.clone()),
        ];
        section.source_attributes.extend(attributes.map(|(name, value)| SourceAttribute {
            ssrc,
            name: name.to_owned(),
            value: Some(value),
        }));
    }
    section.msids.push(Msid { stream, track: send.track_sid.clone() });
}

#[cfg(test)]
mod tests;
