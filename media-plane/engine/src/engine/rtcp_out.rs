//! RTCP of ours on its way out: members gathered into datagrams, sealed and sent.

use srtp::cipher::Cipher;
use srtp::outbound::Outbound;
use wire::rtcp::build::{Builder, Refused};

use crate::counters::Counters;
use crate::outbox::Outbox;
use crate::path::Path;

/// Members that wait to be sent together (RFC 5506: in any order).
#[derive(Debug)]
pub(crate) struct Batch<'a, C: Cipher, O> {
    bytes: [u8; LEN_MAX],
    len: usize,
    path: Path,
    outbound: &'a mut Outbound<C>,
    counters: &'a mut Counters,
    out: &'a mut O,
}

impl<'a, C: Cipher, O: Outbox> Batch<'a, C, O> {
    pub(crate) const fn new(
        path: Path,
        outbound: &'a mut Outbound<C>,
        counters: &'a mut Counters,
        out: &'a mut O,
    ) -> Self {
        Self { bytes: [0; LEN_MAX], len: 0, path, outbound, counters, out }
    }

    /// Appends what `write` writes; sends what is there before if there is no room.
    pub(crate) fn add<R>(
        &mut self,
        mut write: impl FnMut(&mut Builder<'_>) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        match self.append(&mut write) {
            Err(Refused::NoRoom) if self.len > 0 => {
                self.flush();
                self.append(&mut write)
            }
            written => written,
        }
    }

    /// Sends what is there.
    pub(crate) fn flush(&mut self) {
        let plain = self.bytes.get(..core::mem::take(&mut self.len)).unwrap_or_default();
        if plain.is_empty() {
            return;
        }
        let sent = self.out.lend(plain.len() + self.outbound.rtcp_overhead()).and_then(|buffer| {
            buffer.get_mut(..plain.len())?.copy_from_slice(plain);
            self.outbound.seal_rtcp(buffer, plain.len()).ok()
        });
        match sent {
            Some(len) => {
                self.out.send(&self.path, len);
                self.counters.rtcp_sent += 1;
            }
            None => self.counters.rtcp_dropped += 1,
        }
    }

    pub(crate) const fn counters(&mut self) -> &mut Counters {
        self.counters
    }

    fn append<R>(
        &mut self,
        write: &mut impl FnMut(&mut Builder<'_>) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        let mut builder = Builder::new(self.bytes.get_mut(self.len..).unwrap_or_default());
        let written = write(&mut builder);
        self.len += builder.len();
        written
    }
}

/// Fits any path: 1280 bytes of IPv6 less its headers, SRTCP's trailer and some tunnel.
const LEN_MAX: usize = 1_150;
