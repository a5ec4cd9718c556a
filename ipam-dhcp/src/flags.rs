//! The command line: the flags of the reference daemon, and this one's own.

use std::path::PathBuf;
use std::time::Duration;

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
    Run(Box<Flags>),
}

/// How to serve.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) socket: PathBuf,
    pub(crate) host_prefix: PathBuf,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) broadcast: bool,
    /// How long a pod waits for its address.
    pub(crate) patience: Duration,
    pub(crate) metrics_address: Option<Address>,
    pub(crate) lease_dir: PathBuf,
    pub(crate) log: LogOptions,
    /// The reference's flags that were given, but mean nothing here.
    pub(crate) ignored: Vec<String>,
}

/// The command line can't be followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlagsError {
    #[error("{0:?} is not a flag of this program; see --help")]
    Unknown(String),
    #[error("--{0} needs a value; see --help")]
    NoValue(String),
    #[error("--{flag} is {value:?}, expected {expected}")]
    BadValue { flag: String, value: String, expected: &'static str },
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            socket: linkspan_proto::dhcp::SOCKET.into(),
            host_prefix: PathBuf::new(),
            pid_file: None,
            broadcast: false,
            patience: Duration::from_secs(30),
            metrics_address: None,
            lease_dir: "/run/linkspan/leases".into(),
            log: LogOptions::default(),
            ignored: Vec::new(),
        }
    }
}

impl Request {
    /// Reads the arguments after the program's name. As for the reference's Go, one dash is as good as two, and a
    /// value stands after `=` or in the next argument.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, FlagsError> {
        let mut flags = Flags::default();
        let mut arguments = arguments.into_iter().peekable();
        arguments.next_if(|first| first == "daemon");
        while let Some(argument) = arguments.next() {
            let flag = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
            let flag = flag.ok_or_else(|| FlagsError::Unknown(argument.clone()))?;
            let (flag, inline) = match flag.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (flag, None),
            };
            match flag {
                "help" | "h" => return Ok(Self::Help),
                "version" => return Ok(Self::Version),
                "broadcast" => flags.broadcast = switch(flag, inline)?,
                "socketpath" | "hostprefix" | "pidfile" | "timeout" | "resendmax"
                | "resendtimeout" | "metrics-address" | "lease-dir" | "log-level" | "log-file" => {
                    let value = inline.or_else(|| arguments.next());
                    flags.set(flag, value.ok_or_else(|| FlagsError::NoValue(flag.to_owned()))?)?;
                }
                _ => return Err(FlagsError::Unknown(argument)),
            }
        }
        Ok(Self::Run(Box::new(flags)))
    }
}

impl Flags {
    fn set(&mut self, flag: &str, value: String) -> Result<(), FlagsError> {
        let bad = |value: String, expected| FlagsError::BadValue {
            flag: flag.to_owned(),
            value,
            expected,
        };
        let in_bounds = |time: &Duration| PATIENCE.contains(time);
        match flag {
            "socketpath" => self.socket = value.into(),
            "hostprefix" => self.host_prefix = value.into(),
            "pidfile" => self.pid_file = (!value.is_empty()).then(|| value.into()),
            "lease-dir" => self.lease_dir = value.into(),
            "log-file" => self.log.file = Some(value.into()),
            "log-level" => {
                self.log.level = value.parse().map_err(|()| bad(value, Level::EXPECTED))?;
            }
            "metrics-address" => {
                let address = value.parse().map_err(|_| bad(value, NoAddress::EXPECTED))?;
                self.metrics_address = Some(address);
            }
            "resendtimeout" => {
                let time = duration(&value).filter(in_bounds);
                self.patience = time.ok_or_else(|| bad(value, "a time from 1s to 5m"))?;
            }
            _ => {
                duration(&value).ok_or_else(|| bad(value, "a time such as 10s or 1m30s"))?;
                self.ignored.push(format!("--{flag}"));
            }
        }
        Ok(())
    }
}

/// A pod may be made to wait for less long than any server takes, but not for longer than anybody waits for a pod.
const PATIENCE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_mins(5);

fn switch(flag: &str, value: Option<String>) -> Result<bool, FlagsError> {
    match value.as_deref() {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(FlagsError::BadValue {
            flag: flag.to_owned(),
            value: value.unwrap_or_default(),
            expected: "true or false",
        }),
    }
}

/// A time as Go writes it, in whole numbers: `1m30s`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let number: u64 = number.parse().ok()?;
        let milliseconds = number.checked_mul(match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        })?;
        sum = sum.checked_add(Duration::from_millis(milliseconds))?;
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, String> {
        match Request::parse(line.split_whitespace().map(str::to_owned)) {
            Ok(Request::Run(flags)) => Ok(*flags),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_command_line_of_the_reference_is_followed_with_our_own_flags() {
        let line = "daemon -hostprefix /host -socketpath=/s -pidfile /p -broadcast=true -timeout 10s \
                    -resendmax=62s -resendtimeout 1m30s --log-level debug --log-file=/l";
        let expected = Flags {
            socket: "/s".into(),
            host_prefix: "/host".into(),
            pid_file: Some("/p".into()),
            broadcast: true,
            patience: Duration::from_secs(90),
            ignored: vec!["--timeout".into(), "--resendmax".into()],
            log: LogOptions { level: Level::Debug, file: Some("/l".into()) },
            ..Flags::default()
        };
        assert_eq!(parse(line), Ok(expected));
        assert_eq!(parse(""), Ok(Flags::default()));
        // What the reference's own unit has.
        assert_eq!(parse("daemon -pidfile="), Ok(Flags::default()));
    }

    #[test]
    fn what_can_not_be_followed_is_said_plainly() {
        let table = [
            ("--sockets", r#""--sockets" is not a flag of this program; see --help"#),
            ("serve", r#""serve" is not a flag of this program; see --help"#),
            ("--socketpath", "--socketpath needs a value; see --help"),
            ("--broadcast=1", r#"--broadcast is "1", expected true or false"#),
            (
                "--log-level=loud",
                r#"--log-level is "loud", expected a log level: panic, error, warning, info or debug"#,
            ),
            ("-resendtimeout 208", r#"--resendtimeout is "208", expected a time from 1s to 5m"#),
            ("-resendtimeout 6m", r#"--resendtimeout is "6m", expected a time from 1s to 5m"#),
            ("-timeout soon", r#"--timeout is "soon", expected a time such as 10s or 1m30s"#),
        ];
        for (line, message) in table {
            assert_eq!(parse(line), Err(message.to_owned()), "{line}");
        }
    }

    #[test]
    fn times_are_read_as_go_writes_them() {
        let table = [
            ("208s", Some(208_000)),
            ("1m30s", Some(90_000)),
            ("1h", Some(3_600_000)),
            ("250ms", Some(250)),
            ("", None),
            ("10", None),
            ("s", None),
            ("1.5s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ];
        for (text, milliseconds) in table {
            assert_eq!(duration(text), milliseconds.map(Duration::from_millis), "{text:?}");
        }
    }
}
