//! Descriptors written bit by bit, read field by field.

use std::vec::Vec;

use super::*;

/// Values with their widths, the highest bit first, filled up with zeros.
fn packed(fields: &[(u32, u32)]) -> Vec<u8> {
    let bits: Vec<u8> = fields
        .iter()
        .flat_map(|(value, width)| (0..*width).rev().map(move |bit| u8::from(value >> bit & 1 == 1)))
        .collect();
    bits.chunks(8)
        .map(|byte| byte.iter().enumerate().fold(0, |all, (at, bit)| all | bit << (7 - at)))
        .collect()
}

const STRUCTURE: (u32, u32) = (0b10000, 5);
const NO_EXTRA: (u32, u32) = (0, 5);

fn mandatory(template_id: u32) -> [(u32, u32); 4] {
    [(1, 1), (0, 1), (template_id, 6), (0x0102, 16)]
}

/// Two spatial and two temporal layers: five templates, four decode targets, two chains.
fn structure_fields() -> Vec<(u32, u32)> {
    let mut fields = std::vec![(62, 6), (3, 5)]; // template ids begin at 62 and wrap; four decode targets
    fields.extend([(0, 2), (1, 2), (2, 2), (1, 2), (3, 2)]); // S0T0, S0T0, S0T1, S1T0, S1T1
    // What each template is to the targets S0T0, S0T1, S1T0, S1T1.
    for indications in [[2, 2, 2, 2], [3, 3, 3, 3], [0, 1, 0, 3], [0, 0, 2, 2], [0, 0, 0, 1]] {
        fields.extend(indications.map(|indication| (indication, 2)));
    }
    fields.extend([(0, 1), (1, 1), (3, 4), (0, 1), (1, 1), (1, 4), (1, 1), (2, 4), (0, 1), (0, 1), (0, 1)]);
    fields.push((0b10, 2)); // two chains, of at most four
    fields.extend([(0, 1), (0, 1), (1, 1), (1, 1)]); // which chain protects each target
    fields.extend([(5, 4); 10]); // frame differences of chains
    fields.push((1, 1)); // resolutions follow
    fields.extend([(319, 16), (179, 16), (639, 16), (359, 16)]);
    fields
}

fn key_descriptor() -> Vec<u8> {
    let mut fields = mandatory(62).to_vec();
    fields.push(STRUCTURE);
    fields.extend(structure_fields());
    packed(&fields)
}

fn structure() -> Structure {
    Descriptor::parse(&key_descriptor(), None).unwrap().structure.unwrap()
}

