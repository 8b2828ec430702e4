//! Data channels: SCTP associations, DCEP, and the routing of LiveKit data packets within a room.
