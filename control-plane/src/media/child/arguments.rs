//! What the child media plane is told of our configuration.

use std::ffi::OsString;

use crate::config::Config;

/// The arguments of `millrace-media` that follow from the configuration.
#[must_use]
pub fn arguments(config: &Config) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            arguments.push(format!("{name}={value}").into());
        }
    };
    let rtc = &config.rtc;
    say("--udp-port", rtc.udp_port.map(|ports| ports.to_string()));
    let range = rtc.udp_port.is_none() && rtc.port_range_start > 0 && rtc.port_range_end > 0;
    say("--udp-port-range", range.then(|| format!("{}-{}", rtc.port_range_start, rtc.port_range_end)));
    let addresses: Vec<String> = rtc.node_ip.iter().map(ToString::to_string).collect();
    say("--node-ip", (!addresses.is_empty()).then(|| addresses.join(",")));
    say("--workers", config.media.workers.map(|workers| workers.to_string()));
    say("--io", config.media.io.clone());
    say("--gso", config.media.gso.clone());
    say("--flush-delay", config.media.flush_delay_us.map(|micros| micros.to_string()));
    say("--dtls", config.media.dtls.clone());
    let level = config.logging.level.clone().or_else(|| config.log_level.clone());
    say("--log-level", level);
    if let Some(pin) = config.media.pin {
        arguments.push(if pin { "--pin" } else { "--no-pin" }.into());
    }
    if rtc.enable_loopback_candidate {
        arguments.push("--enable-loopback-candidate".into());
    }
    if config.logging.json {
        arguments.push("--log-json".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::port_range::PortRange;

    #[test]
    fn configuration_becomes_arguments() {
        let mut config = Config::default();
        assert_eq!(arguments(&config), [""; 0]);
        config.rtc.node_ip = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        config.rtc.enable_loopback_candidate = true;
        config.rtc.port_range_start = 50_000;
        config.rtc.port_range_end = 50_100;
        config.media.workers = Some(2);
        config.media.pin = Some(true);
        config.media.io = Some("epoll".into());
        config.media.gso = Some("off".into());
        config.media.flush_delay_us = Some(0);
        config.logging.level = Some("debug".into());
        config.logging.json = true;
        assert_eq!(
            arguments(&config),
            [
                "--udp-port-range=50000-50100",
                "--node-ip=192.0.2.1,2001:db8::1",
                "--workers=2",
                "--io=epoll",
                "--gso=off",
                "--flush-delay=0",
                "--log-level=debug",
                "--pin",
                "--enable-loopback-candidate",
                "--log-json",
            ]
        );
        config.media.pin = Some(false);
        assert!(arguments(&config).contains(&"--no-pin".into()));
        config.rtc.udp_port = PortRange::single(7882);
        assert_eq!(arguments(&config)[0], "--udp-port=7882", "instead of the range");
    }
}
