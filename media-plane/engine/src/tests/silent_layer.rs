//! Claims about a spatial layer that its encoder stops without a word.

extern crate std;

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use units::rtp::Ssrc;

use super::client::{Client, Rtp, World};
use super::layers::{DESCRIPTOR_IDS, asked_key_frame, bits, call, layers};
use super::specs::VIDEO_PT;
use crate::command::Codec;

/// A camera whose two spatial layers depend on each other in key pictures only, or the lower one of it.
struct Camera {
    frame: u16,
    picture: u16,
    /// Of each layer.
    last: [u16; 2],
}

impl Camera {
    fn picture(&mut self, world: &mut World, publisher: &mut Client, key: bool, spatial_layers: u8) {
        self.picture += 1;
        for spatial in 0..spatial_layers {
            let descriptor = self.descriptor(spatial, key);
            self.last[usize::from(spatial)] = self.frame;
            let packet = Rtp {
                ssrc: Ssrc(2_000),
                payload_type: VIDEO_PT,
                sequence: self.frame,
                timestamp: u32::from(self.picture) * 3_000,
                marker: spatial + 1 == spatial_layers,
                extensions: vec![(1, b"1".to_vec()), (DESCRIPTOR_IDS.0, descriptor)],
                payload: vec![0x10, 0x30, spatial],
            };
            self.frame += 1;
            world.send(publisher, &packet);
        }
        world.pass(33);
    }

    /// A template for each of the layers in key pictures and in others; how far back these refer is said each time.
    fn descriptor(&self, spatial: u8, key: bool) -> Vec<u8> {
        const STRUCTURE: &[&str] = &[
            "10000", // a structure and nothing else
            "000000", "00001", // template ids from 0, two decode targets
            "00", "10", "00", "11", // S0, S0, S1, S1
            "1010", "1000", "0010", "0010", // SS, S-, -S, -S
            "0", "100010", "100000", "100010", // frame differences: none; 2; 1; 2
            "11", "0", "1", // two chains, one for each target
            "00000000", "00100001", "00010001", "00010010", // chain differences
            "0",        // no resolutions
        ];
        let [high, low] = self.frame.to_be_bytes();
        let template = spatial * 2 + u8::from(!key);
        let mandatory = [0b1100_0000 | template, high, low];
        let own = match (key, spatial) {
            (true, 0) => bits(STRUCTURE),
            (true, _) => Vec::new(),
            (false, _) => {
                let [base, above] = self.last.map(|last| self.frame - last);
                let back = if spatial == 0 { base } else { above };
                // Frame differences, and chain differences.
                let flags = "00011";
                bits(&[flags, &format!("01{:04b}00{base:08b}{above:08b}", back - 1)])
            }
        };
        [&mandatory[..], &own].concat()
    }
}

#[test]
fn layer_that_stops_without_a_word_gives_way_to_the_next_lower_one() {
    let (mut world, mut publisher, mut subscriber, _) = call(Codec::Av1);
    let mut camera = Camera { frame: 100, picture: 0, last: [0; 2] };
    for number in 0..20 {
        camera.picture(&mut world, &mut publisher, number == 0, 2);
    }
    let before = layers(&world.media(&mut subscriber));
    assert_eq!(before[..4], [(0, false), (1, true), (1, true), (1, true)]);
    world.pass(400);
    asked_key_frame(&mut world, &mut publisher);

    let pictures_until_asked = (1..50).find(|_| {
        camera.picture(&mut world, &mut publisher, false, 1);
        asked_key_frame(&mut world, &mut publisher)
    });
    assert!(matches!(pictures_until_asked, Some(3..8)), "half a second: {pictures_until_asked:?}");
    for number in 0..40 {
        camera.picture(&mut world, &mut publisher, number == 0, 1);
    }
    let below = world.media(&mut subscriber);
    assert_eq!(layers(&below), [(0, true)].repeat(40), "the lower one, from its key frame on, for good");
    let told = below[0].extension(DESCRIPTOR_IDS.1).unwrap();
    assert_eq!(told[3] & 0b1100_0000, 0b1100_0000, "and what is sent is told");

    // The layer comes back, which takes a key frame, too.
    let mut shown = Vec::new();
    for _ in 0..70 {
        let key = asked_key_frame(&mut world, &mut publisher);
        camera.picture(&mut world, &mut publisher, key, 2);
        shown = layers(&world.media(&mut subscriber));
    }
    assert_eq!(shown, [(1, true)]);
    world.assert_accounted();
}