#[test]
fn structure_is_read() {
    let descriptor = Descriptor::parse(&key_descriptor(), None).unwrap();
    assert!(descriptor.key_frame() && has_structure(&key_descriptor()));
    assert_eq!(descriptor.mandatory.frame_number, 0x0102);
    assert!(descriptor.mandatory.start_of_frame && !descriptor.mandatory.end_of_frame);
    assert_eq!((descriptor.spatial, descriptor.temporal), (0, 0));
    assert_eq!(descriptor.active_decode_targets, Some(0b1111), "all, unless said otherwise");
    let structure = descriptor.structure.unwrap();
    let layers: Vec<_> = structure.templates().iter().map(|it| (it.spatial, it.temporal)).collect();
    assert_eq!(layers, [(0, 0), (0, 0), (0, 1), (1, 0), (1, 1)]);
    assert_eq!(structure.decode_target_count(), 4);
    assert_eq!([0, 1, 2, 3].map(|it| structure.decode_target_layers(it)), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    assert_eq!(structure.resolutions, Some([(320, 180), (640, 360), (0, 0), (0, 0)]));
}

#[test]
fn frames_take_layers_and_indications_from_their_template() {
    let structure = structure();
    for (name, template_id, layers, indications) in [
        ("the first", 62, (0, 0), [Indication::Switch; 4]),
        ("behind the wrap of ids", 1, (1, 0), {
            [Indication::NotPresent, Indication::NotPresent, Indication::Switch, Indication::Switch]
        }),
        ("the last", 2, (1, 1), {
            [Indication::NotPresent, Indication::NotPresent, Indication::NotPresent, Indication::Discardable]
        }),
    ] {
        let descriptor = Descriptor::parse(&packed(&mandatory(template_id)), Some(&structure)).unwrap();
        assert_eq!((descriptor.spatial, descriptor.temporal), layers, "{name}");
        assert_eq!([0, 1, 2, 3].map(|target| descriptor.indications.of(target)), indications, "{name}");
        assert_eq!((descriptor.active_decode_targets, descriptor.key_frame()), (None, false), "{name}");
    }
}

#[test]
fn custom_fields_are_read_or_skipped_in_order() {
    let structure = structure();
    let mut fields = mandatory(0).to_vec();
    // No structure; active targets, indications, frame differences and chains of its own.
    fields.extend([(0b01111, 5), (0b0101, 4)]);
    fields.extend([(1, 2), (2, 2), (3, 2), (0, 2)]);
    fields.extend([(1, 2), (15, 4), (3, 2), (0xfff, 12), (0, 2)]);
    fields.extend([(7, 8), (8, 8)]);
    let descriptor = Descriptor::parse(&packed(&fields), Some(&structure)).unwrap();
    assert_eq!(descriptor.active_decode_targets, Some(0b0101));
    let indications = [0, 1, 2, 3].map(|target| descriptor.indications.of(target));
    let expected =
        [Indication::Discardable, Indication::Switch, Indication::Required, Indication::NotPresent];
    assert_eq!(indications, expected);
    assert_eq!((descriptor.spatial, descriptor.temporal), (0, 1));
    fields.pop();
    assert_eq!(Descriptor::parse(&packed(&fields), Some(&structure)), Err(Malformed::Short));
}

#[test]
fn malformed_descriptors_are_refused() {
    let structure = structure();
    let endless_layers: Vec<_> =
        mandatory(0).into_iter().chain([STRUCTURE, (0, 11)]).chain([(0, 2); 65]).collect();
    let many_spatial: Vec<_> =
        mandatory(0).into_iter().chain([STRUCTURE, (0, 11)]).chain([(2, 2); 4]).collect();
    let many_temporal: Vec<_> =
        mandatory(0).into_iter().chain([STRUCTURE, (0, 11)]).chain([(1, 2); 8]).collect();
    for (name, data, known, expected) in [
        ("two bytes", std::vec![0, 0], Some(&structure), Malformed::Short),
        ("no structure yet", packed(&mandatory(0)), None, Malformed::NoStructure),
        ("template of another structure", packed(&mandatory(3)), Some(&structure), Malformed::Template),
        ("more templates than ids", packed(&endless_layers), None, Malformed::TooMany),
        ("more spatial layers than AV1 has", packed(&many_spatial), None, Malformed::TooMany),
        ("more temporal layers than AV1 has", packed(&many_temporal), None, Malformed::TooMany),
        (
            "no structure yet, extended",
            packed(&[&mandatory(0)[..], &[NO_EXTRA]].concat()),
            None,
            Malformed::NoStructure,
        ),
    ] {
        assert_eq!(Descriptor::parse(&data, known), Err(expected), "{name}");
    }
    let whole = key_descriptor();
    for len in 4..whole.len() {
        assert_eq!(Descriptor::parse(&whole[..len], None), Err(Malformed::Short), "{len}");
    }
}

#[test]
fn values_below_a_limit_take_the_bits_of_the_specification() {
    // AV1 §4.10.7, ns(n): of five values three take two bits and two take three.
    for (name, limit, bits, expected) in [
        ("0 of 5", 5, &[0b0000_0000][..], Some(0)),
        ("2 of 5", 5, &[0b1000_0000], Some(2)),
        ("3 of 5", 5, &[0b1100_0000], Some(3)),
        ("4 of 5", 5, &[0b1110_0000], Some(4)),
        ("the only one", 1, &[], Some(0)),
        ("1 of 2", 2, &[0b1000_0000], Some(1)),
        ("31 of 33", 33, &[0b1111_1000], Some(31)),
        ("32 of 33", 33, &[0b1111_1100], Some(32)),
        ("cut off", 5, &[], None),
        ("nothing to choose from", 0, &[0], None),
    ] {
        assert_eq!(Bits::new(bits).non_symmetric(limit), expected, "{name}");
    }
}
