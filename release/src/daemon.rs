//! The command lines of the daemons, as their `--help` tells them: a line of what the program is, then its flags, each
//! with what it does in a second column, then sentences.

use clap::{Arg, ArgAction, Command};

/// What each daemon's `--help` prints.
const HELPS: [&str; 2] = [
    include_str!("../../device-plugin/src/help.txt"),
    include_str!("../../ipam-dhcp/src/help.txt"),
];

/// The daemons' command lines.
pub fn commands() -> Vec<Command> {
    HELPS.into_iter().filter_map(command).collect()
}

/// A command line, if its help has the form that is expected.
fn command(help: &'static str) -> Option<Command> {
    let (first, rest) = help.split_once('\n')?;
    let (name, about) = first.split_once(": ")?;
    let (table, words) = rest.trim_start_matches('\n').split_once("\n\n")?;
    let mut arguments: Vec<(&'static str, String)> = Vec::new();
    for line in table.lines() {
        let line_of_flag = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '));
        match (line_of_flag, arguments.last_mut()) {
            (Some(flag), _) => {
                let (flag, help) = flag.split_once("  ").unwrap_or((flag, ""));
                arguments.push((flag, help.trim().to_owned()));
            }
            (None, Some((_, help))) => {
                help.push(' ');
                help.push_str(line.trim());
            }
            (None, None) => return None,
        }
    }
    let words = words.split("\n\n").map(|text| text.trim().replace('\n', " "));
    let command = Command::new(name).about(about).version(env!("CARGO_PKG_VERSION"));
    let command = command.after_help(words.collect::<Vec<_>>().join("\n\n"));
    // `--help, --version` are those that clap adds itself.
    let arguments = arguments.into_iter().filter(|(flag, _)| !flag.contains(", "));
    Some(command.args(arguments.map(|(flag, help)| argument(flag, help))))
}

/// `--flag VALUE`, `--flag=VALUE`, `--flag` or a word.
fn argument(text: &'static str, help: String) -> Arg {
    let (name, value) = match text.split_once([' ', '=']) {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let Some(long) = name.strip_prefix("--") else { return Arg::new(name).help(help) };
    let argument = Arg::new(long).long(long).help(help);
    match value {
        Some(value) => argument.value_name(value),
        None => argument.action(ArgAction::SetTrue),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_daemon_has_its_flags() {
        let [device_plugin, dhcp] = commands().try_into().unwrap();
        assert_eq!(
            (device_plugin.get_name(), dhcp.get_name()),
            ("linkspan-device-plugin", "linkspan-dhcp")
        );
        let find = |command: &Command, long: &str| {
            let found = command.get_arguments().find(|arg| arg.get_long() == Some(long)).cloned();
            found.unwrap_or_else(|| panic!("{long} in {command:#?}"))
        };
        let help = |argument: &Arg| argument.get_help().unwrap().to_string();
        let prefix = find(&device_plugin, "resource-prefix");
        assert_eq!(prefix.get_value_names().unwrap(), ["NAME"]);
        assert_eq!(
            help(&prefix),
            "prefix of resources that name none [linkspan.dev] (sriov-network-device-plugin: intel.com)"
        );
        assert_eq!(find(&device_plugin, "vf-traffic").get_value_names().unwrap(), ["false"]);
        let broadcast = find(&dhcp, "broadcast");
        assert_eq!(help(&broadcast), "ask every server to answer by broadcast");
        assert!(broadcast.get_value_names().is_none());
        assert!(dhcp.get_positionals().any(|argument| argument.get_id() == "daemon"));
        for (command, help) in commands().into_iter().zip(HELPS) {
            let flags = help.lines().filter(|line| line.starts_with("  --")).count();
            let has = command.get_arguments().filter(|argument| argument.get_long().is_some());
            assert_eq!(has.count(), flags - 1, "all but the line of --help and --version");
            assert!(command.get_after_help().unwrap().to_string().ends_with('.'));
        }
    }
}
