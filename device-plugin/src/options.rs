//! The command line: the peer's flags, and where the kubelet and the devices are.

use std::path::PathBuf;

use linkspan_config::resource_list::ResourcePrefix;
use linkspan_daemon::http::{Address, NoAddress};
use linkspan_daemon::log::LogOptions;
use linkspan_log::Level;

/// What `--help` prints, and what the man page is made of.
pub(crate) const HELP: &str = include_str!("help.txt");

/// What the program was asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
    /// Serve.
    Run(Box<Options>),
}

/// How to serve.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) config_file: PathBuf,
    pub(crate) resource_prefix: ResourcePrefix,
    pub(crate) plugin_watcher: bool,
    pub(crate) kubelet_dir: PathBuf,
    pub(crate) devices_socket: PathBuf,
    pub(crate) device_info_dir: PathBuf,
    pub(crate) use_cdi: bool,
    pub(crate) cdi_dir: PathBuf,
    pub(crate) metrics_address: Option<Address>,
    pub(crate) vf_traffic: bool,
    pub(crate) sysfs_root: PathBuf,
    pub(crate) dev_root: PathBuf,
    pub(crate) log: LogOptions,
    /// The peer's flags that were given, but mean nothing here.
    pub(crate) ignored: Vec<String>,
}

/// The peer's flags for its log, and those of its image's entrypoint, that stand alone...
const PEERS_SWITCHES: [&str; 2] = ["logtostderr", "alsologtostderr"];

/// ... and those that a value belongs to.
const PEERS_VALUES: [&str; 8] = [
    "v",
    "vmodule",
    "stderrthreshold",
    "log_backtrace_at",
    "log_dir",
    "log_link",
    "logbuflevel",
    "log-dir",
];

/// The command line can't be followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OptionsError {
    #[error("{0:?} is not a flag of this program; see --help")]
    Unknown(String),
    #[error("--{0} needs a value; see --help")]
    NoValue(String),
    #[error("--{flag} is {value:?}, expected {expected}")]
    BadValue { flag: &'static str, value: String, expected: &'static str },
}

impl Request {
    /// Reads the arguments after the program's name. As for the peer's Go, one dash is as good as
    /// two, and a value stands after `=` or in the next argument.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, OptionsError> {
        let mut options = Options {
            config_file: "/etc/pcidp/config.json".into(),
            resource_prefix: prefix("linkspan.dev")?,
            plugin_watcher: false,
            kubelet_dir: "/var/lib/kubelet".into(),
            devices_socket: linkspan_proto::devices::SOCKET.into(),
            use_cdi: false,
            cdi_dir: "/var/run/cdi".into(),
            device_info_dir: linkspan_proto::device_info::DEVICE_PLUGIN_FOLDER.into(),
            metrics_address: None,
            vf_traffic: true,
            sysfs_root: "/sys".into(),
            dev_root: "/dev".into(),
            log: LogOptions::default(),
            ignored: Vec::new(),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let flag = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
            let flag = flag.ok_or_else(|| OptionsError::Unknown(argument.clone()))?;
            let (flag, inline) = match flag.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (flag, None),
            };
            match flag {
                "help" | "h" => return Ok(Self::Help),
                "version" => return Ok(Self::Version),
                "plugin-watcher" => {
                    options.plugin_watcher = switch("plugin-watcher", inline.as_deref())?;
                }
                "vf-traffic" => options.vf_traffic = switch("vf-traffic", inline.as_deref())?,
                "use-cdi" => options.use_cdi = switch("use-cdi", inline.as_deref())?,
                _ if PEERS_SWITCHES.contains(&flag) => options.ignore(flag),
                _ if PEERS_VALUES.contains(&flag) => {
                    let value = inline.or_else(|| arguments.next());
                    value.ok_or_else(|| OptionsError::NoValue(flag.to_owned()))?;
                    options.ignore(flag);
                }
                "config-file" | "resource-prefix" | "kubelet-dir" | "devices-socket"
                | "device-info-dir" | "cdi-dir" | "metrics-address" | "log-level" | "log-file"
                | "sysfs-root" | "dev-root" => {
                    let value = inline.or_else(|| arguments.next());
                    let value = value.ok_or_else(|| OptionsError::NoValue(flag.to_owned()))?;
                    options.set(flag, &value)?;
                }
                _ => return Err(OptionsError::Unknown(argument)),
            }
        }
        Ok(Self::Run(Box::new(options)))
    }
}

