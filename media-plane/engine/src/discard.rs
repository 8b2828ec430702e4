//! Why a datagram or a copy of a packet was not forwarded. Every packet ends forwarded, consumed, or here.

use forward::discard::Reason as NotForwarded;

/// Declares an enum of reasons with their names and count.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$reason_doc:meta])* $reason:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$reason_doc])* $reason,)+
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$reason,)+];

            /// The name of its counter.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $label,)+
                }
            }
        }
    };
}

reasons! {
    /// How a received datagram ended that was neither forwarded nor consumed.
    Reason {
        /// Longer than any datagram may be.
        TooLong = "discarded_too_long",
        /// Shorter than the fixed header of its class.
        Short = "discarded_short",
        /// Of none of the protocols that share the port.
        Foreign = "discarded_foreign",
        /// Not STUN, and no peer's path.
        UnknownPath = "discarded_unknown_path",
        StunMalformed = "discarded_stun_malformed",
        /// STUN that is no Binding request.
        StunNotBinding = "discarded_stun_not_binding",
        StunUnknownUfrag = "discarded_stun_unknown_ufrag",
        StunIntegrity = "discarded_stun_integrity",
        /// Too many failed checks came from its address, or altogether.
        StunRateLimited = "discarded_stun_rate_limited",
        /// The peer says that it is controlled, as we are; it was answered 487.
        StunRoleConflict = "discarded_stun_role_conflict",
        /// Its path belongs to another live peer.
        TupleTaken = "discarded_tuple_taken",
        TooManyTuples = "discarded_too_many_tuples",
        /// More DTLS records than one peer may hand on.
        DtlsRateLimited = "discarded_dtls_rate_limited",
        /// SRTP before the DTLS handshake was done.
        NoKeys = "discarded_no_keys",
        RtpMalformed = "discarded_rtp_malformed",
        /// Seen before, or older than the replay window.
        Duplicate = "discarded_duplicate",
        Authentication = "discarded_authentication",
        TooManySources = "discarded_too_many_sources",
        /// The cipher can't open it: too short, or at the end of its key's life.
        SrtpUnusable = "discarded_srtp_unusable",
        /// No publication of the peer has such a stream.
        UnknownSource = "discarded_unknown_source",
        /// A payload type that its publication does not have.
        UnknownPayloadType = "discarded_unknown_payload_type",
        /// A retransmission of a stream that is not known, or of no packet.
        RtxUnusable = "discarded_rtx_unusable",
        /// Restored by a retransmission after the packet itself came.
        RtxDuplicate = "discarded_rtx_duplicate",
        /// Another stream of the same encoding began later.
        Superseded = "discarded_superseded",
        RtcpMalformed = "discarded_rtcp_malformed",
        /// The publication is muted.
        Muted = "discarded_muted",
        /// No subscription took a copy.
        NotWanted = "discarded_not_wanted",
        /// It was to go to other workers only, and there was no room on the way.
        NotRelayed = "discarded_not_relayed",
        /// The engine panicked over it.
        Panic = "discarded_panic",
    }
}

reasons! {
    /// How one subscriber's copy of a packet ended that was not sent.
    CopyReason {
        /// The subscriber has no keys, no path or no longer consents.
        NotConnected = "copy_discarded_not_connected",
        /// The payload type is not mapped.
        NotMapped = "copy_discarded_not_mapped",
        /// A codec of another class than the subscription began with.
        OtherCodec = "copy_discarded_other_codec",
        Muted = "copy_discarded_muted",
        Paused = "copy_discarded_paused",
        NoTarget = "copy_discarded_no_target",
        /// Another layer is sent to this subscriber.
        OtherLayer = "copy_discarded_other_layer",
        AwaitingKeyFrame = "copy_discarded_awaiting_key_frame",
        /// A key frame that lags behind what was already sent.
        Behind = "copy_discarded_behind",
        /// A temporal layer above the subscriber's.
        Temporal = "copy_discarded_temporal",
        /// A spatial layer above the subscriber's.
        Spatial = "copy_discarded_spatial",
        /// A frame that the subscriber's decode target does not need.
        OtherTarget = "copy_discarded_other_target",
        /// A frame that needs one that was not forwarded.
        Undecodable = "copy_discarded_undecodable",
        Padding = "copy_discarded_padding",
        Duplicate = "copy_discarded_duplicate",
        TooLate = "copy_discarded_too_late",
        /// Late, and what was not to be sent has its number.
        Closed = "copy_discarded_closed",
        UnknownPicture = "copy_discarded_unknown_picture",
        Malformed = "copy_discarded_malformed",
        /// The driver has no send buffer.
        NoBuffer = "copy_discarded_no_buffer",
        /// The driver's last send buffers are kept for what matters more, or the worker does not keep up.
        Shed = "copy_discarded_shed",
        /// It would be longer than a datagram.
        TooLong = "copy_discarded_too_long",
        /// A retransmission that would not be the same packet: its SRTP index is used up.
        Changed = "copy_discarded_changed",
        /// The cipher refused: the end of its key's life.
        Seal = "copy_discarded_seal",
    }
}

reasons! {
    /// How a packet between two workers ended that was not forwarded by the one that it came to.
    RelayReason {
        /// There was no room on the way: it never left its publisher's worker.
        NoRoom = "relayed_discarded_no_room",
        /// Of no publication that this worker knows, or not from its home.
        UnknownPublication = "relayed_discarded_unknown_publication",
        /// Of a layer that its publication does not have.
        UnknownLayer = "relayed_discarded_unknown_layer",
        UnknownPayloadType = "relayed_discarded_unknown_payload_type",
        Muted = "relayed_discarded_muted",
        /// No subscription took a copy.
        NotWanted = "relayed_discarded_not_wanted",
        /// The engine panicked over it.
        Panic = "relayed_discarded_panic",
    }
}

impl From<NotForwarded> for CopyReason {
    fn from(reason: NotForwarded) -> Self {
        match reason {
            NotForwarded::Muted => Self::Muted,
            NotForwarded::Paused => Self::Paused,
            NotForwarded::NoTarget => Self::NoTarget,
            NotForwarded::OtherLayer => Self::OtherLayer,
            NotForwarded::AwaitingKeyFrame => Self::AwaitingKeyFrame,
            NotForwarded::Behind => Self::Behind,
            NotForwarded::Temporal => Self::Temporal,
            NotForwarded::Spatial => Self::Spatial,
            NotForwarded::OtherTarget => Self::OtherTarget,
            NotForwarded::Undecodable => Self::Undecodable,
            NotForwarded::Padding => Self::Padding,
            NotForwarded::Duplicate => Self::Duplicate,
            NotForwarded::TooLate => Self::TooLate,
            NotForwarded::Closed => Self::Closed,
            NotForwarded::UnknownPicture => Self::UnknownPicture,
            NotForwarded::Malformed => Self::Malformed,
        }
    }
}
