//! Once streams run, the engine allocates nothing: neither for a packet, nor for its repair, nor for reports. The only
//! exception are messages to other threads, every few seconds, which own what they tell.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use call::call::{BATCH, Call};
use call::media::Media;
use call::null::Null;
use engine::event::Event;
use sim::at_work;
use sim::scenario::Scenario;
use sim::world::World;
use units::time::Instant;

/// The system's allocator, and how often it was asked on this thread while the engine was at work.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// Said by the test itself, where no world says it.
    static COUNTS_ALL: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every call is handed on as it is to the system's allocator, which upholds the contract. Counting touches only
// cells of this thread that are made without allocating and never dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise about `layout` is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this layout, as every method here hands on to it.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as in `dealloc`; the caller's promise about `size` is handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note() {
    if at_work::is_engine() || COUNTS_ALL.try_with(Cell::get).unwrap_or(false) {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    }
}

fn allocations() -> u64 {
    COUNT.with(Cell::get)
}

#[test]
fn allocator_counts_what_the_engine_allocates() {
    let before = allocations();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(allocations(), before, "the world may allocate");
    let mut world = World::new(1, Scenario::with_loss(0));
    world.run_until(Instant(0) + Duration::from_secs(1));
    assert!(allocations() > before + 10, "the first packets of each stream do");
}

/// Simulcast VP8 and Opus to three subscribers, of which 1 % is lost each way: NACK, RTX, key frames, reports.
#[test]
fn lossy_call_allocates_nothing_once_it_runs() {
    lossy_call(Scenario::with_loss(10));
}

/// The same on two workers: a packet is relayed to the other one, and what that needs is told.
#[test]
fn lossy_call_on_two_workers_allocates_nothing_once_it_runs() {
    let world = lossy_call(Scenario::on_workers(2, 10, 0));
    assert!(world.count(|counters| counters.packets_relayed) > 10_000, "it was spread");
}

fn lossy_call(scenario: Scenario) -> World {
    let mut world = World::new(7, scenario);
    let mut end = Instant(0) + WARM_UP;
    world.run_until(end);
    let copies_sent = |world: &World| world.count(|counters| counters.copies_sent);
    let packets_resent = |world: &World| world.count(|counters| counters.packets_resent);
    let (copies, resent) = (copies_sent(&world), packets_resent(&world));
    let before = allocations() - world.handed_over();
    while copies_sent(&world) - copies < COPIES {
        end += Duration::from_secs(10);
        world.run_until(end);
        let own = allocations() - world.handed_over() - before;
        assert_eq!(own, 0, "after {:?}", end - Instant(0));
    }
    assert!(packets_resent(&world) - resent > 400, "repair was part of it");
    assert!(world.count(|counters| counters.rtcp_sent) > 500, "and so were reports");
    world
}

#[test]
fn every_kind_of_media_allocates_nothing_once_it_runs() {
    for media in [Media::Audio, Media::Red, Media::Encoded, Media::Video, Media::Vp9, Media::Av1] {
        let mut call = Call::<Null>::new(media, 10);
        let mut run = |copies: u64| {
            let until = call.copies_sent() + copies;
            let mut allocated = 0;
            while call.copies_sent() < until {
                call.prepare(BATCH);
                let before = allocations();
                COUNTS_ALL.set(true);
                call.receive_all();
                COUNTS_ALL.set(false);
                allocated += allocations() - before - handed_over(call.told());
            }
            allocated
        };
        assert!(run(20_000) > 0, "{media:?}: the first packets do");
        assert_eq!(run(COPIES), 0, "{media:?}");
    }
}

/// What the vectors in a quality report took, and in a list of speakers.
fn handed_over(told: &[Event]) -> u64 {
    told.iter()
        .map(|event| match event {
            Event::Quality { .. } => 2,
            Event::Speakers { speakers, .. } => u64::from(!speakers.is_empty()),
            _ => 0,
        })
        .sum()
}

const COPIES: u64 = 100_000;
/// By then every stream's rings are full.
const WARM_UP: Duration = Duration::from_secs(60);
