//! Pods as tests need them: network namespaces, named after the test and gone when it ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::wait;

/// A pod: a network namespace with a loopback that is up.
pub struct Pod {
    name: String,
}

impl Pod {
    /// Makes a pod. One of the same name that an earlier, killed run has left is replaced.
    #[must_use]
    pub fn new(test: &str, name: &str) -> Self {
        let name = format!("{test}-{name}");
        let _ = Command::new("ip").args(["netns", "delete", &name]).output();
        run("ip", &["netns", "add", &name]);
        let pod = Self { name };
        pod.run("ip", &["link", "set", "lo", "up"]);
        pod
    }

    /// The namespace's name, which serves as the container's ID too.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace's path.
    #[must_use]
    pub fn netns(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Runs a program in the pod, and returns what it prints.
    ///
    /// # Panics
    ///
    /// If the program fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.output(program, arguments);
        success(&format!("{program} {} in {}", arguments.join(" "), self.name), &output)
    }

    /// Runs a program in the pod, which may fail.
    #[must_use]
    pub fn output(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("ip");
        match program {
            // It changes its namespace itself, which saves a process.
            "ip" => command.args(["-n", &self.name]),
            _ => command.args(["netns", "exec", &self.name, program]),
        };
        command.args(arguments).output().unwrap()
    }

    /// Deletes the namespace as a runtime does that has lost its pod.
    pub fn delete(&self) {
        run("ip", &["netns", "delete", &self.name]);
    }

    /// Waits for an interface's carrier, which a VF has only some seconds after it was set up, and until the
    /// kernel has done what it does when one comes: that may be later than the flag.
    pub fn wait_for_carrier(&self, interface: &str) {
        let what = format!("carrier of {interface} in {}", self.name);
        wait::until(&what, Duration::from_secs(30), || {
            self.run("ip", &["link", "show", interface]).contains("state UP").then_some(())
        });
    }

    /// Makes the kernel look so long for a duplicate of an IPv6 address that comes from now on that no test
    /// sees the end of it.
    pub fn look_for_duplicates_for_long(&self) {
        let setting = "/proc/sys/net/ipv6/conf/default/dad_transmits";
        self.run("sh", &["-c", &format!("echo 600 > {setting}")]);
    }

    /// What `ip -j` says of an interface.
    #[must_use]
    pub fn link(&self, interface: &str) -> Value {
        let text = self.run("ip", &["-j", "address", "show", interface]);
        serde_json::from_str::<Value>(&text).unwrap()[0].take()
    }

    /// Whether `address` answers a ping within `seconds`. Pings are sent all the while, as a VF has no
    /// carrier for the first moment, or for four seconds where its PF was reset while it was down.
    #[must_use]
    pub fn pings(&self, address: &str, seconds: u32) -> bool {
        let deadline = Instant::now() + Duration::from_secs(seconds.into());
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).as_secs() + 1;
            // With a count and a deadline ping ends at the first answer, at the deadline, or when the kernel has
            // looked for the address for some seconds in vain, which is too early.
            let arguments = ["-n", "-q", "-i", "0.2", "-c", "1", "-w", &left.to_string(), address];
            if self.output("ping", &arguments).status.success() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

/// Runs a program on the host, and returns what it prints.
///
/// # Panics
///
/// If the program fails.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{program} can't be run: {e}"));
    success(&format!("{program} {}", arguments.join(" ")), &output)
}

fn success(what: &str, output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
