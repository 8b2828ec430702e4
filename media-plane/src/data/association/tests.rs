//! Two ends with a network between them that loses and reorders.

use super::*;

fn spec(channels: &[(&str, bool, Option<u32>)]) -> SctpSpec {
    SctpSpec {
        remote_port: 5000,
        message_size_max: 0,
        channels: channels
            .iter()
            .map(|&(label, ordered, retransmits_max)| ChannelSpec {
                label: label.into(),
                ordered,
                retransmits_max,
            })
            .collect(),
    }
}

const LIVEKIT: [(&str, bool, Option<u32>); 2] = [("_reliable", true, None), ("_lossy", false, Some(0))];

/// Two ends, and a network that may lose and reorder.
struct World {
    now: Instant,
    ends: [Association; 2],
    heard: [Vec<Received>; 2],
    closed: [bool; 2],
    refused: usize,
    loss: u8,
    random: u32,
}

impl World {
    fn new(client: &SctpSpec, server: &SctpSpec) -> Self {
        let now = Instant::now();
        Self {
            now,
            ends: [Association::new(now, Role::Client, client), Association::new(now, Role::Server, server)],
            heard: [Vec::new(), Vec::new()],
            closed: [false; 2],
            refused: 0,
            loss: 0,
            random: 7,
        }
    }

    fn roll(&mut self) -> u8 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.random >> 24) as u8
    }

    /// One exchange; returns whether anything was said.
    fn step(&mut self) -> bool {
        let mut said = false;
        for from in 0..2 {
            self.ends[from].flush(self.now);
            let mut packets = Vec::new();
            while let Some(output) = self.ends[from].poll() {
                match output {
                    Output::Packet(packet) => packets.push(packet),
                    Output::Message(message) => self.heard[from].push(message),
                    Output::Closed => self.closed[from] = true,
                    Output::Refused => self.refused += 1,
                    Output::Established | Output::Opened { .. } => {}
                }
            }
            said |= !packets.is_empty();
            if self.loss > 0 {
                packets.reverse();
            }
            for packet in packets {
                assert!(packet.len() <= PACKET as usize, "{}", packet.len());
                if self.roll() >= self.loss {
                    self.ends[1 - from].receive(self.now, &packet);
                }
            }
        }
        said
    }

    fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let limit = self.now + Duration::from_secs(120);
        while !condition(self) {
            assert!(self.now < limit, "{what}: {:?}", self.ends);
            if !self.step() {
                let next = self.ends.iter().filter_map(Association::deadline).min();
                self.now = next.unwrap_or(self.now).max(self.now + Duration::from_millis(1));
                for end in &mut self.ends {
                    end.timeout(self.now);
                }
            }
        }
    }

    fn open(&self, end: usize, label: &str) -> bool {
        self.ends[end].channel(label).is_some()
    }

    fn send(&mut self, from: usize, label: &str, text: bool, bytes: &[u8]) -> Result<(), SendError> {
        let stream =
            self.ends[from].channel(label).map(|channel| channel.stream).ok_or(SendError::NoChannel)?;
        self.ends[from].send(stream, text, &Bytes::copy_from_slice(bytes))
    }
}

#[test]
fn channels_open_from_either_side_with_the_right_parity() {
    for (name, client, server, parity) in
        [("client-made", &LIVEKIT[..], &[][..], 0), ("server-made", &[], &LIVEKIT, 1)]
    {
        let mut world = World::new(&spec(client), &spec(server));
        world
            .until(name, |world| (0..2).all(|end| world.open(end, "_reliable") && world.open(end, "_lossy")));
        for end in 0..2 {
            let channel = world.ends[end].channel("_lossy").unwrap();
            assert_eq!(channel.stream % 2, parity, "{name}");
            assert_eq!(channel.reliability, Reliability::Retransmits(0), "{name}");
            assert!(!channel.ordered, "{name}");
        }
    }
}

#[test]
fn messages_arrive_whole_in_both_directions() {
    let mut world = World::new(&spec(&LIVEKIT), &spec(&[]));
    world.until("open", |world| world.open(1, "_lossy") && world.open(1, "_reliable"));
    let large: Vec<u8> = (0..=250).cycle().take(60 * 1024).collect();
    for from in 0..2 {
        for (label, text, bytes) in [
            ("_reliable", false, &large[..]),
            ("_lossy", false, &large),
            ("_reliable", true, b"text"),
            ("_reliable", false, b""),
        ] {
            let before = world.heard[1 - from].len();
            world.send(from, label, text, bytes).unwrap();
            world.until(label, |world| world.heard[1 - from].len() > before);
            let message = world.heard[1 - from].last().unwrap();
            assert_eq!((message.label.as_str(), message.text), (label, text));
            assert_eq!(message.kind, Kind::of(label));
            assert!(message.bytes == bytes, "{label}");
        }
    }
}

