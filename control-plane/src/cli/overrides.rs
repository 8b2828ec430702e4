//! Every key of the configuration that has one value, as a flag `--dotted.name` and as a variable `LIVEKIT_DOTTED_NAME`.

use std::sync::LazyLock;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::config::kind::Kind;
use crate::config::known;
use crate::config::read::Setting;

/// Those that were given.
#[derive(Clone, Debug, Default)]
pub struct Overrides(pub Vec<Setting>);

struct Name {
    path: &'static str,
    kind: Kind,
    /// Among the other flags' names.
    id: String,
    variable: String,
}

static NAMES: LazyLock<Vec<Name>> = LazyLock::new(|| {
    let others = known::singles().filter(|(path, _)| !FLAGS.contains(path));
    let name = |(path, kind): (&'static str, Kind)| Name {
        path,
        kind,
        id: format!("key {path}"),
        variable: format!("LIVEKIT_{}", path.to_ascii_uppercase().replace('.', "_")),
    };
    others.map(name).collect()
});

impl Args for Overrides {
    fn augment_args(command: Command) -> Command {
        NAMES.iter().fold(command, |command, name| command.arg(arg(name)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn arg(name: &'static Name) -> Arg {
    let arg = Arg::new(name.id.as_str())
        .long(name.path)
        .env(name.variable.as_str())
        .hide_env_values(true)
        .hide(true)
        .value_name("VALUE")
        .help(format!("`{}` of the configuration: {}.", name.path, name.kind.expected()));
    match name.kind {
        // As a switch is written: alone, or with a value behind the sign.
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    }
}

impl FromArgMatches for Overrides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Vec::new();
        for name in NAMES.iter() {
            let Some(text) = matches.get_one::<String>(&name.id) else { continue };
            let by_variable = matches.value_source(&name.id) == Some(ValueSource::EnvVariable);
            // A cluster that has a service of that name sets LIVEKIT_PORT to this.
            if by_variable && (text.starts_with("tcp://") || text.is_empty()) {
                continue;
            }
            let by = if by_variable { name.variable.clone() } else { format!("--{}", name.path) };
            settings.push(Setting { by, path: name.path, kind: name.kind, text: text.clone() });
        }
        Ok(Self(settings))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Keys that have flags of their own.
const FLAGS: [&str; 2] = ["region", "key_file"];

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Arguments;

    #[test]
    fn each_key_with_one_value_has_a_flag_and_a_variable() {
        let command = Arguments::command();
        command.clone().debug_assert();
        for (path, variable) in [
            ("port", "LIVEKIT_PORT"),
            ("rtc.udp_port", "LIVEKIT_RTC_UDP_PORT"),
            ("redis.address", "LIVEKIT_REDIS_ADDRESS"),
            ("limit.num_tracks", "LIVEKIT_LIMIT_NUM_TRACKS"),
            ("prometheus.password", "LIVEKIT_PROMETHEUS_PASSWORD"),
        ] {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(path)).expect(path);
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(variable));
        }
        for (path, _) in known::singles() {
            let has = |arg: &Arg| {
                arg.get_long() == Some(path)
                    || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&path))
            };
            assert!(command.get_arguments().any(has), "{path}");
        }
    }

    #[test]
    fn what_was_given_is_known_with_its_flag() {
        let line =
            ["millrace", "--port=81", "--development", "--rtc.udp_port", "7000", "--turn.enabled=false"];
        let Overrides(settings) = Arguments::try_parse_from(line).unwrap().serve.overrides;
        let told: Vec<_> = settings.iter().map(|it| (it.by.as_str(), it.text.as_str())).collect();
        let given = [
            ("--port", "81"),
            ("--development", "true"),
            ("--rtc.udp_port", "7000"),
            ("--turn.enabled", "false"),
        ];
        for setting in given {
            assert!(told.contains(&setting), "{told:?}");
        }
    }
}
