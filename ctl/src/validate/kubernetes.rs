//! Kubernetes' objects that have a configuration in them: definitions of networks, and maps of files, in documents
//! and lists of YAML or JSON.

use serde_json::Value;

use super::lines::Lines;
use super::yaml::{Node, documents};
use super::{Finding, Text, Verdict, pools};

/// Lists of lists are nobody's.
const DEEPEST: usize = 4;

/// The variable that has the resources of macvtap-cni's device plugin.
const MACVTAP_CNI: &str = "DP_MACVTAP_CONF";

/// The annotation by which Multus knows from which pool a network's devices are.
const RESOURCE: &str = "k8s.v1.cni.cncf.io/resourceName";

/// Checks each object of a file.
pub(super) fn check(file: &str) -> Vec<Finding> {
    let (documents, error) = documents(file);
    let mut checked = Checked { file, named: Vec::new(), findings: Vec::new() };
    for document in &documents {
        checked.object(document, DEEPEST);
    }
    let Checked { mut findings, .. } = checked;
    if let Some(error) = error {
        findings.push(Finding::error(error.line, format!("it is no YAML: {}", error.what)));
    } else if findings.is_empty() {
        findings
            .push(Finding::error(0, "there is nothing in it, expected a configuration".to_owned()));
    }
    findings
}

struct Checked<'a> {
    file: &'a str,
    /// The objects that were there before, to find two of one name.
    named: Vec<(String, usize)>,
    findings: Vec<Finding>,
}

impl Checked<'_> {
    fn object(&mut self, object: &Node, depth: usize) {
        let text = |key: &str| object.get(key).and_then(Node::text);
        let Some(kind) = text("kind").filter(|_| text("apiVersion").is_some()) else {
            if object.text().is_none_or(|text| !text.is_empty() && text != "~") {
                let what = "it is no object of Kubernetes, expected one with `apiVersion` and `kind`; CNI and the \
                            device plugin read JSON only";
                self.findings.push(Finding::error(object.line, what.to_owned()));
            }
            return;
        };
        let items = object.get("items").filter(|_| kind.ends_with("List") && depth > 0);
        if let Some(items) = items {
            items.items().iter().for_each(|item| self.object(item, depth - 1));
            return;
        }
        let subject = subject_of(kind, object);
        match kind {
            "NetworkAttachmentDefinition" => {
                self.only_one(&subject, object.line);
                self.network(object, subject);
            }
            "ConfigMap" => self.config_map(object, &subject),
            _ => self.workload(object, &subject),
        }
    }

    fn network(&mut self, object: &Node, subject: String) {
        let metadata = object.get("metadata");
        let config = object.get("spec").and_then(|spec| spec.get("config"));
        let annotation =
            metadata.and_then(|metadata| metadata.get("annotations")?.get(RESOURCE)?.text());
        let Some(config) = config else {
            let said = "it has no `spec.config`: Multus takes a configuration of its name from the node's folder";
            return self.say(Verdict::Note, object.line, &subject, said);
        };
        let Some(json) = config.text() else {
            let said = "`spec.config` is an object, expected its JSON as one text";
            return self.say(Verdict::Error, config.line, &subject, said);
        };
        let text = Text {
            subject,
            json,
            lines: self.lines(config),
            default_name: metadata.and_then(|metadata| metadata.get("name")?.text()),
            has_resource: annotation.is_some_and(|name| !name.is_empty()),
        };
        self.findings.extend(text.check());
    }

    fn config_map(&mut self, object: &Node, subject: &str) {
        let data = object.get("data").map(Node::entries).unwrap_or_default();
        let before = self.findings.len();
        for (key, value) in data {
            let Some(json) = value.text() else { continue };
            let text = Text {
                subject: format!("{subject}, {key}"),
                json,
                lines: self.lines(value),
                default_name: None,
                has_resource: true,
            };
            if key == MACVTAP_CNI {
                self.findings.extend(pools::check_macvtap_cni(&text));
            } else if Text::is_ours(json) || (is_json_by_name(key) && is_broken(json)) {
                self.findings.extend(text.check());
            }
        }
        if self.findings.len() == before {
            self.say(Verdict::Fine, object.line, subject, "no configuration in it, not looked at");
        }
    }

    /// A pod, or what makes pods: of its containers' variables the one that has resources.
    fn workload(&mut self, object: &Node, subject: &str) {
        let spec = object.get("spec");
        let pod = spec.and_then(|spec| spec.get("template")?.get("spec")).or(spec);
        let containers = ["initContainers", "containers"].into_iter();
        let containers = containers.filter_map(|key| pod?.get(key)).flat_map(Node::items);
        let variables = containers.filter_map(|one| one.get("env")).flat_map(Node::items);
        let before = self.findings.len();
        for variable in variables {
            let text = |key| variable.get(key).and_then(Node::text);
            let value = variable.get("value").filter(|_| text("name") == Some(MACVTAP_CNI));
            let Some(value) = value else { continue };
            let Some(json) = value.text() else { continue };
            let text = Text {
                subject: format!("{subject}, {MACVTAP_CNI}"),
                json,
                lines: self.lines(value),
                default_name: None,
                has_resource: true,
            };
            self.findings.extend(pools::check_macvtap_cni(&text));
        }
        if self.findings.len() == before {
            self.say(Verdict::Fine, object.line, subject, "not looked at");
        }
    }

    /// Two objects of one name are one in the cluster: the later.
    fn only_one(&mut self, subject: &str, line: usize) {
        if let Some((_, first)) = self.named.iter().find(|(name, _)| name == subject) {
            let said =
                format!("there is another of that name in line {first}, which this one replaces");
            self.say(Verdict::Note, line, subject, &said);
        }
        self.named.push((subject.to_owned(), line));
    }

    fn lines(&self, text: &Node) -> Lines {
        let (written, line) = text.as_written(self.file);
        Lines::of(&written, line)
    }

    fn say(&mut self, verdict: Verdict, line: usize, subject: &str, text: &str) {
        let (subject, text) = (subject.to_owned(), text.to_owned());
        self.findings.push(Finding { line, verdict, subject, text });
    }
}

/// The object as `kubectl` would name it.
fn subject_of(kind: &str, object: &Node) -> String {
    let of = |key| object.get("metadata").and_then(|metadata| metadata.get(key)?.text());
    let name = of("name").unwrap_or("without a name");
    match of("namespace") {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn is_json_by_name(key: &str) -> bool {
    let ending = key.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| matches!(ending, "json" | "conf" | "conflist"))
}

fn is_broken(json: &str) -> bool {
    serde_json::from_str::<Value>(json).is_err()
}
