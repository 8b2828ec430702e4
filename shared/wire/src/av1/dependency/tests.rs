//! Descriptors written bit by bit, read field by field.

use std::vec::Vec;

use proptest::prelude::*;

use super::rewrite::{ActiveDecodeTargets, LEN_MAX, rewrite};
use super::structure::{DecodeTarget, Indication};
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
    fields.extend([0, 0, 2, 1, 2, 1, 1, 1, 1, 2].map(|difference| (difference, 4))); // of chains, by template
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
    Structure::brought_by(&key_descriptor()).unwrap().unwrap()
}

fn differences(all: &[u16]) -> Differences {
    let mut differences = Differences::default();
    all.iter().for_each(|difference| differences.push(*difference).unwrap());
    differences
}

/// Reads a descriptor with whatever structure it takes.
fn read(data: &[u8], known: Option<&Structure>) -> Result<Descriptor, Malformed> {
    let brought = Structure::brought_by(data)?;
    Descriptor::parse(data, brought.as_ref().or(known).expect("a structure"))
}

#[test]
fn structure_is_read() {
    let structure = structure();
    let descriptor = Descriptor::parse(&key_descriptor(), &structure).unwrap();
    assert!(descriptor.key_frame() && has_structure(&key_descriptor()));
    assert_eq!(descriptor.mandatory.frame_number, 0x0102);
    assert!(descriptor.mandatory.start_of_frame && !descriptor.mandatory.end_of_frame);
    assert_eq!((descriptor.spatial, descriptor.temporal), (0, 0));
    assert_eq!((descriptor.active_decode_targets, structure.all_decode_targets()), (None, 0b1111));
    let layers: Vec<_> = structure.templates().iter().map(|it| (it.spatial, it.temporal)).collect();
    assert_eq!(layers, [(0, 0), (0, 0), (0, 1), (1, 0), (1, 1)]);
    let referred: Vec<_> = structure.templates().iter().map(|it| it.differences).collect();
    assert_eq!(referred, [&[][..], &[4], &[2, 3], &[], &[]].map(differences));
    let chains: Vec<_> = structure.templates().iter().map(|it| it.chain_differences[..2].to_vec()).collect();
    assert_eq!(chains, [[0, 0], [2, 1], [2, 1], [1, 1], [1, 2]]);
    let target = |spatial, temporal, chain| DecodeTarget { spatial, temporal, chain };
    assert_eq!(
        structure.decode_targets(),
        [target(0, 0, 0), target(0, 1, 0), target(1, 0, 1), target(1, 1, 1)]
    );
    assert_eq!(structure.chain_count(), 2);
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
        let descriptor = Descriptor::parse(&packed(&mandatory(template_id)), &structure).unwrap();
        assert_eq!((descriptor.spatial, descriptor.temporal), layers, "{name}");
        assert_eq!([0, 1, 2, 3].map(|target| descriptor.indications.of(target)), indications, "{name}");
        assert_eq!((descriptor.active_decode_targets, descriptor.key_frame()), (None, false), "{name}");
    }
}