impl Options {
    fn ignore(&mut self, flag: &str) {
        self.ignored.push(format!("--{flag}"));
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<(), OptionsError> {
        match flag {
            "resource-prefix" => self.resource_prefix = prefix(value)?,
            "config-file" => self.config_file = value.into(),
            "kubelet-dir" => self.kubelet_dir = value.into(),
            "devices-socket" => self.devices_socket = value.into(),
            "metrics-address" => self.metrics_address = Some(metrics_address(value)?),
            "cdi-dir" => self.cdi_dir = value.into(),
            "log-file" => self.log.file = Some(value.into()),
            // The peer's is a number, which its own manifests give as 10: what of it would be too much here.
            "log-level" if value.parse::<u32>().is_ok() => self.ignore(flag),
            "log-level" => self.log.level = log_level(value)?,
            "device-info-dir" => self.device_info_dir = value.into(),
            "sysfs-root" => self.sysfs_root = value.into(),
            _ => self.dev_root = value.into(),
        }
        Ok(())
    }
}

fn prefix(value: &str) -> Result<ResourcePrefix, OptionsError> {
    value.parse().map_err(|error: linkspan_types::ParseError| OptionsError::BadValue {
        flag: "resource-prefix",
        value: error.text,
        expected: error.expected,
    })
}

fn log_level(value: &str) -> Result<Level, OptionsError> {
    value.parse().map_err(|()| OptionsError::BadValue {
        flag: "log-level",
        value: value.to_owned(),
        expected: Level::EXPECTED,
    })
}

fn metrics_address(value: &str) -> Result<Address, OptionsError> {
    value.parse().map_err(|_| OptionsError::BadValue {
        flag: "metrics-address",
        value: value.to_owned(),
        expected: NoAddress::EXPECTED,
    })
}

fn switch(flag: &'static str, value: Option<&str>) -> Result<bool, OptionsError> {
    match value {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(value) => {
            let value = value.to_owned();
            Err(OptionsError::BadValue { flag, value, expected: "true or false" })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn parse(line: &str) -> Result<Request, OptionsError> {
        Request::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn values_stand_after_a_flag_or_in_it() {
        for line in ["--config-file /a --use-cdi=false", "-config-file=/a", "--config-file=/a"] {
            let Request::Run(options) = parse(line).unwrap() else { panic!("{line}") };
            assert_eq!(options.config_file, PathBuf::from("/a"));
            assert_eq!(options.resource_prefix.to_string(), "linkspan.dev");
            assert!(!options.plugin_watcher);
        }
        assert_eq!(parse("--help").unwrap(), Request::Help);
    }

    #[test]
    fn a_command_line_of_the_peers_is_followed() {
        let line = "--log-dir=sriovdp --log-level=10 --logtostderr -v 10 --alsologtostderr=false --log_dir /x \
                    --resource-prefix=intel.com --use-cdi --config-file=/a";
        let Request::Run(options) = parse(line).unwrap() else { panic!("{line}") };
        assert_eq!(options.config_file, PathBuf::from("/a"));
        assert_eq!(
            (options.resource_prefix.to_string().as_str(), options.use_cdi),
            ("intel.com", true)
        );
        let ignored =
            ["--log-dir", "--log-level", "--logtostderr", "--v", "--alsologtostderr", "--log_dir"];
        assert_eq!(options.ignored, ignored);
    }

    #[test]
    fn the_log_has_a_level_and_a_file() {
        let line = "--log-level 10 --log-level warning --log-file /var/log/x";
        let Request::Run(options) = parse(line).unwrap() else { panic!("{line}") };
        assert_eq!(options.log.level, Level::Warning);
        assert_eq!(options.log.file, Some(PathBuf::from("/var/log/x")));
    }

    #[test]
    fn what_can_not_be_followed_is_said_plainly() {
        let table = [
            ("--logfile=x", r#""--logfile=x" is not a flag of this program; see --help"#),
            (
                "--log-level=loud",
                r#"--log-level is "loud", expected a log level: panic, error, warning, info or debug"#,
            ),
            ("--log_dir", "--log_dir needs a value; see --help"),
            ("serve", r#""serve" is not a flag of this program; see --help"#),
            ("--config-file", "--config-file needs a value; see --help"),
            (
                "--metrics-address=localhost",
                r#"--metrics-address is "localhost", expected an address such as 127.0.0.1:9808, :9808 or unix:/run/linkspan/metrics.sock"#,
            ),
            ("--use-cdi=maybe", r#"--use-cdi is "maybe", expected true or false"#),
            (
                "--resource-prefix Intel",
                r#"--resource-prefix is "Intel", expected a DNS name in lower case such as example.com"#,
            ),
        ];
        for (line, message) in table {
            assert_eq!(parse(line).unwrap_err().to_string(), message);
        }
    }
}
