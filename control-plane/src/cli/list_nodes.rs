//! `millrace list-nodes`: this server, which is the only node, as it answers for itself.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::auth::grants::{Claims, VideoGrant};
use crate::config::settle::Settled;

/// A table with a line for each node.
///
/// # Errors
/// A sentence, if the server of this configuration does not answer.
pub fn run(now: SystemTime, settled: &Settled) -> Result<String, String> {
    let address = address(settled);
    let token = token(now, settled).ok_or("no API key to ask with")?;
    let answer = ask(address, &token).map_err(|error| format!("no server answers at {address}: {error}"))?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let stats: Value = serde_json::from_str(body).map_err(|_| {
        let status = answer.lines().next().unwrap_or_default();
        format!("the server at {address} does not tell of itself: {status}")
    })?;
    Ok(table(&stats))
}

fn address(settled: &Settled) -> SocketAddr {
    let bound = settled.bind.first().copied().filter(|address| !address.is_unspecified());
    SocketAddr::new(bound.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), settled.config.port)
}

fn token(now: SystemTime, settled: &Settled) -> Option<String> {
    let key = settled.keys.first_api_key()?;
    let video = VideoGrant { room_list: true, ..VideoGrant::default() };
    settled.keys.sign(now, &key, &Claims { video, ..Claims::default() }, TOKEN_LIFE)
}

fn ask(address: SocketAddr, token: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET /stats HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_LEN_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

fn table(stats: &Value) -> String {
    let server = &stats["server"];
    let text = |name: &str| server[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| server[name].as_u64().unwrap_or_default().to_string();
    let planes = stats["media_planes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let bytes: f64 = planes.iter().filter_map(|plane| plane["bytes_per_second"].as_f64()).sum();
    let columns = [
        ("NODE", text("node_id")),
        ("REGION", text("region")),
        ("READY", server["ready"].as_bool().unwrap_or_default().to_string()),
        ("ROOMS", number("rooms")),
        ("CLIENTS", number("participants")),
        ("TRACKS", number("tracks")),
        ("SUBSCRIPTIONS", number("subscriptions")),
        ("BYTES/S", format!("{bytes:.0}")),
    ];
    let width = |(title, value): &(&str, String)| title.len().max(value.len());
    let head = columns.iter().map(|column| format!("{:<1$}", column.0, width(column)));
    let row = columns.iter().map(|column| format!("{:<1$}", column.1, width(column)));
    let (head, row) = (head.collect::<Vec<_>>().join("  "), row.collect::<Vec<_>>().join("  "));
    format!("{}\n{}", head.trim_end(), row.trim_end())
}

const TOKEN_LIFE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(5);
const ANSWER_LEN_MAX: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let stats = json!({
            "server": { "node_id": "ND_abcdefgh", "ready": true, "rooms": 2, "participants": 12_345_678, "tracks": 1 },
            "media_planes": [{ "bytes_per_second": 10.0 }, { "bytes_per_second": 5.0 }],
        });
        let expected = "NODE         REGION  READY  ROOMS  CLIENTS   TRACKS  SUBSCRIPTIONS  BYTES/S\n\
                        ND_abcdefgh          true   2      12345678  1       0              15";
        assert_eq!(table(&stats), expected);
    }
}
