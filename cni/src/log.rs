//! What the plugin logs: what was done by a call, why it failed, and what went wrong beside it. All of it goes to the
//! log that the network names, else to standard error, and names the pod.
//!
//! One call is one process, so the log is the process's. A call that says nothing opens nothing.

use std::fmt::Display;
use std::sync::OnceLock;
use std::time::Instant;

use linkspan_config::net_conf::{KindName, LogConf};
use linkspan_log::{Level, Line, Sink};
use serde_json::{Map, Value};

use crate::face::Face;
use crate::spec::{Attachment, Call, CniError, Network};

static LOG: OnceLock<Log> = OnceLock::new();

/// The log of one call.
struct Log {
    level: Level,
    conf: LogConf,
    sink: OnceLock<Sink>,
    /// What every line has.
    about: Vec<(&'static str, String)>,
    /// What the line at the end has beside that: it is known before the call, but what was done is said only where
    /// somebody asked for it.
    known: Vec<(&'static str, String)>,
    interface: Option<String>,
    began: Option<Instant>,
}

/// Notes what the call is about. Before it, lines go to standard error and name no pod.
pub(crate) fn begin(call: &Call, face: Face) {
    let Some(network) = call.network() else { return };
    let conf = LogConf::of(&network.config);
    let level = conf.level();
    let is_told = level >= Level::Info;
    let log = Log {
        level,
        conf,
        sink: OnceLock::new(),
        about: about(call, network, face),
        known: if is_told { known(call, network) } else { Vec::new() },
        interface: call.attachment().map(|attachment| attachment.id.if_name.to_string()),
        began: is_told.then(Instant::now),
    };
    // A process has one call.
    let _ = LOG.set(log);
}

/// Says what came of the call.
pub(crate) fn end(verb: &str, outcome: Result<Option<&Value>, &CniError>) {
    let level = match (&outcome, verb) {
        (Err(_), _) => Level::Error,
        // It is what a runtime does all the time.
        (Ok(_), "CHECK" | "STATUS") => Level::Debug,
        (Ok(_), _) => Level::Info,
    };
    if !is_logged(level) {
        return;
    }
    let mut told = match outcome {
        Ok(_) => line(level, done(verb)),
        Err(error) => {
            line(level, &error.msg).with("advice", &error.details).with("code", error.code.number())
        }
    };
    let log = LOG.get();
    let known = log.map(|log| log.known.clone()).unwrap_or_default();
    let result = outcome.ok().flatten().zip(log.and_then(|log| log.interface.as_deref()));
    let given = result.map(|(result, interface)| given(result, interface)).unwrap_or_default();
    // What the configuration has was asked for, and is not said twice.
    let news = given.iter().filter(|(key, _)| !known.iter().any(|(other, _)| other == key));
    for (key, value) in known.iter().chain(news) {
        told = told.with(key, value);
    }
    if let Some(began) = log.and_then(|log| log.began) {
        told = told.with("took", format_args!("{}us", began.elapsed().as_micros()));
    }
    write(&told);
}

/// Says that something went wrong that does not fail the call.
pub fn warning(message: impl Display) {
    if is_logged(Level::Warning) {
        write(&line(Level::Warning, message));
    }
}

fn is_logged(level: Level) -> bool {
    level <= LOG.get().map_or(Level::Warning, |log| log.level)
}

/// An event of this call.
fn line(level: Level, message: impl Display) -> Line {
    let about = LOG.get().map_or(&[][..], |log| &log.about);
    about.iter().fold(Line::new(level, message), |line, (key, value)| line.with(key, value))
}

fn write(told: &Line) {
    match LOG.get() {
        Some(log) => log.sink.get_or_init(|| log.open()).write(told),
        None => Sink::stderr().write(told),
    }
}

impl Log {
    /// The file that the network names. Where that can't be, the log is on standard error, which is said there.
    fn open(&self) -> Sink {
        let Some(path) = &self.conf.file else { return Sink::stderr() };
        Sink::file_of_network(path).unwrap_or_else(|error| {
            let stderr = Sink::stderr();
            stderr.write(&line(Level::Warning, error));
            stderr
        })
    }
}

fn about(call: &Call, network: &Network, face: Face) -> Vec<(&'static str, String)> {
    let mut about = vec![("verb", call.verb().to_owned())];
    if let Some(Attachment { id, args, .. }) = call.attachment() {
        about.push(("pod", args.pod().unwrap_or_default()));
        about.push(("container", id.container_id.to_string()));
        about.push(("interface", id.if_name.to_string()));
    }
    about.push(("network", text(&network.config, "name")));
    about.push(("kind", kind(&network.config, face)));
    about
}

/// As it is called, whether or not the configuration is right.
fn kind(config: &Map<String, Value>, face: Face) -> String {
    match face {
        Face::Main(kind) => kind.to_string(),
        Face::Ipam(name) => name.to_string(),
        Face::Linkspan => {
            let kind = text(config, "kind");
            let of_type = || text(config, "type").parse::<KindName>().ok();
            if kind.is_empty() {
                of_type().map(|kind| kind.to_string()).unwrap_or_default()
            } else {
                kind
            }
        }
    }
}

/// What the configuration has of the device, and of the result of the ADD before a DEL.
fn known(call: &Call, network: &Network) -> Vec<(&'static str, String)> {
    let config = &network.config;
    let keys = [("device", "deviceID"), ("parent", "parent"), ("parent", "master")];
    let mut known: Vec<_> = keys.map(|(key, name)| (key, text(config, name))).into();
    if let (Call::Del { attachment, .. }, Some(before)) = (call, config.get("prevResult")) {
        known.extend(given(before, &attachment.id.if_name.to_string()));
    }
    known.retain(|(_, value)| !value.is_empty());
    known.dedup_by_key(|(key, _)| *key);
    known
}

/// What a result, in the shape of any version, gives the pod by this interface.
fn given(result: &Value, interface: &str) -> Vec<(&'static str, String)> {
    let list = |key| result.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_own = |one: &Value| {
        one.get("name").is_some_and(|name| name == interface)
            && one.get("sandbox").is_some_and(|path| path != "")
    };
    let interfaces = list("interfaces");
    let own = interfaces.iter().position(is_own);
    let of_own =
        |key| own.and_then(|index| interfaces[index].get(key)?.as_str()).unwrap_or_default();
    let has = |ip: &&Value| {
        let index = ip.get("interface").and_then(Value::as_u64);
        index.is_none_or(|index| own.is_some_and(|own| own as u64 == index))
    };
    let addresses = list("ips").iter().filter(has).filter_map(|ip| ip.get("address")?.as_str());
    let addresses: Vec<_> = addresses.collect();
    let keys = [("device", of_own("pciID")), ("mac", of_own("mac"))];
    let given = keys.into_iter().map(|(key, value)| (key, value.to_owned()));
    given.chain([("addresses", addresses.join(","))]).collect()
}

fn text(map: &Map<String, Value>, key: &str) -> String {
    map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn done(verb: &str) -> &'static str {
    match verb {
        "ADD" => "attached",
        "DEL" => "detached",
        "CHECK" => "is as it was attached",
        "STATUS" => "can attach",
        _ => "collected what belongs to no valid attachment",
    }
}
