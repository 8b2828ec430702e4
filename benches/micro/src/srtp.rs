//! Sealing and opening one video packet by each profile and cipher; webrtc-srtp does the same work beside it.

mod timing;

use core::hint::black_box;

use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput};
use srtp::aws_lc::AwsLc;
use srtp::cipher::Cipher;
use srtp::inbound::Inbound;
use srtp::keys::{Keys, Profile};
use srtp::outbound::Outbound;
use srtp::rust_crypto::RustCrypto;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::srtp_replay_protection;
use webrtc_srtp::protection_profile::ProtectionProfile;
use wire::rtp::{Fields, Header, Patch, write_header};

use timing::CpuTime;

fn main() {
    let mut criterion = timing::criterion();
    for profile in [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmSha1_80] {
        assert_same_bytes::<AwsLc>(profile);
        assert_same_bytes::<RustCrypto>(profile);
        let (header, tag) = (plain(Seq(0)).len() - PAYLOAD_LEN, profile.tag_len());
        let len = header + PAYLOAD_LEN + tag;
        println!(
            "note: {}: {len} bytes per packet: {header} header, {PAYLOAD_LEN} payload, {tag} tag",
            profile.name()
        );
        seal(&mut criterion, profile);
        open(&mut criterion, profile);
    }
    criterion.final_summary();
}

fn seal(criterion: &mut Criterion<CpuTime>, profile: Profile) {
    let mut group = group(criterion, "seal", profile);
    if profile == Profile::Aes128CmSha1_80 {
        seal_ours::<AwsLc>(&mut group, NO_CHOICE, profile);
    } else {
        seal_ours::<AwsLc>(&mut group, "aws-lc", profile);
        seal_ours::<RustCrypto>(&mut group, "rust-crypto", profile);
    }
    group.bench_function(REFERENCE, |bencher| {
        let mut context = reference(profile);
        let mut sequence = Seq(0);
        let mut packet = plain(sequence);
        bencher.iter(|| {
            sequence = sequence.next();
            number(&mut packet, sequence);
            context.encrypt_rtp(black_box(&packet)).expect("a well-formed packet")
        });
    });
    group.finish();
}

/// From the received packet into another buffer, as the engine does.
fn seal_ours<C: Cipher>(group: &mut BenchmarkGroup<'_, CpuTime>, name: &str, profile: Profile) {
    group.bench_function(name, |bencher| {
        let mut outbound = Outbound::<C>::new(&keys(profile, true));
        let mut sequence = Seq(0);
        let packet = plain(sequence);
        let (header, payload) = packet.split_at(packet.len() - PAYLOAD_LEN);
        let mut out = [0; BUFFER_LEN];
        out[..header.len()].copy_from_slice(header);
        bencher.iter(|| {
            sequence = sequence.next();
            number(&mut out, sequence);
            outbound.seal_rtp(sequence, black_box(&mut out), header.len(), black_box(payload))
        });
    });
}

fn open(criterion: &mut Criterion<CpuTime>, profile: Profile) {
    let mut group = group(criterion, "open", profile);
    if profile == Profile::Aes128CmSha1_80 {
        open_ours::<AwsLc>(&mut group, NO_CHOICE, profile);
    } else {
        open_ours::<AwsLc>(&mut group, "aws-lc", profile);
        open_ours::<RustCrypto>(&mut group, "rust-crypto", profile);
    }
    group.bench_function(REFERENCE, |bencher| {
        let mut context = reference(profile);
        bencher.iter_batched_ref(
            sealer(profile),
            |packet| context.decrypt_rtp(packet).expect("an authentic packet"),
            BATCH,
        );
    });
    group.finish();
}

/// With the parsing of the header, which webrtc-srtp does too.
fn open_ours<C: Cipher>(group: &mut BenchmarkGroup<'_, CpuTime>, name: &str, profile: Profile) {
    group.bench_function(name, |bencher| {
        let mut inbound = Inbound::<C>::new(&keys(profile, false));
        bencher.iter_batched_ref(
            sealer(profile),
            |packet| {
                let header_len = Header::parse(packet).expect("a well-formed packet").header_len();
                inbound.open_rtp(packet, header_len).expect("an authentic packet")
            },
            BATCH,
        );
    });
}

fn group<'a>(
    criterion: &'a mut Criterion<CpuTime>,
    what: &str,
    profile: Profile,
) -> BenchmarkGroup<'a, CpuTime> {
    let mut group = criterion.benchmark_group(format!("{what} {}", profile.name()));
    group.throughput(Throughput::Bytes(PAYLOAD_LEN as u64));
    group
}

/// A new packet with each call: none of them is a replay.
fn sealer(profile: Profile) -> impl FnMut() -> Vec<u8> {
    let mut outbound = Outbound::<AwsLc>::new(&keys(profile, true));
    let mut sequence = Seq(0);
    move || {
        sequence = sequence.next();
        sealed(&mut outbound, sequence)
    }
}

fn sealed<C: Cipher>(outbound: &mut Outbound<C>, sequence: Seq) -> Vec<u8> {
    let mut packet = plain(sequence);
    let len = packet.len();
    packet.resize(len + outbound.rtp_overhead(), 0);
    outbound.seal_rtp_in_place(sequence, &mut packet, len - PAYLOAD_LEN, len).expect("there is room");
    packet
}

/// What is compared is the same work.
fn assert_same_bytes<C: Cipher>(profile: Profile) {
    let ours = sealed(&mut Outbound::<C>::new(&keys(profile, true)), Seq(9));
    let theirs = reference(profile).encrypt_rtp(&plain(Seq(9))).expect("a well-formed packet");
    assert_eq!(ours, theirs);
}

/// A packet of video with a MID and a transport-wide number, in the clear.
fn plain(sequence: Seq) -> Vec<u8> {
    let fields = Fields {
        marker: false,
        payload_type: PayloadType(96),
        sequence: sequence.low(),
        timestamp: 90_000,
        ssrc: Ssrc(0x1234_5678),
        padding: false,
    };
    let mut packet = vec![0; BUFFER_LEN];
    let header_len = write_header(&mut packet, &fields, &[(1, b"1"), (5, &[0, 7])]).expect("there is room");
    packet.truncate(header_len);
    packet.extend((0..=u8::MAX).cycle().take(PAYLOAD_LEN));
    packet
}

fn number(packet: &mut [u8], sequence: Seq) {
    Patch::new(packet).expect("a header is there").set_sequence(sequence.low());
}

fn material() -> [u8; 88] {
    core::array::from_fn(|index| index.to_le_bytes()[0])
}

fn keys(profile: Profile, we_are_client: bool) -> Keys {
    Keys::from_keying_material(profile, &material(), we_are_client)
        .expect("88 bytes suffice for each profile")
}

/// The client's direction, in a context that seals or opens.
fn reference(profile: Profile) -> Context {
    let theirs = match profile {
        Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Profile::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let material = material();
    let (key, salt) =
        (&material[..profile.key_len()], &material[2 * profile.key_len()..][..profile.salt_len()]);
    Context::new(key, salt, theirs, Some(srtp_replay_protection(1024)), None)
        .expect("lengths fit the profile")
}

const PAYLOAD_LEN: usize = 1_160;
const BUFFER_LEN: usize = 1_500;
const BATCH: BatchSize = BatchSize::NumIterations(64); // what a driver receives at once; fits a second-level cache
const REFERENCE: &str = "webrtc-srtp";
const NO_CHOICE: &str = "either cipher"; // they differ in GCM only
