//! The operator's command line, on real attachments: what it tells of them, and what it removes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod gc;
mod status;

use std::process::{Command, ExitCode, Output};

use linkspan_tests::cni::Network;
use linkspan_tests::harness;
use linkspan_tests::lan::{Lan, PARENT};
use linkspan_tests::program::program;
use serde_json::{Value, json};
use tempfile::TempDir;

fn main() -> ExitCode {
    harness::main(status::cases().into_iter().chain(gc::cases()))
}

/// A node whose `/run/linkspan` is a folder of the test's own: what the command line does, it does to all that is
/// there.
struct Node {
    lan: Lan,
    state: TempDir,
    test: &'static str,
}

impl Node {
    fn new(test: &'static str) -> Self {
        std::fs::create_dir_all("/run/linkspan").unwrap();
        Self { lan: Lan::new(test), state: TempDir::new().unwrap(), test }
    }

    /// A macvlan network with this section `ipam`.
    fn network(&self, ipam: &Value) -> Network {
        let config =
            json!({ "type": "linkspan", "kind": "macvlan", "parent": PARENT, "ipam": ipam });
        let wrapper = self.wrapper();
        let mut network =
            self.lan.network(config).also_run_by(&wrapper.each_ref().map(String::as_str));
        network.args =
            format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={}", self.test);
        network
    }

    /// What has a program see the folder as `/run/linkspan`, and no DHCP daemon at the usual place.
    fn wrapper(&self) -> [String; 6] {
        let mounts = format!(
            "mount --bind {} /run/linkspan && {{ ! test -d /run/cni || mount -t tmpfs none /run/cni; }} && exec \"$@\"",
            self.state.path().display(),
        );
        ["unshare", "--mount", "sh", "-c", &mounts, "sh"].map(String::from)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let words = self.words(arguments);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_remove("CNI_COMMAND");
        command
    }

    /// The words of a command line that runs `linkspan` on this node.
    fn words(&self, arguments: &[&str]) -> Vec<String> {
        let netns = format!("--net={}", self.lan.host.netns().display());
        let mut words = Vec::from(self.wrapper());
        words.extend(["nsenter".to_owned(), netns, program("linkspan").display().to_string()]);
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        words
    }

    /// What a command prints, which succeeds.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "linkspan {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["status", "--json"])).unwrap()
    }
}
