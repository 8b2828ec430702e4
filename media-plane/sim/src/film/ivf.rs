//! IVF, the container in which ffmpeg takes and gives single VP8 frames: little-endian, a header and frames with a time each.

const SIGNATURE: &[u8; 4] = b"DKIF";
const HEADER_LEN: usize = HEADER_LEN_U16 as usize;
const HEADER_LEN_U16: u16 = 32;
const FRAME_HEADER_LEN: usize = 12;

/// Frames at 30 a second, numbered from 0.
#[must_use]
pub fn write(frames: &[impl AsRef<[u8]>], (width, height): (u16, u16)) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(SIGNATURE);
    bytes.extend([0; 2]); // version
    bytes.extend(HEADER_LEN_U16.to_le_bytes());
    bytes.extend(b"VP80");
    bytes.extend(width.to_le_bytes());
    bytes.extend(height.to_le_bytes());
    bytes.extend(30_u32.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(len_u32(frames.len()).to_le_bytes());
    bytes.extend([0; 4]);
    for (number, frame) in (0_u64..).zip(frames) {
        bytes.extend(len_u32(frame.as_ref().len()).to_le_bytes());
        bytes.extend(number.to_le_bytes());
        bytes.extend(frame.as_ref());
    }
    bytes
}

/// The frames; `None` if it is no such file.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = bytes.strip_prefix(SIGNATURE)?.get(HEADER_LEN - SIGNATURE.len()..)?;
    let mut frames = Vec::new();
    while let Some((len, _)) = rest.split_first_chunk::<4>() {
        let end = FRAME_HEADER_LEN + u32::from_le_bytes(*len) as usize;
        frames.push(rest.get(FRAME_HEADER_LEN..end)?.to_vec());
        rest = rest.get(end..)?;
    }
    rest.is_empty().then_some(frames)
}

fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("a test's film is short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let frames = [vec![1; 7], vec![], vec![2; 300]];
        assert_eq!(read(&write(&frames, (320, 240))), Some(frames.into()));
    }

    #[test]
    fn what_is_cut_off_is_no_film() {
        let bytes = write(&[vec![1; 7]], (320, 240));
        for len in [0, 3, HEADER_LEN - 1, HEADER_LEN + 3, HEADER_LEN + FRAME_HEADER_LEN, bytes.len() - 1] {
            assert_eq!(read(&bytes[..len]), None, "{len}");
        }
    }
}
