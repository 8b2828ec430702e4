//! What certain clients must not do, by LiveKit's static rules (`clientconfiguration/staticconfiguration.go`).

use livekit_protocol::{ClientConfiguration, ClientInfo, Codec, DisabledCodecs};

/// Nothing for most.
#[must_use]
pub fn of(client: &ClientInfo) -> Option<ClientConfiguration> {
    let browser = client.browser.to_ascii_lowercase();
    let os = client.os.to_ascii_lowercase();
    let mut disabled = DisabledCodecs::default();
    if browser == "safari" {
        disabled.codecs.push(codec("video/AV1"));
        if newer(&client.browser_version, (18, 3)) {
            disabled.publish.push(codec("video/VP9"));
        }
    }
    let xiaomi = client.device_model.eq_ignore_ascii_case("xiaomi 2201117ti") && os == "android";
    if xiaomi || (browser == "firefox" && (os == "linux" || os == "android")) {
        disabled.publish.push(codec("video/H264"));
    }
    let empty = disabled.codecs.is_empty() && disabled.publish.is_empty();
    (!empty)
        .then(|| ClientConfiguration { disabled_codecs: Some(disabled), ..ClientConfiguration::default() })
}

fn codec(mime: &str) -> Codec {
    Codec { mime: mime.to_owned(), fmtp_line: String::new() }
}

fn newer(version: &str, than: (u32, u32)) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    found > than
}

#[cfg(test)]
mod tests {
    use livekit_protocol::ClientInfo;

    use super::of;

    #[test]
    fn only_the_clients_of_the_rules_are_restricted() {
        for (name, browser, version, os, device, disabled, publish) in [
            ("Chrome", "Chrome", "142.0", "Linux", "", vec![], vec![]),
            ("old Safari", "Safari", "17.1", "macOS", "", vec!["video/AV1"], vec![]),
            ("Safari 18.3", "safari", "18.3", "iOS", "", vec!["video/AV1"], vec![]),
            ("Safari 18.4", "Safari", "18.4", "iOS", "", vec!["video/AV1"], vec!["video/VP9"]),
            ("Firefox on Linux", "Firefox", "140.0", "Linux", "", vec![], vec!["video/H264"]),
            ("Firefox on Windows", "Firefox", "140.0", "Windows", "", vec![], vec![]),
            ("a certain Xiaomi", "", "", "Android", "Xiaomi 2201117TI", vec![], vec!["video/H264"]),
        ] {
            let client = ClientInfo {
                browser: browser.into(),
                browser_version: version.into(),
                os: os.into(),
                device_model: device.into(),
                ..Default::default()
            };
            let found =
                of(&client).and_then(|configuration| configuration.disabled_codecs).unwrap_or_default();
            let mimes = |codecs: Vec<livekit_protocol::Codec>| {
                codecs.into_iter().map(|codec| codec.mime).collect::<Vec<_>>()
            };
            assert_eq!(
                (mimes(found.codecs), mimes(found.publish)),
                (
                    disabled.into_iter().map(String::from).collect(),
                    publish.into_iter().map(String::from).collect()
                ),
                "{name}"
            );
        }
    }
}