#[test]
fn reliable_messages_survive_loss_in_order() {
    let mut world = World::new(&spec(&LIVEKIT), &spec(&[]));
    world.loss = 51;
    world.until("open", |world| world.open(1, "_reliable"));
    for index in 0..200_u8 {
        world.send(0, "_reliable", false, &[index; 300]).unwrap();
    }
    world.until("all", |world| world.heard[1].len() == 200);
    assert!(world.heard[1].iter().zip(0..).all(|(message, index)| message.bytes[0] == index));
    assert_eq!(world.closed, [false; 2]);
}

#[test]
fn a_lost_lossy_message_holds_nothing_up() {
    let mut world = World::new(&spec(&LIVEKIT), &spec(&[]));
    world.until("open", |world| world.open(1, "_lossy"));
    world.loss = 64;
    for index in 0..100_u8 {
        let _ = world.send(0, "_lossy", false, &[index]);
        world.step();
    }
    world.loss = 0;
    let _ = world.send(0, "_lossy", false, &[200]);
    world.until("last", |world| world.heard[1].iter().any(|message| message.bytes[..] == [200]));
    assert!(world.heard[1].len() < 101);
}

#[test]
fn both_may_speak_first() {
    for seed in 0..20 {
        let mut world = World::new(&spec(&LIVEKIT), &spec(&[("server", true, None)]));
        // Both waited in vain and spoke at the same moment; some of it is lost.
        world.now += FIRST_WORD;
        (world.random, world.loss) = (seed, 100);
        for end in &mut world.ends {
            end.timeout(world.now);
        }
        world.until(&format!("crossed, seed {seed}"), |world| {
            (0..2).all(|end| world.open(end, "_reliable") && world.open(end, "server"))
        });
        world.loss = 0;
        world.send(1, "server", true, b"hello").unwrap();
        world.until("hello", |world| world.heard[0].iter().any(|message| &message.bytes[..] == b"hello"));
    }
}

#[test]
fn a_slow_receiver_is_told_apart() {
    let mut world = World::new(&spec(&LIVEKIT), &spec(&[]));
    world.until("open", |world| world.open(1, "_lossy") && world.open(1, "_reliable"));
    for (label, most) in [("_lossy", BUFFERED_LOSSY_MAX), ("_reliable", BUFFERED_RELIABLE_MAX)] {
        let mut queued = 0;
        while world.send(0, label, false, &[0; 16 * 1024]) == Ok(()) {
            queued += 16 * 1024;
        }
        assert_eq!(world.send(0, label, false, b"x"), Err(SendError::Slow), "{label}");
        assert!(queued >= most && queued <= most + 32 * 1024, "{label}: {queued}");
    }
}

#[test]
fn what_is_too_large_is_not_sent() {
    let small = SctpSpec { message_size_max: 1000, ..spec(&LIVEKIT) };
    let mut world = World::new(&small, &spec(&[]));
    world.until("open", |world| world.open(1, "_reliable"));
    assert_eq!(world.send(0, "_reliable", false, &[0; 1001]), Err(SendError::TooLarge));
    assert_eq!(world.send(0, "_reliable", false, &[0; 1000]), Ok(()));
}

#[test]
fn channels_beyond_the_limit_are_refused() {
    let labels: Vec<String> = (0..20).map(|index| format!("channel {index}")).collect();
    let specs: Vec<_> = labels.iter().map(|label| (label.as_str(), true, None)).collect();
    let mut world = World::new(&spec(&specs[..16]), &spec(&[("server", true, None)]));
    world.until("refused", |world| world.refused > 0);
    assert!(world.ends.iter().all(|end| end.channels.len() <= CHANNELS_MAX));
    assert_eq!(world.closed, [false; 2]);
}

#[test]
fn a_late_init_closes_nothing() {
    let mut world = World::new(&spec(&LIVEKIT), &spec(&[]));
    world.now += FIRST_WORD;
    world.ends[0].timeout(world.now);
    world.ends[0].flush(world.now);
    let Some(Output::Packet(init)) = world.ends[0].poll() else { panic!("no INIT") };
    world.ends[1].receive(world.now, &init);
    world.until("open", |world| world.open(1, "_reliable"));
    world.ends[1].receive(world.now, &init);
    world.send(0, "_reliable", false, b"still there").unwrap();
    world.until("still", |world| world.heard[1].len() == 1);
}
