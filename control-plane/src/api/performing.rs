//! `RoomService.PerformRpc`: a method of a participant, called by the server side.

use livekit_protocol::{PerformRpcRequest, PerformRpcResponse, RpcError};

use crate::api::error::{Code, Error};
use crate::http::Site;
use crate::room::call::{Answer, Call};

pub async fn perform_rpc(site: Site, request: PerformRpcRequest) -> Result<PerformRpcResponse, Error> {
    if request.destination_identity.is_empty() {
        return Err(Error::wrapped(Code::InvalidArgument, "destination identity is required"));
    }
    let room = request.room.clone();
    match site.registry.call(&room, Call::PerformRpc(request)).await {
        Ok(Answer::Rpc(Ok(payload))) => Ok(PerformRpcResponse { payload }),
        Ok(Answer::Rpc(Err(error))) => Err(failed(&error)),
        Ok(_) => Err(Error::wrapped(Code::Internal, "operation cannot be completed")),
        Err(error) => Err(error.into()),
    }
}

/// In the words of LiveKit's `DataChannelRpcError`.
fn failed(error: &RpcError) -> Error {
    let RpcError { code, message, data } = error;
    let text = if data.is_empty() {
        format!("RpcError {code}: {message}")
    } else {
        format!("RpcError {code}: {message}: {data}")
    };
    let code = match code {
        1400 => Code::InvalidArgument,
        1401 => Code::NotFound,
        1402 => Code::Malformed,
        1403 | 1404 => Code::Unimplemented,
        1501 | 1502 => Code::Canceled,
        1503 => Code::Unavailable,
        _ => Code::Internal,
    };
    Error::wrapped(code, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_methods_are_worded_as_livekit_words_them() {
        for (code, data, expected, text) in [
            (1400, "", Code::InvalidArgument, "twirp error unknown: RpcError 1400: m"),
            (1402, "", Code::Malformed, "twirp error unknown: RpcError 1402: m"),
            (1404, "", Code::Unimplemented, "twirp error unknown: RpcError 1404: m"),
            (1501, "", Code::Canceled, "twirp error unknown: RpcError 1501: m"),
            (1503, "", Code::Unavailable, "twirp error unknown: RpcError 1503: m"),
            (1500, "d", Code::Internal, "twirp error unknown: RpcError 1500: m: d"),
            (42, "", Code::Internal, "twirp error unknown: RpcError 42: m"),
        ] {
            let error = failed(&RpcError { code, message: "m".into(), data: data.into() });
            assert_eq!((error.code, &*error.msg), (expected, text));
        }
    }
}
