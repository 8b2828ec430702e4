//! Opening: what a room is from the moment somebody wants to join it.

use crate::config::Config;
use crate::room::clock::Time;
use crate::room::join::Arrival;
use crate::room::mint::Mint;
use crate::room::playout_delay::PlayoutDelay;
use crate::room::state::{Record, Room};

/// A room as its first participant's token and the configuration want it.
#[must_use]
pub fn open(config: &Config, arrival: &Arrival, worker: u16, now: Time, mint: &mut Mint) -> Room {
    let wish = arrival.claims.room_config.clone().unwrap_or_default();
    let or_default = |wish: u32, default: u32| if wish == 0 { default } else { wish };
    let playout_delay = PlayoutDelay::of(&wish, &config.room.playout_delay);
    Room::new(Record {
        id: mint.resource_id(),
        sid: mint.sid("RM_"),
        name: arrival.room.clone(),
        metadata: wish.metadata,
        created_at: now,
        worker,
        empty_timeout_seconds: or_default(wish.empty_timeout, config.room.empty_timeout),
        departure_timeout_seconds: or_default(wish.departure_timeout, config.room.departure_timeout),
        max_participants: or_default(wish.max_participants, config.room.max_participants),
        turn_password: mint.secret(),
        sif_trailer: mint.secret(),
        playout_delay,
    })
}
