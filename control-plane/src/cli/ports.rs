//! `millrace ports`: what is listened on, for whoever writes the firewall's rules.

use std::fmt::Write;

use crate::config::Config;

/// A line for each.
#[must_use]
pub fn run(config: &Config) -> String {
    let mut rows = vec![(config.port.to_string(), "TCP", "HTTP and WebSocket signalling".to_owned())];
    if config.media_planes.is_empty() {
        rows.push(media(config));
    }
    if config.prometheus.port > 0 {
        rows.push((config.prometheus.port.to_string(), "TCP", "metrics for Prometheus".to_owned()));
    }
    let mut text = String::from("PORT         PROTOCOL  FOR");
    for (port, protocol, what) in rows {
        // Writing to a text cannot fail.
        let _ = write!(text, "\n{port:<12} {protocol:<9} {what}");
    }
    if !config.media_planes.is_empty() {
        text.push_str("\nThe media planes of media_planes have ports of their own, as their flags say.");
    }
    text
}

fn media(config: &Config) -> (String, &'static str, String) {
    let rtc = &config.rtc;
    if let Some(ports) = rtc.udp_port {
        let what = if ports.count() > 1 { "media, a port for each worker" } else { "media" };
        return (ports.to_string(), "UDP", what.to_owned());
    }
    let range = match (rtc.port_range_start, rtc.port_range_end) {
        (0, _) | (_, 0) => "50000-60000".to_owned(),
        (first, last) => format!("{first}-{last}"),
    };
    (range, "UDP", "media, a free one for each worker".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::port_range::PortRange;

    #[test]
    fn what_is_configured_is_listed() {
        let mut config = Config::default();
        let lines = |config: &Config| run(config).lines().map(str::to_owned).collect::<Vec<_>>();
        let default = lines(&config);
        assert_eq!(default.len(), 3);
        assert_eq!(default[1], "7880         TCP       HTTP and WebSocket signalling");
        assert_eq!(default[2], "50000-60000  UDP       media, a free one for each worker");
        config.rtc.udp_port = PortRange::new(7882, 7885);
        config.prometheus.port = 6789;
        let all = lines(&config);
        assert_eq!(all[2], "7882-7885    UDP       media, a port for each worker");
        assert_eq!(all[3], "6789         TCP       metrics for Prometheus");
        config.media_planes = vec!["unix:/run/a.sock".to_owned()];
        assert!(!lines(&config).iter().any(|line| line.contains("UDP")));
    }
}
