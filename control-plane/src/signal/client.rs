//! Who is calling: the client info of the query, what the `User-Agent` adds to it, and the address.

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

/// The address that the outermost proxy saw, else the socket's. It is shown and logged; nothing is decided by it.
pub fn address(headers: &HeaderMap, socket: IpAddr) -> IpAddr {
    let told = FORWARDING_HEADERS.iter().find_map(|name| {
        let value = headers.get(*name)?.to_str().ok()?;
        value.split(',').next()?.trim().parse().ok()
    });
    told.unwrap_or(socket)
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
    list.split(',').filter_map(|name| Capability::from_str_name(name.trim())).map(i32::from).take(16).collect()
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
    if let Some(found) = PRODUCTS.iter().find_map(|(token, name)| Some((*name, version_after(agent, token)?))) {
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
    let found = SYSTEMS.iter().find_map(|(token, name)| Some((*name, version_after(agent, token)?.replace('_', "."))));
    found.or_else(|| agent.contains("Linux").then(|| ("Linux", String::new())))
}

fn version_after<'a>(agent: &'a str, token: &str) -> Option<&'a str> {
    let (_, rest) = agent.split_once(token)?;
    let len = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(rest.len());
    rest.get(..len)
}

const FORWARDING_HEADERS: [&str; 3] = ["cf-connecting-ip", "x-forwarded-for", "x-real-ip"];
