//! One track as it is sent to one participant: what was negotiated for it, and what the client wants of it.

use livekit_protocol::{TrackInfo, UpdateTrackSettings, VideoLayer, VideoQuality};
use proto::media::v1 as proto;
use serde::{Deserialize, Serialize};

use crate::negotiate::codec::{Codec, Kind};
use crate::room::demand::Quality;
use crate::room::names::TrackSid;

#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    pub id: u64,
    pub track: TrackSid,
    pub publication: u64,
    pub kind: Kind,
    pub ssrc: u32,
    /// 0: retransmissions were not asked for (audio).
    pub rtx_ssrc: u32,
    pub settings: Settings,
    /// Codecs of the track that the client turned out not to understand.
    pub refused: Vec<Codec>,
    pub stage: Stage,
    /// A packet went to the client.
    pub started: bool,
    /// It started, but nothing comes from its publisher.
    pub stalled: bool,
}

/// How far a subscription is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// No media section yet.
    Wanted,
    /// The client understands none of its codecs: it was told, and gets nothing.
    Unsupported,
    Negotiated {
        mid: String,
        payloads: Vec<proto::PayloadMapping>,
        rtx: bool,
    },
}

/// The client's `track_setting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub disabled: bool,
    pub wish: Wish,
    /// 0: no limit.
    pub frames_per_second: u32,
    /// 1 is the highest, 0 unset.
    pub priority: u32,
}

/// How large a video the client has use for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// It did not say: the best there is.
    #[default]
    Best,
    Quality(i32),
    Size {
        width: u32,
        height: u32,
    },
}

impl Settings {
    /// Until a client that adapts to its display says what it shows, as LiveKit does it: not nothing, for without a
    /// picture the client may never find out.
    pub const SMALLEST: Self = Self {
        disabled: false,
        wish: Wish::Quality(VideoQuality::Low as i32),
        frames_per_second: 0,
        priority: 0,
    };

    #[must_use]
    pub fn of(update: &UpdateTrackSettings) -> Self {
        let wish = match (update.width, update.height) {
            (0, _) | (_, 0) => Wish::Quality(update.quality),
            (width, height) => Wish::Size { width, height },
        };
        Self { disabled: update.disabled, wish, frames_per_second: update.fps, priority: update.priority }
    }

    /// The quality that is of use, by what the publisher declared of its layers; absent: nothing is wanted.
    #[must_use]
    pub fn quality(&self, layers: &[VideoLayer]) -> Option<Quality> {
        if self.disabled {
            return None;
        }
        match self.wish {
            Wish::Best => Some(Quality::High),
            Wish::Quality(quality) => Some(named(quality)),
            Wish::Size { width, height } => {
                let layer = smallest_of_size(layers, width, height);
                Some(layer.map_or(Quality::High, |layer| named(layer.quality)))
            }
        }
    }

    /// The highest spatial layer that is of use, by what the publisher declared of its layers.
    #[must_use]
    pub fn layer_max(&self, layers: &[VideoLayer]) -> u32 {
        match self.wish {
            Wish::Best => LAYER_MAX,
            Wish::Quality(quality) => layer_of_quality(layers, quality),
            Wish::Size { width, height } => layer_of_size(layers, width, height),
        }
    }
}

impl Subscription {
    #[must_use]
    pub fn is_negotiated(&self) -> bool {
        matches!(self.stage, Stage::Negotiated { .. })
    }

    /// The resource, once there is a media section for it.
    #[must_use]
    pub fn resource(
        &self,
        room: u64,
        peer: u64,
        track: &TrackInfo,
        cname: String,
    ) -> Option<proto::Subscription> {
        let Stage::Negotiated { mid, payloads, rtx } = &self.stage else { return None };
        Some(proto::Subscription {
            id: self.id,
            room,
            peer,
            publication: self.publication,
            mid: mid.clone(),
            ssrc: self.ssrc,
            rtx_ssrc: if *rtx { self.rtx_ssrc } else { 0 },
            payloads: payloads.clone(),
            paused: self.settings.disabled,
            layer_max: self.settings.layer_max(layers(track)),
            temporal_layer_max: TEMPORAL_LAYER_MAX,
            frame_rate_max: self.settings.frames_per_second,
            cname,
            playout_delay: None,
            strip_packet_trailer: false,
        })
    }
}

/// The declared layers: those of the first codec, which replaced the track's own list.
#[expect(deprecated, reason = "older clients declare layers on the track only")]
#[must_use]
pub fn layers(track: &TrackInfo) -> &[VideoLayer] {
    match track.codecs.first() {
        Some(codec) if !codec.layers.is_empty() => &codec.layers,
        _ => &track.layers,
    }
}

