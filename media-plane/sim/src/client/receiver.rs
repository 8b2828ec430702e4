//! One received stream: what is missing and asked for again, what is a repair, and what the decoder makes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use srtp::outbound::Outbound;
use srtp::rust_crypto::RustCrypto;
use units::rtp::Ssrc;
use units::sequence::{Seq, Seq16};
use units::time::{Instant, NtpTime};
use wire::rtcp::feedback::PictureLossIndication;
use wire::rtcp::report::ReportBlock;
use wire::rtx::{ORIGINAL_SEQUENCE_LEN, original_sequence};
use wire::vp8::Descriptor;

use crate::client::decoder::{Decoder, Part, Shown};
use crate::client::fault::Faulty;
use crate::client::{Outgoing, RTCP_SSRC, sealed_rtcp};
use crate::film::payload;
use crate::oracle::Oracle;
use crate::stamp::Stamp;

/// An opened packet.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub ssrc: Ssrc,
    pub sequence: Seq16,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: &'a [u8],
}

#[derive(Debug)]
pub struct Receiver {
    /// The number of the subscriber, by which the oracle knows it.
    subscriber: usize,
    ssrc: Ssrc,
    /// Of a video stream.
    rtx_ssrc: Option<Ssrc>,
    /// `None` for audio.
    decoder: Option<Decoder>,
    faulty: Option<Faulty>,
    /// What comes is a film's: its pictures are kept.
    pub is_film: bool,
    highest: Option<Seq>,
    missing: BTreeMap<u64, Missing>,
    sender_report: Option<(NtpTime, Instant)>,
    pub repaired: u64,
    pub key_frame_requests: u64,
    key_frame_asked_at: Option<Instant>,
    /// When to look again at what is overdue.
    look_at: Instant,
}

#[derive(Debug)]
struct Missing {
    ask_at: Instant,
    tries: u8,
}

impl Receiver {
    #[must_use]
    pub fn audio(subscriber: usize, ssrc: Ssrc, faulty: Option<Faulty>) -> Self {
        Self {
            subscriber,
            ssrc,
            rtx_ssrc: None,
            decoder: None,
            faulty,
            is_film: false,
            highest: None,
            missing: BTreeMap::new(),
            sender_report: None,
            repaired: 0,
            key_frame_requests: 0,
            key_frame_asked_at: None,
            look_at: Instant(0),
        }
    }

    #[must_use]
    pub fn video(subscriber: usize, ssrc: Ssrc, rtx_ssrc: Ssrc, faulty: Option<Faulty>) -> Self {
        let decoder = Some(Decoder::new(subscriber));
        Self { rtx_ssrc: Some(rtx_ssrc), decoder, ..Self::audio(subscriber, ssrc, faulty) }
    }

    #[must_use]
    pub fn receives(&self, ssrc: Ssrc) -> bool {
        self.ssrc == ssrc || self.rtx_ssrc == Some(ssrc)
    }

    /// `None` if it is no packet of this stream.
    pub fn receive(&mut self, now: Instant, arrival: &Arrival<'_>, oracle: &mut Oracle) -> Option<()> {
        let is_repair = arrival.ssrc != self.ssrc;
        let (sequence, payload) = if is_repair {
            (original_sequence(arrival.payload)?, arrival.payload.get(ORIGINAL_SEQUENCE_LEN..)?)
        } else {
            (arrival.sequence, arrival.payload)
        };
        if payload.is_empty() {
            // Its number is all that it tells.
            self.note(now, sequence, is_repair);
            return Some(());
        }
        let mut stamp = Stamp::read(payload)?;
        if self.decoder.is_some() {
            let mut descriptor = Descriptor::parse(payload).ok()?;
            let Some(sequence) = self
                .faulty
                .as_mut()
                .map_or(Some(sequence), |faulty| faulty.video(sequence, &mut stamp, &mut descriptor))
            else {
                return Some(());
            };
            let Some(sequence) = self.note(now, sequence, is_repair) else { return Some(()) };
            let mut content = Vec::new();
            if self.is_film {
                content.extend(payload::content(payload.get(..payload.len() - Stamp::LEN)?)?);
            }
            let part =
                Part { sequence, timestamp: arrival.timestamp, marker: arrival.marker, stamp, content };
            self.decoder.as_mut()?.receive(now, &descriptor, part, oracle)?;
        } else {
            let Some(sequence) =
                self.faulty.as_mut().map_or(Some(sequence), |faulty| faulty.audio(sequence, stamp))
            else {
                return Some(());
            };
            let Some(sequence) = self.note(now, sequence, is_repair) else { return Some(()) };
            oracle.heard(self.subscriber, stamp, sequence, arrival.timestamp);
        }
        Some(())
    }

