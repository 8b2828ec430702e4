//! Who is calling: the client info of the query and what the `User-Agent` adds to it.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use livekit_protocol::ClientInfo;
use livekit_protocol::client_info::{Capability, Sdk};

use crate::signal::query::Query;

/// What the parameters of `/rtc` say.
pub fn from_query(query: &Query) -> ClientInfo {
    ClientInfo {
        sdk: sdk(query.text("sdk")).into(),
        version: query.text("version").to_owned(),
        protocol: query.number("protocol"),
        os: query.text("os").to_owned(),
        os_version: query.text("os_version").to_owned(),
        device_model: query.text("device_model").to_owned(),
        browser: query.text("browser").to_owned(),
        browser_version: query.text("browser_version").to_owned(),
        network: query.text("network").to_owned(),
        client_protocol: query.number("client_protocol"),
        capabilities: capabilities(query.text("capabilities")),
        ..ClientInfo::default()
    }
}

/// Fills what an SDK that runs in browsers left out, and the address.
pub fn augment(client: &mut ClientInfo, headers: &HeaderMap, address: IpAddr) {
    client.address = address.to_string();
    if !matches!(client.sdk(), Sdk::Js | Sdk::ReactNative | Sdk::Flutter | Sdk::Unity | Sdk::Unknown) {
        return;
    }
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    if client.browser.is_empty()
        && let Some((name, version)) = browser(agent)
    {
        name.clone_into(&mut client.browser);
        version.clone_into(&mut client.browser_version);
    }
    if client.os.is_empty()
        && let Some((name, version)) = operating_system(agent)
    {
        name.clone_into(&mut client.os);
        client.os_version = version;
    }
}

fn sdk(name: &str) -> Sdk {
    match name {
        "js" => Sdk::Js,
        "ios" | "swift" => Sdk::Swift,
        "android" => Sdk::Android,
        "flutter" => Sdk::Flutter,
        "go" => Sdk::Go,
        "unity" => Sdk::Unity,
        "reactnative" => Sdk::ReactNative,
        "rust" => Sdk::Rust,
        "python" => Sdk::Python,
        "cpp" => Sdk::Cpp,
        "unityweb" => Sdk::UnityWeb,
        "node" => Sdk::Node,
        "unreal" => Sdk::Unreal,
        "esp32" => Sdk::Esp32,
        "dotnet" => Sdk::Dotnet,
        _ => Sdk::Unknown,
    }
}

fn capabilities(list: &str) -> Vec<i32> {
    list.split(',')
        .filter_map(|name| Capability::from_str_name(name.trim()))
        .map(i32::from)
        .take(16)
        .collect()
}

/// The most specific product wins: Edge and Opera call themselves Chrome too, and Chrome calls itself Safari.
fn browser(agent: &str) -> Option<(&'static str, &str)> {
    const PRODUCTS: [(&str, &str); 7] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox iOS"),
        ("CriOS/", "Chrome Mobile iOS"),
        ("HeadlessChrome/", "HeadlessChrome"),
        ("Chrome/", "Chrome"),
    ];
    if let Some(found) = PRODUCTS.iter().find_map(|(token, name)| Some((*name, version_after(agent, token)?)))
    {
        return Some(found);
    }
    agent.contains("Safari/").then(|| version_after(agent, "Version/").map(|version| ("Safari", version)))?
}

fn operating_system(agent: &str) -> Option<(&'static str, String)> {
    const SYSTEMS: [(&str, &str); 5] = [
        ("Android ", "Android"),
        ("iPhone OS ", "iOS"),
        ("CPU OS ", "iOS"),
        ("Mac OS X ", "Mac OS X"),
        ("Windows NT ", "Windows"),
    ];
    let found = SYSTEMS
        .iter()
        .find_map(|(token, name)| Some((*name, version_after(agent, token)?.replace('_', "."))));
    found.or_else(|| agent.contains("Linux").then(|| ("Linux", String::new())))
}

fn version_after<'a>(agent: &'a str, token: &str) -> Option<&'a str> {
    let (_, rest) = agent.split_once(token)?;
    let len = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(rest.len());
    rest.get(..len)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_query_tells_sdk_version_and_capabilities() {
        let text = "sdk=ios&version=2.1&protocol=16&client_protocol=1&os=iOS&os_version=18&device_model=iPhone\
            &browser=b&browser_version=1&network=wifi&capabilities=CAP_PACKET_TRAILER,nonsense,CAP_COMPRESSION_DEFLATE_RAW";
        let client = from_query(&Query::parse(text));
        assert_eq!(client.sdk(), Sdk::Swift);
        assert_eq!((client.version.as_str(), client.protocol, client.client_protocol), ("2.1", 16, 1));
        assert_eq!(
            (client.os.as_str(), client.device_model.as_str(), client.network.as_str()),
            ("iOS", "iPhone", "wifi")
        );
        let capabilities: Vec<_> = client.capabilities().collect();
        assert_eq!(capabilities, [Capability::CapPacketTrailer, Capability::CapCompressionDeflateRaw]);
    }

    #[test]
    fn the_user_agent_fills_what_is_missing() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36 Edg/131.2";
        let safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15";
        let firefox = "Mozilla/5.0 (Android 14; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0";
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0 Mobile/15E148 Safari/604.1";
        for (name, query, agent, expected) in [
            ("Chrome", "sdk=js", chrome, ["Chrome", "131.0.0.0", "Linux", ""]),
            ("Edge", "sdk=js", edge, ["Edge", "131.2", "Windows", "10.0"]),
            ("Safari", "", safari, ["Safari", "18.3", "Mac OS X", "10.15.7"]),
            ("Firefox", "sdk=js", firefox, ["Firefox", "133.0", "Android", "14"]),
            ("Chrome on iOS", "sdk=reactnative", iphone, ["Chrome Mobile iOS", "120.0", "iOS", "17.4"]),
            ("the query goes first", "sdk=js&browser=B&browser_version=1&os=O", chrome, ["B", "1", "O", ""]),
            ("not a browser's SDK", "sdk=go", chrome, ["", "", "", ""]),
            ("nothing to read", "sdk=js", "curl/8", ["", "", "", ""]),
        ] {
            let mut client = from_query(&Query::parse(query));
            let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(agent))]);
            augment(&mut client, &headers, Ipv4Addr::LOCALHOST.into());
            let found = [client.browser, client.browser_version, client.os, client.os_version];
            assert_eq!(found, expected, "{name}");
            assert_eq!(client.address, "127.0.0.1", "{name}");
        }
    }
}
