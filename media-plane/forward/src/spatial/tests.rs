//! Pictures of two spatial layers, one packet for each frame.

use wire::picture_id::PictureId;

use super::*;

const ALL: Limits = Limits { spatial: 3, temporal: 3 };
const LOW: Limits = Limits { spatial: 0, temporal: 3 };

fn packet(picture: u16, spatial: u8, temporal: u8) -> Descriptor {
    Descriptor {
        len: 5,
        picture_id: Some(PictureId::Fifteen(picture)),
        inter_picture_predicted: true,
        flexible: false,
        start_of_frame: true,
        end_of_frame: true,
        not_for_inter_layer: false,
        layer: Some(Layer { temporal, switching_up: false, spatial, inter_layer_dependent: spatial > 0 }),
        tl0_picture_index: Some(0),
        structure: None,
    }
}

fn anew(packet: Descriptor) -> Descriptor {
    Descriptor { inter_picture_predicted: false, ..packet }
}

fn up(packet: Descriptor) -> Descriptor {
    Descriptor { layer: packet.layer.map(|layer| Layer { switching_up: true, ..layer }), ..packet }
}

fn started(limits: Limits) -> Layers {
    let mut layers = Layers::new(limits);
    layers.switch();
    play(&mut layers, &anew(packet(100, 0, 0)), Order::Contiguous).unwrap();
    let upper = play(&mut layers, &anew(packet(100, 1, 0)), Order::Contiguous);
    assert_eq!(upper.is_ok(), limits != LOW);
    layers
}

/// Whether it ends the picture; a late one that goes out empty is `None`.
fn play(layers: &mut Layers, packet: &Descriptor, order: Order) -> Result<Option<bool>, Reason> {
    let picture = packet.picture_id.map(|id| Seq(u64::from(id.value())));
    match layers.pass(packet, picture, order)? {
        Pass::Send { ends_picture, .. } => Ok(Some(ends_picture)),
        Pass::Empty => Ok(None),
        Pass::Drop(reason) | Pass::DropWithGap(reason) => Err(reason),
    }
}

#[test]
fn spatial_layer_goes_between_pictures_and_comes_where_it_begins_anew() {
    let mut layers = started(ALL);
    for (name, limits, packet, expected) in [
        ("whole", ALL, packet(101, 0, 0), Ok(Some(false))),
        ("less is wanted in the middle of the picture", LOW, packet(101, 1, 0), Ok(Some(false))),
        ("next picture", LOW, packet(102, 0, 0), Ok(Some(true))),
        ("its upper layer", LOW, packet(102, 1, 0), Err(Reason::Spatial)),
        ("all are wanted again", ALL, packet(103, 0, 0), Ok(Some(true))),
        ("refers to what was dropped", ALL, packet(103, 1, 0), Err(Reason::Spatial)),
        ("lower layer", ALL, packet(104, 0, 0), Ok(Some(true))),
        ("two layers up", ALL, anew(packet(104, 2, 0)), Err(Reason::Spatial)),
        ("lower layer", ALL, packet(105, 0, 0), Ok(Some(true))),
        ("begins anew", ALL, anew(packet(105, 1, 0)), Ok(Some(true))),
        ("goes on", ALL, packet(106, 1, 0), Ok(Some(true))),
    ] {
        layers.set_limits(limits);
        assert_eq!(play(&mut layers, &packet, Order::Contiguous), expected, "{name}");
    }
}

#[test]
fn key_frame_is_needed_where_more_is_offered_than_passes() {
    let mut layers = started(LOW);
    assert!(!layers.needs_key_frame(), "not wanted");
    layers.set_limits(ALL);
    assert!(layers.needs_key_frame());
    play(&mut layers, &anew(packet(101, 0, 0)), Order::Contiguous).unwrap();
    assert!(!layers.needs_key_frame(), "this one was");
    let mut layers = started(ALL);
    assert!(!layers.needs_key_frame(), "no more is offered");
    layers.set_limits(Limits { spatial: 2, temporal: 3 });
    assert!(!layers.needs_key_frame());
}

#[test]
fn temporal_layer_comes_behind_a_switching_point() {
    let mut layers = started(Limits { spatial: 3, temporal: 0 });
    let more = Limits { spatial: 3, temporal: 2 };
    for (name, limits, packet, expected) in [
        ("above", LOW_RATE, packet(101, 0, 1), Err(Reason::Temporal)),
        ("its upper layer", LOW_RATE, packet(101, 1, 1), Err(Reason::Temporal)),
        ("more is wanted, no switching point", more, packet(102, 0, 0), Ok(Some(false))),
        ("above, a switching point for what is above it", more, up(packet(103, 0, 1)), Err(Reason::Temporal)),
        ("switching point", more, up(packet(104, 0, 0)), Ok(Some(false))),
        ("above", more, packet(105, 0, 2), Ok(Some(false))),
        ("less is wanted in the middle of the picture", LOW_RATE, packet(105, 1, 2), Ok(Some(false))),
        ("next picture", LOW_RATE, packet(106, 0, 1), Err(Reason::Temporal)),
    ] {
        layers.set_limits(limits);
        assert_eq!(play(&mut layers, &packet, Order::Contiguous), expected, "{name}");
    }
}

const LOW_RATE: Limits = Limits { spatial: 3, temporal: 0 };

#[test]
fn late_packets_have_their_pictures_fate() {
    let mut layers = started(ALL);
    play(&mut layers, &packet(101, 0, 0), Order::Contiguous).unwrap();
    layers.set_limits(Limits { spatial: 0, temporal: 0 });
    for (name, packet, order, expected) in [
        ("behind a gap, with less", packet(104, 0, 0), Order::Gap, Ok(Some(true))),
        ("above", packet(105, 0, 1), Order::Contiguous, Err(Reason::Temporal)),
        ("late of the picture before the gap", packet(101, 1, 0), Order::Late, Ok(Some(false))),
        ("late in the gap: by what passed then", packet(103, 1, 2), Order::Late, Ok(Some(false))),
        ("late, behind the gap", packet(104, 1, 0), Order::Late, Ok(None)),
        ("late, dropped", packet(105, 0, 1), Order::Late, Ok(None)),
        ("before the start", packet(99, 0, 0), Order::Late, Ok(None)),
        ("yet to come", packet(110, 0, 0), Order::Late, Err(Reason::UnknownPicture)),
    ] {
        assert_eq!(play(&mut layers, &packet, order), expected, "{name}");
    }
}

#[test]
fn gap_between_dropped_layers_of_a_picture_is_closed_up() {
    let mut layers = started(LOW);
    let mut pass = |packet: &Descriptor, order| {
        let picture = packet.picture_id.map(|id| Seq(u64::from(id.value())));
        layers.pass(packet, picture, order)
    };
    let dropped = Ok(Pass::Drop(Reason::Spatial));
    pass(&packet(101, 0, 0), Order::Contiguous).unwrap();
    assert_eq!(pass(&packet(101, 1, 0), Order::Gap), dropped, "the lower layer may be in the gap");
    assert_eq!(pass(&packet(101, 2, 0), Order::Gap), Ok(Pass::DropWithGap(Reason::Spatial)));
    assert_eq!(pass(&packet(102, 1, 0), Order::Gap), dropped, "another picture");
}

#[test]
fn stream_without_ids_or_layers_passes() {
    let bare = Descriptor { picture_id: None, layer: None, ..packet(0, 0, 0) };
    let mut layers = Layers::new(LOW);
    for order in [Order::Contiguous, Order::Gap, Order::Late] {
        assert_eq!(play(&mut layers, &bare, order), Ok(Some(true)));
    }
}
