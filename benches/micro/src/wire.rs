//! Reading and writing the bytes of a packet: RTP header, extensions, VP8 descriptor, NACK, transport feedback.

mod timing;

use core::hint::black_box;
use core::time::Duration;

use criterion::Criterion;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;
use units::time::Instant;
use wire::picture_id::PictureId;
use wire::rtcp::build::{Builder, FeedbackHead};
use wire::rtp::{Fields, Header, write_header};
use wire::vp8::{DESCRIPTOR_LEN_MAX, Descriptor, Temporal};

use timing::CpuTime;

fn main() {
    let mut criterion = timing::criterion();
    rtp(&mut criterion);
    vp8(&mut criterion);
    nack(&mut criterion);
    transport_feedback(&mut criterion);
    criterion.final_summary();
}

fn rtp(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("rtp");
    let mut packet = [0x5a; PACKET_LEN];
    let fields = Fields {
        marker: true,
        payload_type: PayloadType(96),
        sequence: Seq16(7),
        timestamp: 90_000,
        ssrc: Ssrc(0x1234_5678),
        padding: false,
    };
    // As Chromium sends them with simulcast.
    let extensions: [(u8, &[u8]); 4] = [(4, b"1"), (10, b"f"), (2, &[1, 2, 3]), (3, &[0, 7])];
    write_header(&mut packet, &fields, &extensions).expect("there is room");
    group.bench_function("parse a header with 4 extensions", |bencher| {
        bencher.iter(|| Header::parse(black_box(&packet)).map(|header| header.header_len()));
    });
    group.bench_function("parse it and look up the last extension", |bencher| {
        bencher.iter(|| {
            let header = Header::parse(black_box(&packet)).expect("a well-formed packet");
            header.extension(3).map(<[u8]>::len)
        });
    });
    let header = Header::parse(&packet).expect("a well-formed packet");
    group.bench_function("look up an extension that is not there", |bencher| {
        bencher.iter(|| black_box(&header).extension(9).map(<[u8]>::len));
    });
    let mut out = [0; PACKET_LEN];
    group.bench_function("write that header", |bencher| {
        bencher.iter(|| write_header(black_box(&mut out), black_box(&fields), black_box(&extensions)));
    });
    group.finish();
}

fn vp8(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("vp8");
    let descriptor = Descriptor {
        len: 0,
        non_reference: false,
        start_of_partition: true,
        partition: 0,
        picture_id: Some(PictureId::Fifteen(12_345)),
        tl0_picture_index: Some(200),
        temporal: Some(Temporal { id: 1, sync: true }),
        key_index: Some(3),
        key_frame: false,
        dimensions: None,
    };
    let mut payload = [1; PACKET_LEN]; // the bit of a picture that is no key frame
    let len = descriptor.write(&mut payload).expect("there is room");
    assert_eq!(Descriptor::parse(&payload), Ok(Descriptor { len, ..descriptor }));
    group.bench_function("parse a descriptor with all fields", |bencher| {
        bencher.iter(|| Descriptor::parse(black_box(&payload)));
    });
    let mut out = [0; DESCRIPTOR_LEN_MAX];
    group.bench_function("write it", |bencher| {
        bencher.iter(|| black_box(&descriptor).write(black_box(&mut out)));
    });
    group.finish();
}

fn nack(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("nack");
    let burst: Vec<Seq16> = (65_530..=u16::MAX).chain(0..6).map(Seq16).collect();
    let scattered: Vec<Seq16> = (0..50).map(|index| Seq16(index * 20)).collect();
    for (name, missing, pairs) in
        [("write a burst of 12 lost", &burst, 1), ("write 50 lost, each alone", &scattered, 50)]
    {
        let mut out = [0; PACKET_LEN];
        let mut write = || {
            let mut builder = Builder::new(black_box(&mut out));
            let told = builder.nack(Ssrc(1), Ssrc(2), black_box(missing).iter().copied());
            (told, builder.len())
        };
        assert_eq!(write(), (Ok(missing.len()), 12 + 4 * pairs), "{name}");
        group.bench_function(name, |bencher| bencher.iter(&mut write));
    }
    group.finish();
}

fn transport_feedback(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("transport feedback");
    let head = FeedbackHead { sender: Ssrc(1), media: Ssrc(2), base: Seq16(65_500), feedback_count: 7 };
    for (name, lost_every) in
        [("write 100 packets, none lost", usize::MAX), ("write 100 packets, every 10th lost", 10)]
    {
        let arrivals: Vec<Option<Instant>> =
            (0..100).map(|index| ((index + 1) % lost_every != 0).then(|| arrival(index))).collect();
        let mut out = [0; PACKET_LEN];
        let mut write = || {
            let mut builder = Builder::new(black_box(&mut out));
            builder.transport_feedback(&head, black_box(&arrivals).iter().copied())
        };
        assert_eq!(write(), Ok(100), "{name}");
        group.bench_function(name, |bencher| bencher.iter(&mut write));
    }
    group.finish();
}

/// Pictures of 5 packets, 33 ms apart; within a picture 0.3 ms.
fn arrival(index: usize) -> Instant {
    let (picture, packet) = (index as u64 / 5, index as u64 % 5);
    Instant(1_000_000_000) + Duration::from_micros(picture * 33_000 + packet * 300)
}

const PACKET_LEN: usize = 1_100;
