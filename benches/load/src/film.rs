//! A film made by ffmpeg, of which the sizes of the pictures are taken: those of a real encoder at work on real content.
//!
//! IVF (<https://wiki.multimedia.cx/index.php/Duck_IVF>): a header of 32 bytes, then each picture behind its size and time.

/// Pictures of VP8, in order; the first is a key frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Film {
    pictures: Vec<Picture>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    pub len: usize,
    pub key_frame: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it is no IVF file of VP8")]
    NotVp8,
    #[error("it ends within a picture")]
    CutOff,
    #[error("it does not begin with a key frame")]
    NoKeyFrame,
}

impl Film {
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let (header, mut rest) = bytes.split_at_checked(HEADER_LEN).ok_or(Malformed::NotVp8)?;
        if !header.starts_with(b"DKIF") || header.get(8..12) != Some(b"VP80") {
            return Err(Malformed::NotVp8);
        }
        let mut pictures = Vec::new();
        while let Some((head, content)) = rest.split_first_chunk::<PICTURE_HEADER_LEN>() {
            let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            let len = usize::try_from(len).map_err(|_| Malformed::CutOff)?;
            let (picture, behind) = content.split_at_checked(len).ok_or(Malformed::CutOff)?;
            // RFC 6386 §9.1: the lowest bit is zero for key frames.
            let key_frame = picture.first().is_some_and(|tag| tag & 1 == 0);
            pictures.push(Picture { len, key_frame });
            rest = behind;
        }
        if pictures.first().is_none_or(|picture| !picture.key_frame) {
            return Err(Malformed::NoKeyFrame);
        }
        Ok(Self { pictures })
    }

    /// The picture at `position`, over and over from the begin.
    #[must_use]
    pub fn picture(&self, position: usize) -> Option<Picture> {
        self.pictures.get(position % self.pictures.len().max(1)).copied()
    }
}

const HEADER_LEN: usize = 32;
const PICTURE_HEADER_LEN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn film(pictures: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"DKIF\0\0\x20\0VP80".to_vec();
        bytes.resize(HEADER_LEN, 0);
        for picture in pictures {
            bytes.extend(u32::try_from(picture.len()).unwrap().to_le_bytes());
            bytes.extend([0; 8]);
            bytes.extend(*picture);
        }
        bytes
    }

    #[test]
    fn pictures_are_found_with_their_kinds_and_repeat() {
        let film = Film::parse(&film(&[&[0x10, 1, 2], &[0x11], &[0x31, 1]])).unwrap();
        let told: Vec<_> = (0..4).map(|at| film.picture(at).map(|one| (one.len, one.key_frame))).collect();
        assert_eq!(told, [Some((3, true)), Some((1, false)), Some((2, false)), Some((3, true))]);
    }

    #[test]
    fn what_is_no_such_film_is_told() {
        let good = film(&[&[0x10, 1, 2]]);
        let mut vp9 = good.clone();
        vp9[11] = b'9';
        for (name, bytes, error) in [
            ("nothing", &[][..], Malformed::NotVp8),
            ("another codec", &vp9, Malformed::NotVp8),
            ("no picture", &good[..HEADER_LEN], Malformed::NoKeyFrame),
            ("begins in the middle", &film(&[&[0x11]]), Malformed::NoKeyFrame),
            ("cut off", &good[..good.len() - 1], Malformed::CutOff),
        ] {
            assert_eq!(Film::parse(bytes), Err(error), "{name}");
        }
    }
}
