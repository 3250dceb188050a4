//! gzip of an exposition: one member, stitched from pieces that were compressed each for itself.
//!
//! A piece is a run of deflate blocks that ends on a byte (a full flush) and refers to nothing before it, so pieces can stand in any order; the
//! checksum of the whole is combined from theirs. Families with many lines keep their piece until they change, the rest of what checks have until one of them changes;
//! what is driftrun's own is a few lines, other ones in each scrape, and stands in it as it is.

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use std::sync::{Arc, OnceLock};

/// Families of fewer bytes are compressed together with their neighbours.
pub(super) const BULK: usize = 32 << 10;

/// RFC 1952: deflate, no flags, no time, unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty last block, with the fixed codes.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// Lines that stay the same over many scrapes.
#[derive(Debug)]
pub(super) struct Bulk {
    pub(super) text: Bytes,
    packed: OnceLock<Packed>,
}

#[derive(Debug)]
pub(super) struct Packed {
    blocks: Bytes,
    crc: Crc,
}

impl Bulk {
    pub(super) const fn new(text: Bytes) -> Self {
        Self { text, packed: OnceLock::new() }
    }

    /// Compressed by whoever asks first.
    pub(super) fn packed(&self) -> &Packed {
        self.packed.get_or_init(|| {
            let (mut blocks, mut crc) = (Vec::new(), Crc::new());
            blocks_of(&self.text, &mut blocks);
            crc.update(&self.text);
            blocks.shrink_to_fit();
            Packed { blocks: blocks.into(), crc }
        })
    }
}

/// Bulks one after another, in a member of which they are a part.
#[derive(Debug)]
pub(super) struct Run {
    blocks: Vec<Bytes>,
    crc: Crc,
}

impl Run {
    pub(super) fn of(bulks: &[Arc<Bulk>]) -> Self {
        let (mut blocks, mut crc) = (Vec::with_capacity(bulks.len()), Crc::new());
        for packed in bulks.iter().map(|bulk| bulk.packed()) {
            blocks.push(packed.blocks.clone());
            crc.combine(&packed.crc);
        }
        Self { blocks, crc }
    }
}

/// Appends `text` as blocks that end on a byte. At the fastest level: lines that look alike shrink to a fifteenth with any, and a scrape is fetched once.
fn blocks_of(text: &[u8], out: &mut Vec<u8>) {
    let mut compressor = Compress::new(Compression::fast(), false);
    let mut rest = text;
    loop {
        // Room for the flush marker, too: a call that fills its room to the brim has to be made again.
        out.reserve((rest.len() / 8).max(1 << 10));
        let before = compressor.total_in();
        let status = compressor.compress_vec(rest, out, FlushCompress::Full);
        let taken = usize::try_from(compressor.total_in() - before).unwrap_or(rest.len());
        rest = &rest[taken..];
        let done = rest.is_empty() && out.len() < out.capacity();
        if done || !matches!(status, Ok(Status::Ok | Status::BufError)) {
            break;
        }
    }
}

/// A gzip member under way.
pub(super) struct Member {
    pieces: Vec<Bytes>,
    crc: Crc,
    open: Vec<u8>,
}

impl Member {
    pub(super) fn new() -> Self {
        Self { pieces: Vec::new(), crc: Crc::new(), open: HEAD.to_vec() }
    }

    /// A few lines: making a compressor ready would take longer than all the rest of a scrape. As stored blocks, which begin on a byte as those before
    /// end on one.
    pub(super) fn text(&mut self, text: &[u8]) {
        for part in text.chunks(usize::from(u16::MAX)) {
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
            self.open.push(0);
            self.open.extend(length.to_le_bytes());
            self.open.extend((!length).to_le_bytes());
            self.open.extend(part);
        }
        self.crc.update(text);
    }

    pub(super) fn run(&mut self, run: &Run) {
        self.pieces.push(std::mem::take(&mut self.open).into());
        self.pieces.extend(run.blocks.iter().cloned());
        self.crc.combine(&run.crc);
    }

    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.open.extend(LAST_BLOCK);
        self.open.extend(self.crc.sum().to_le_bytes());
        self.open.extend(self.crc.amount().to_le_bytes());
        self.pieces.push(self.open.into());
        self.pieces.retain(|piece| !piece.is_empty());
        self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    #[test]
    fn pieces_in_any_order_make_one_member_of_their_text() {
        // What compresses well, what doesn't at all, and nothing.
        let mut noise = 1_u64;
        let random: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            noise.to_le_bytes()[7]
        })
        .take(300_000)
        .collect();
        let lines = "driftrun_resource_drift{name=\"a\"} 1\n".repeat(20_000).into_bytes();
        let texts: [&[u8]; 5] = [b"", b"a", &random, &lines, b"# EOF\n"];
        let bulks = texts.map(|text| Arc::new(Bulk::new(Bytes::copy_from_slice(text))));
        for first in 0..texts.len() {
            for second in 0..texts.len() {
                let mut member = Member::new();
                member.text(texts[first]);
                member.run(&Run::of(&[Arc::clone(&bulks[second]), Arc::clone(&bulks[first])]));
                member.text(texts[second]);
                let packed = member.finish().concat();
                let (mut decoder, mut text) = (GzDecoder::new(&*packed), Vec::new());
                decoder.read_to_end(&mut text).unwrap();
                assert!(text == [texts[first], texts[second], texts[first], texts[second]].concat());
                assert_eq!(*decoder.into_inner(), b""[..]);
            }
        }
    }
}