    pub fn sender_reported(&mut self, now: Instant, ntp: NtpTime) {
        self.sender_report = Some((ntp, now));
    }

    pub fn tick(
        &mut self,
        now: Instant,
        outbound: &mut Outbound<RustCrypto>,
        out: &mut Outgoing,
        oracle: &mut Oracle,
    ) {
        if self.decoder.is_none() || now < self.look_at {
            return;
        }
        self.look_at = now + LOOK_INTERVAL;
        let due: Vec<u64> = self
            .missing
            .iter()
            .filter(|(_, missing)| missing.ask_at <= now)
            .map(|(&number, _)| number)
            .collect();
        if !due.is_empty() {
            let numbers = due.iter().map(|&number| Seq(number).low());
            out.extend(sealed_rtcp(outbound, |builder| builder.nack(RTCP_SSRC, self.ssrc, numbers).is_ok()));
            for number in due {
                if let Some(missing) = self.missing.get_mut(&number) {
                    missing.tries += 1;
                    missing.ask_at = now + REPEAT_AFTER;
                }
            }
            self.missing.retain(|_, missing| missing.tries <= TRIES_MAX);
        }
        let Some(decoder) = &mut self.decoder else { return };
        decoder.tick(now, oracle);
        let may_ask = self.key_frame_asked_at.is_none_or(|at| now - at >= KEY_FRAME_INTERVAL);
        if decoder.is_stuck(now) && may_ask {
            self.key_frame_asked_at = Some(now);
            self.key_frame_requests += 1;
            let indication = PictureLossIndication { sender: RTCP_SSRC, media: self.ssrc };
            out.extend(sealed_rtcp(outbound, |builder| builder.picture_loss_indication(indication).is_ok()));
        }
    }

    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.decoder.as_ref().map(|_| self.look_at)
    }

    /// Of a film: what was shown so far.
    #[must_use]
    pub fn screen(&self) -> Option<&[Shown]> {
        self.decoder.as_ref().map(|decoder| decoder.screen.as_slice())
    }

    #[must_use]
    pub fn report(&self, now: Instant) -> Option<ReportBlock> {
        let highest = self.highest?;
        let (last_sender_report, delay) = self
            .sender_report
            .map_or((0, 0), |(ntp, at)| (ntp.middle(), (now - at).as_nanos() * 0x1_0000 / 1_000_000_000));
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: 0,
            cumulative_lost: 0,
            highest_sequence: u32::try_from(highest.0).unwrap_or(u32::MAX),
            jitter: 0,
            last_sender_report,
            delay_since_last_sender_report: u32::try_from(delay).unwrap_or(u32::MAX),
        })
    }

    /// The number without wraps; `None` if the packet was there already.
    fn note(&mut self, now: Instant, sequence: Seq16, is_repair: bool) -> Option<Seq> {
        let highest = *self.highest.get_or_insert_with(|| Seq(u64::from(sequence.0)));
        let sequence = highest.nearest(sequence);
        if sequence > highest {
            self.highest = Some(sequence);
            for number in (highest.0 + 1..sequence.0).rev().take(MISSING_MAX) {
                self.missing.insert(number, Missing { ask_at: now + ASK_AFTER, tries: 0 });
            }
            return Some(sequence);
        }
        let was_missing = self.missing.remove(&sequence.0).is_some();
        self.repaired += u64::from(was_missing && is_repair);
        (was_missing || (sequence == highest && !is_repair)).then_some(sequence)
    }
}

const LOOK_INTERVAL: Duration = Duration::from_millis(10);
// As libwebrtc's NACK module does it.
const ASK_AFTER: Duration = Duration::from_millis(10);
const REPEAT_AFTER: Duration = Duration::from_millis(100);
const TRIES_MAX: u8 = 10;
const MISSING_MAX: usize = 500;
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(300);
