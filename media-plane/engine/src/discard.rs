//! Why a datagram or a copy of a packet was not forwarded. Every packet ends forwarded, consumed, or here.