fn layer_of_quality(layers: &[VideoLayer], quality: i32) -> u32 {
    if quality >= VideoQuality::High as i32 {
        return LAYER_MAX;
    }
    // Qualities name layers by position where they were not declared: low is the lowest.
    let mut sorted: Vec<&VideoLayer> =
        layers.iter().filter(|layer| layer.quality != VideoQuality::Off as i32).collect();
    sorted.sort_by_key(|layer| layer.quality);
    let position = sorted.iter().rposition(|layer| layer.quality <= quality);
    match position {
        Some(position) => u32::try_from(position).unwrap_or(LAYER_MAX).min(LAYER_MAX),
        // Nothing as low as that is published (a single layer is HIGH): the lowest there is.
        None if !sorted.is_empty() => 0,
        None => u32::try_from(quality).unwrap_or(0).min(LAYER_MAX),
    }
}

/// Clients that declare a single layer call it high.
fn named(quality: i32) -> Quality {
    match VideoQuality::try_from(quality) {
        Ok(VideoQuality::Low) => Quality::Low,
        Ok(VideoQuality::Medium) => Quality::Medium,
        _ => Quality::High,
    }
}

fn smallest_of_size(layers: &[VideoLayer], width: u32, height: u32) -> Option<&VideoLayer> {
    let wanted = sides(width, height);
    let large_enough = |layer: &&VideoLayer| {
        let size = sides(layer.width, layer.height);
        size.0 >= wanted.0 && size.1 >= wanted.1
    };
    layers.iter().filter(large_enough).min_by_key(|layer| sides(layer.width, layer.height))
}

/// The lowest layer that is at least as large as asked for, whichever way either is turned.
fn layer_of_size(layers: &[VideoLayer], width: u32, height: u32) -> u32 {
    let mut sizes: Vec<(u32, u32)> = layers.iter().map(|layer| sides(layer.width, layer.height)).collect();
    sizes.sort_unstable();
    let wanted = sides(width, height);
    let position = sizes.iter().position(|size| size.0 >= wanted.0 && size.1 >= wanted.1);
    position.and_then(|position| u32::try_from(position).ok()).map_or(LAYER_MAX, |layer| layer.min(LAYER_MAX))
}

/// Shorter and longer side.
fn sides(width: u32, height: u32) -> (u32, u32) {
    (width.min(height), width.max(height))
}

/// Three spatial layers at most: 0, 1, 2.
const LAYER_MAX: u32 = 2;
/// Four temporal layers at most. `fps` is kept but not mapped: nothing declares the rates of temporal layers.
const TEMPORAL_LAYER_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use livekit_protocol::{UpdateTrackSettings, VideoLayer, VideoQuality};

    use super::Settings;

    fn declared() -> Vec<VideoLayer> {
        [(VideoQuality::Low, 320, 180), (VideoQuality::Medium, 640, 360), (VideoQuality::High, 1280, 720)]
            .map(|(quality, width, height)| VideoLayer {
                quality: quality.into(),
                width,
                height,
                ..Default::default()
            })
            .into()
    }

    #[test]
    fn track_settings_choose_the_layer_by_what_was_declared() {
        let quality =
            |quality: VideoQuality| UpdateTrackSettings { quality: quality.into(), ..Default::default() };
        let size = |width, height| UpdateTrackSettings { width, height, ..Default::default() };
        let single = vec![VideoLayer {
            quality: VideoQuality::High.into(),
            width: 1280,
            height: 720,
            ..Default::default()
        }];
        for (name, layers, update, expected) in [
            ("low", declared(), quality(VideoQuality::Low), 0),
            ("medium", declared(), quality(VideoQuality::Medium), 1),
            ("high", declared(), quality(VideoQuality::High), 2),
            ("smaller than the lowest", declared(), size(160, 90), 0),
            ("just the lowest", declared(), size(320, 180), 0),
            ("a little more than the lowest", declared(), size(321, 181), 1),
            ("portrait window", declared(), size(360, 640), 1),
            ("larger than the highest", declared(), size(3840, 2160), 2),
            ("low of a single layer", single, quality(VideoQuality::Low), 0),
            ("medium, nothing declared", Vec::new(), quality(VideoQuality::Medium), 1),
            ("size, nothing declared", Vec::new(), size(320, 180), 2),
        ] {
            assert_eq!(Settings::of(&update).layer_max(&layers), expected, "{name}");
        }
        assert_eq!(Settings::default().layer_max(&declared()), 2, "nothing said");
    }
}
