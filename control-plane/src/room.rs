//! Rooms: a pure step from requests to effects, and the actor that performs them.