#[test]
fn custom_fields_are_read_in_order() {
    let structure = structure();
    let mut fields = mandatory(0).to_vec();
    // No structure; active targets, indications, frame differences and chains of its own.
    fields.extend([(0b01111, 5), (0b0101, 4)]);
    fields.extend([(1, 2), (2, 2), (3, 2), (0, 2)]);
    fields.extend([(1, 2), (15, 4), (3, 2), (0xfff, 12), (0, 2)]);
    fields.extend([(7, 8), (8, 8)]);
    let descriptor = Descriptor::parse(&packed(&fields), &structure).unwrap();
    assert_eq!(descriptor.differences, differences(&[16, 4096]));
    assert_eq!(descriptor.chain_differences[..3], [7, 8, 0]);
    assert_eq!(descriptor.active_decode_targets, Some(0b0101));
    let indications = [0, 1, 2, 3].map(|target| descriptor.indications.of(target));
    let expected =
        [Indication::Discardable, Indication::Switch, Indication::Required, Indication::NotPresent];
    assert_eq!(indications, expected);
    assert_eq!((descriptor.spatial, descriptor.temporal), (0, 1));
    fields.pop();
    assert_eq!(Descriptor::parse(&packed(&fields), &structure), Err(Malformed::Short));
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
    let many_differences: Vec<_> =
        mandatory(0).into_iter().chain([(0b00010, 5)]).chain([(1, 2), (0, 4)].repeat(9)).collect();
    for (name, data, known, expected) in [
        ("two bytes", std::vec![0, 0], Some(&structure), Malformed::Short),
        ("template of another structure", packed(&mandatory(3)), Some(&structure), Malformed::Template),
        ("more templates than ids", packed(&endless_layers), None, Malformed::TooMany),
        ("more spatial layers than AV1 has", packed(&many_spatial), None, Malformed::TooMany),
        ("more temporal layers than AV1 has", packed(&many_temporal), None, Malformed::TooMany),
        (
            "more frames referred to than AV1 can",
            packed(&many_differences),
            Some(&structure),
            Malformed::TooMany,
        ),
    ] {
        assert_eq!(read(&data, known), Err(expected), "{name}");
    }
    let whole = key_descriptor();
    for len in 4..whole.len() {
        assert_eq!(Structure::brought_by(&whole[..len]), Err(Malformed::Short), "{len}");
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

/// What a descriptor may have besides the mandatory fields, bit by bit.
#[derive(Clone, Debug)]
struct Custom {
    structure: bool,
    active: Option<u32>,
    indications: Option<[u32; 4]>,
    differences: Option<Vec<u32>>,
    chains: Option<[u32; 2]>,
}

fn custom() -> impl Strategy<Value = Custom> {
    let differences = proptest::collection::vec(1_u32..=4096, 0..=DIFFERENCES_MAX);
    let indications = proptest::option::of(proptest::array::uniform4(0_u32..4));
    let chains = proptest::option::of(proptest::array::uniform2(0_u32..256));
    (any::<bool>(), proptest::option::of(0_u32..16), indications, proptest::option::of(differences), chains)
        .prop_map(|(structure, active, indications, differences, chains)| Custom {
            structure,
            active,
            indications,
            differences,
            chains,
        })
}

fn descriptor_with(template_id: u32, custom: &Custom) -> Vec<u8> {
    let mut fields = mandatory(template_id).to_vec();
    let Custom { structure, active, indications, differences, chains } = custom;
    let flags =
        [*structure, active.is_some(), indications.is_some(), differences.is_some(), chains.is_some()];
    if flags == [false; 5] {
        return packed(&fields);
    }
    fields.extend(flags.map(|flag| (u32::from(flag), 1)));
    if *structure {
        fields.extend(structure_fields());
    }
    fields.extend(active.map(|active| (active, 4)));
    fields.extend(indications.iter().flatten().map(|indication| (*indication, 2)));
    if let Some(differences) = differences {
        for less_one in differences.iter().map(|difference| difference - 1) {
            let size = if less_one < 16 {
                1
            } else if less_one < 256 {
                2
            } else {
                3
            };
            fields.extend([(size, 2), (less_one, size * 4)]);
        }
        fields.push((0, 2));
    }
    fields.extend(chains.iter().flatten().map(|difference| (*difference, 8)));
    packed(&fields)
}

#[test]
fn three_bytes_stay_three_bytes_unless_decode_targets_are_told() {
    let data = packed(&mandatory(0));
    let mut out = [0xff; LEN_MAX];
    assert_eq!(rewrite(&data, 0xabcd, None, &mut out), Some(&[0x80, 0xab, 0xcd][..]));
    let active = ActiveDecodeTargets { bitmask: 0b0011, count: 4 };
    let expected = [0x80, 0xab, 0xcd, 0b0100_0001, 0b1000_0000];
    assert_eq!(rewrite(&data, 0xabcd, Some(active), &mut out), Some(&expected[..]));
    assert_eq!(rewrite(&[0x80, 1], 7, Some(active), &mut out), None, "cut off");
    assert_eq!(rewrite(&[0; LEN_MAX + 1], 7, None, &mut out), None, "longer than any element");
}

proptest! {
    #[test]
    fn rewritten_descriptor_differs_in_what_was_asked_for_only(
        template_id in prop_oneof![Just(62_u32), Just(63), 0_u32..3],
        custom in custom(),
        frame_number: u16,
        active in proptest::option::of(0_u32..16),
    ) {
        let data = descriptor_with(template_id, &custom);
        let structure = structure();
        let before = Descriptor::parse(&data, &structure).unwrap();
        let mut out = [0xff; LEN_MAX];
        let active_targets = active.map(|bitmask| ActiveDecodeTargets { bitmask, count: 4 });
        let written = rewrite(&data, frame_number, active_targets, &mut out).unwrap();
        let expected = Descriptor {
            mandatory: Mandatory { frame_number, ..before.mandatory },
            active_decode_targets: active.or(before.active_decode_targets),
            ..before
        };
        prop_assert_eq!(Descriptor::parse(written, &structure), Ok(expected));
        prop_assert_eq!(Structure::brought_by(written), Structure::brought_by(&data));
        prop_assert!(written.len() <= data.len() + 2, "five flags and four decode targets");
        if active == before.active_decode_targets {
            let as_before = written.get(3..data.len());
            prop_assert_eq!(as_before, data.get(3..), "bit for bit");
        }
    }
}
