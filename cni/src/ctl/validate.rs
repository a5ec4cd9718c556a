//! `linkspan validate FILE...`: whether the plugins would take these configurations, and if not, what is wrong.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use linkspan_config::Invalid;
use linkspan_config::net_conf::{KindName, StatusConf};
use linkspan_config::resource_list::ResourceList;
use serde_json::{Map, Value};

/// More than any configuration has.
const LIMIT: u64 = 1 << 20;

/// Why a file is no configuration that works.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("it can't be read: {0}. Give the path of a file that this user may read")]
    Unreadable(io::Error),
    #[error("it has more than {LIMIT} bytes, expected a configuration")]
    TooLong,
    // The parser's own text ends with the line and the column.
    #[error("it is not JSON: {0}")]
    Malformed(serde_json::Error),
    #[error(
        "it is no configuration, expected one of a network (with the key `type`), a list of plugins (with \
         `plugins`) or of resources (with `resourceList`)"
    )]
    Unknown,
    #[error("{place}{invalid}{}", sentence(.invalid))]
    Invalid {
        /// Where in the file, if not at its root.
        place: String,
        invalid: Box<Invalid>,
    },
}

/// Check networks' configurations and resource lists, and change nothing
///
/// Says of each file whether the plugins would take it, and if not, what is wrong and where. The exit code is 1
/// if any of them would not work.
#[derive(Debug, clap::Args)]
pub(super) struct Validate {
    /// Such as /etc/cni/net.d/10-fast.conflist
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Validate {
    /// Says of each file whether it works; the exit code is for scripts.
    pub(super) fn run(&self) -> ExitCode {
        let mut all_work = ExitCode::SUCCESS;
        for file in &self.files {
            let line = match check(file) {
                Ok(what) => format!("{}: {what}\n", file.display()),
                Err(fault) => {
                    all_work = ExitCode::FAILURE;
                    format!("{}: {fault}\n", file.display())
                }
            };
            if io::stdout().write_all(line.as_bytes()).is_err() {
                return ExitCode::FAILURE;
            }
        }
        all_work
    }
}

/// What a file is, if all is well with it.
fn check(file: &Path) -> Result<String, Fault> {
    let mut text = Vec::new();
    let opened = File::open(file).map_err(Fault::Unreadable)?;
    opened.take(LIMIT + 1).read_to_end(&mut text).map_err(Fault::Unreadable)?;
    if text.len() as u64 > LIMIT {
        return Err(Fault::TooLong);
    }
    let root: Value = serde_json::from_slice(&text).map_err(Fault::Malformed)?;
    let config = root.as_object().ok_or(Fault::Unknown)?;
    if config.contains_key("resourceList") {
        let list = ResourceList::from_json(&root).map_err(|invalid| at("", invalid))?;
        return Ok(format!("resources that work: {}", list.resources.len()));
    }
    if let Some(plugins) = config.get("plugins") {
        return check_chain(config, plugins.as_array().ok_or(Fault::Unknown)?);
    }
    if !config.contains_key("type") {
        return Err(Fault::Unknown);
    }
    let Some(checked) = check_network(config) else {
        return Ok("a network of somebody else's plugin, which was not looked at".to_owned());
    };
    let conf = checked.map_err(|invalid| at("", invalid))?;
    Ok(format!("network {} of kind {}, which works", conf.name, conf.kind))
}

/// Each plugin of a list gets the list's name and version (CNI 1.1.0, section 3).
fn check_chain(list: &Map<String, Value>, plugins: &[Value]) -> Result<String, Fault> {
    let mut own = 0;
    for (index, plugin) in plugins.iter().enumerate() {
        let mut config = plugin.as_object().ok_or(Fault::Unknown)?.clone();
        for key in ["name", "cniVersion"] {
            if let Some(value) = list.get(key) {
                config.insert(key.to_owned(), value.clone());
            }
        }
        if let Some(checked) = check_network(&config) {
            checked.map_err(|invalid| at(&format!("plugins[{index}]: "), invalid))?;
            own += 1;
        }
    }
    let others = plugins.len() - own;
    Ok(format!("plugins that work: {own}; of others, not looked at: {others}"))
}

/// Checks what ADD would check; nothing where it is another plugin that is called.
fn check_network(config: &Map<String, Value>) -> Option<Result<StatusConf, Invalid>> {
    let name = config.get("type").and_then(Value::as_str).unwrap_or_default();
    let called_as: Option<KindName> = name.parse().ok();
    (called_as.is_some() || name == "linkspan").then(|| StatusConf::parse(config, called_as))
}

fn at(place: &str, invalid: Invalid) -> Fault {
    Fault::Invalid { place: place.to_owned(), invalid: Box::new(invalid) }
}

fn sentence(invalid: &Invalid) -> String {
    invalid.advice.as_ref().map(|advice| format!(". {advice}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tempfile::TempDir;

    fn checked(text: &str) -> Result<String, String> {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("conf");
        std::fs::write(&file, text).unwrap();
        check(&file).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_works_is_named() {
        let table = [
            (
                json!({"name": "a", "type": "macvlan", "master": "eth0"}),
                "network a of kind macvlan, which works",
            ),
            (
                json!({"name": "a", "type": "linkspan", "kind": "sriov", "resourceName": "x.y/z"}),
                "network a of kind sriov, which works",
            ),
            (
                json!({"name": "a", "type": "bridge"}),
                "a network of somebody else's plugin, which was not looked at",
            ),
            (
                json!({"name": "a", "plugins": [{"type": "ipvlan", "ipam": {"type": "dhcp"}}, {"type": "tuning"}]}),
                "plugins that work: 1; of others, not looked at: 1",
            ),
            (
                json!({"resourceList": [{"resourceName": "a", "selectors": {"pfNames": ["ens1"]}}]}),
                "resources that work: 1",
            ),
        ];
        for (config, said) in table {
            assert_eq!(checked(&config.to_string()), Ok(said.to_owned()));
        }
    }

    #[test]
    fn what_does_not_is_told_with_its_place() {
        let table = [
            ("{", "it is not JSON: EOF while parsing an object at line 1 column 1"),
            (
                r#"{"resourceList": [{"resourceName": "a"}]}"#,
                "`resourceList[0].selectors` is nothing, expected an object of selectors, or a list of such objects. \
                 Write `\"selectors\": {}`",
            ),
            (
                r#"{"name": "a", "plugins": [{"type": "tuning"}, {"type": "macvlan", "mod": "vepa"}]}"#,
                "plugins[1]: `mod` is \"vepa\", expected ",
            ),
            (
                r#"{"name": "a", "type": "sriov", "vlan": 4095}"#,
                "`vlan` is 4095, expected a VLAN ID from 0 to 4094",
            ),
            (r"[]", "it is no configuration, expected one of a network"),
            (r#"{"name": "a"}"#, "it is no configuration, expected one of a network"),
        ];
        for (text, said) in table {
            let fault = checked(text).unwrap_err();
            assert!(fault.starts_with(said), "{text}: {fault}");
        }
        let long = format!("\"{}\"", "a".repeat(1 << 20));
        assert!(checked(&long).unwrap_err().starts_with("it has more than"));
        let missing = check(Path::new("/nobody/made/this")).unwrap_err().to_string();
        assert!(missing.starts_with("it can't be read: No such file"), "{missing}");
    }
}
