//! Source descriptions (RFC 3550 §6.5).

use units::rtp::Ssrc;

use crate::cursor::Reader;

/// The descriptions of some sources.
#[derive(Clone, Copy, Debug)]
pub struct SourceDescription<'a> {
    chunks: Chunks<'a>,
}

/// One item of a source's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    pub ssrc: Ssrc,
    pub kind: u8,
    pub text: &'a [u8],
}

/// The item that names an endpoint for life.
pub const CNAME: u8 = 1;

impl<'a> SourceDescription<'a> {
    pub(crate) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let chunks = Chunks { left: count, ssrc: None, body, reader: Reader::new(body) };
        let mut walk = chunks;
        while walk.step()?.is_some() {}
        Some(Self { chunks })
    }

    /// The items of all sources, in order.
    pub fn items(&self) -> impl Iterator<Item = Item<'a>> + 'a {
        self.chunks
    }
}

#[derive(Clone, Copy, Debug)]
struct Chunks<'a> {
    left: u8,
    ssrc: Option<Ssrc>,
    body: &'a [u8],
    reader: Reader<'a>,
}

impl<'a> Chunks<'a> {
    /// The next item, `Some(None)` at the end, `None` if the bytes are cut off.
    fn step(&mut self) -> Option<Option<Item<'a>>> {
        loop {
            let Some(ssrc) = self.ssrc else {
                let Some(left) = self.left.checked_sub(1) else { return Some(None) };
                self.left = left;
                self.ssrc = Some(Ssrc(self.reader.u32()?));
                continue;
            };
            let kind = self.reader.u8()?;
            if kind != 0 {
                let len = self.reader.u8()?;
                return Some(Some(Item { ssrc, kind, text: self.reader.bytes(usize::from(len))? }));
            }
            // RFC 3550 §6.5: the list ends with one or more zero bytes, up to the next word.
            let used = self.body.len().saturating_sub(self.reader.rest().len());
            self.reader.bytes(used.wrapping_neg() & 3)?;
            self.ssrc = None;
        }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        self.step().flatten()
    }
}
