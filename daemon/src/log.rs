//! Where a daemon's events go: each is a line of [`linkspan_log`].

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use linkspan_log::{Level, Line, OpenLogError, Sink};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber, span};

/// What is logged, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The least grave event to log.
    pub level: Level,
    /// Where to log; standard error where it is not set.
    pub file: Option<PathBuf>,
}

impl LogOptions {
    /// Logs so from now on.
    fn begin(&self) -> Result<(), OpenLogError> {
        let sink = match &self.file {
            Some(path) => Sink::file(path)?,
            None => Sink::stderr(),
        };
        let log = Log { level: self.level, sink };
        // Where a test has one already, that one stays.
        let _ = tracing::subscriber::set_global_default(log);
        Ok(())
    }
}

/// What ends a daemon before anybody asked it to.
pub struct Fatal {
    /// What was wrong, with its causes.
    pub error: anyhow::Error,
    /// What to do next; empty where the error says it all.
    pub advice: String,
}

impl From<anyhow::Error> for Fatal {
    fn from(error: anyhow::Error) -> Self {
        Self { error, advice: String::new() }
    }
}

/// Runs a daemon with a log, whose last line is why it ended.
pub fn run<E: Into<Fatal>>(
    options: &LogOptions,
    daemon: impl FnOnce() -> Result<(), E>,
) -> ExitCode {
    if let Err(error) = options.begin() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    match daemon().map_err(Into::into) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fatal { error, advice }) => {
            tracing::error!(advice, "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes events as lines. Spans, which none of our programs has, are passed over.
struct Log {
    level: Level,
    sink: Sink,
}

/// Libraries tell of what only their own developers understand; what they warn of is told.
const OURS: &str = "linkspan";

impl Log {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let level = level(*metadata.level());
        let is_ours = metadata.target().starts_with(OURS);
        metadata.is_event() && level <= self.level && (is_ours || level <= Level::Warning)
    }
}

impl Subscriber for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.level {
            Level::Panic => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warning => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        let line = Line::new(level(*event.metadata().level()), told.message);
        let line = told.values.iter().fold(line, |line, (key, value)| line.with(key, value));
        self.sink.write(&line);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warning,
        tracing::Level::INFO => Level::Info,
        _ => Level::Debug,
    }
}

/// What an event says.
#[derive(Default)]
struct Told {
    message: String,
    values: Vec<(&'static str, String)>,
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let shown = format!("{value:?}");
        match field.name() {
            "message" => self.message = shown,
            key => self.values.push((key, shown)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs::File;

    use super::*;

    fn logged(level: Level, what: impl FnOnce()) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let sink = Sink::File(File::options().append(true).open(file.path()).unwrap());
        tracing::subscriber::with_default(Log { level, sink }, what);
        let text = std::fs::read_to_string(file.path()).unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn an_event_is_a_line_with_its_values() {
        let lines = logged(Level::Info, || {
            let (pod, nobody) = ("web/a", "");
            tracing::warn!(pod, device = nobody, mac = ?[1, 2], "its \"lease\" is {}", "over");
            tracing::debug!("how it was done");
        });
        assert_eq!(lines, [r#"level=warning msg="its \"lease\" is over" pod=web/a mac="[1, 2]""#]);
    }

    #[test]
    fn of_libraries_only_what_is_wrong_is_told() {
        let lines = logged(Level::Debug, || {
            tracing::debug!("ours");
            tracing::info!(target: "h2", "theirs");
            tracing::warn!(target: "h2", "it breaks");
            tracing::info_span!("within").in_scope(|| tracing::info!("a span"));
        });
        assert_eq!(
            lines,
            [
                "level=debug msg=ours",
                "level=warning msg=\"it breaks\"",
                "level=info msg=\"a span\""
            ]
        );
    }

    #[test]
    fn panic_is_silence() {
        assert!(logged(Level::Panic, || tracing::error!("it breaks")).is_empty());
    }
}
