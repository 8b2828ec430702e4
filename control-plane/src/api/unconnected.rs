//! `livekit.Egress`, `livekit.Ingress`, `livekit.SIP`: their workers are reached over Redis, so they are not connected.
//!
//! They say so as LiveKit v1.13.5 does when it has no Redis: after the token was checked and the request read.

use livekit_protocol as livekit;

use crate::api::error::{Code, Error};
use crate::api::right::Right;
use crate::api::service::Service;

#[must_use]
pub fn egress() -> Service {
    let error = || Error::wrapped(Code::Internal, "egress not connected (redis required)");
    let right = Right::Record;
    Service::new("Egress")
        .refused::<livekit::StartEgressRequest>("StartEgress", right, error)
        .refused::<livekit::RoomCompositeEgressRequest>("StartRoomCompositeEgress", right, error)
        .refused::<livekit::WebEgressRequest>("StartWebEgress", right, error)
        .refused::<livekit::ParticipantEgressRequest>("StartParticipantEgress", right, error)
        .refused::<livekit::TrackCompositeEgressRequest>("StartTrackCompositeEgress", right, error)
        .refused::<livekit::TrackEgressRequest>("StartTrackEgress", right, error)
        .refused::<livekit::UpdateLayoutRequest>("UpdateLayout", right, error)
        .refused::<livekit::UpdateStreamRequest>("UpdateStream", right, error)
        .refused::<livekit::ListEgressRequest>("ListEgress", right, error)
        .refused::<livekit::StopEgressRequest>("StopEgress", right, error)
}

#[must_use]
pub fn ingress() -> Service {
    let error = || Error::wrapped(Code::Internal, "ingress not connected (redis required)");
    let right = Right::Ingress;
    Service::new("Ingress")
        .refused::<livekit::CreateIngressRequest>("CreateIngress", right, error)
        .refused::<livekit::UpdateIngressRequest>("UpdateIngress", right, error)
        .refused::<livekit::ListIngressRequest>("ListIngress", right, error)
        .refused::<livekit::DeleteIngressRequest>("DeleteIngress", right, error)
}

#[must_use]
pub fn sip() -> Service {
    let error = || Error::wrapped(Code::Internal, "sip not connected (redis required)");
    let right = Right::AdministerSip;
    Service::new("SIP")
        .refused::<livekit::ListSipTrunkRequest>("ListSIPTrunk", right, error)
        .refused::<livekit::CreateSipInboundTrunkRequest>("CreateSIPInboundTrunk", right, error)
        .refused::<livekit::CreateSipOutboundTrunkRequest>("CreateSIPOutboundTrunk", right, error)
        .refused::<livekit::UpdateSipInboundTrunkRequest>("UpdateSIPInboundTrunk", right, error)
        .refused::<livekit::UpdateSipOutboundTrunkRequest>("UpdateSIPOutboundTrunk", right, error)
        .refused::<livekit::GetSipInboundTrunkRequest>("GetSIPInboundTrunk", right, error)
        .refused::<livekit::GetSipOutboundTrunkRequest>("GetSIPOutboundTrunk", right, error)
        .refused::<livekit::ListSipInboundTrunkRequest>("ListSIPInboundTrunk", right, error)
        .refused::<livekit::ListSipOutboundTrunkRequest>("ListSIPOutboundTrunk", right, error)
        .refused::<livekit::DeleteSipTrunkRequest>("DeleteSIPTrunk", right, error)
        .refused::<livekit::CreateSipDispatchRuleRequest>("CreateSIPDispatchRule", right, error)
        .refused::<livekit::UpdateSipDispatchRuleRequest>("UpdateSIPDispatchRule", right, error)
        .refused::<livekit::ListSipDispatchRuleRequest>("ListSIPDispatchRule", right, error)
        .refused::<livekit::DeleteSipDispatchRuleRequest>("DeleteSIPDispatchRule", right, error)
        .refused::<livekit::CreateSipParticipantRequest>("CreateSIPParticipant", Right::CallSip, error)
        .refused::<livekit::TransferSipParticipantRequest>("TransferSIPParticipant", Right::CallSip, error)
}
