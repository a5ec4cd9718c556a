//! The administrator's kubectl.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::wait::BOUND;

pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf) -> Self {
        Self { program, kubeconfig }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", &self.kubeconfig).env_remove("KUBERC");
        command
    }

    /// What kubectl writes, if it succeeds.
    pub(crate) fn run(&self, args: &[&str]) -> Result<String> {
        let output = self.command().args(args).stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "kubectl {}: {} {}",
            args.join(" "),
            text.trim(),
            said.trim()
        );
        Ok(text)
    }

    /// An object, or a list of them.
    pub(crate) fn get(&self, args: &[&str]) -> Result<Value> {
        let text = self.run(&[&["get", "-o", "json"], args].concat())?;
        serde_json::from_str(&text).context("kubectl wrote no JSON")
    }

    /// Makes objects.
    pub(crate) fn apply(&self, objects: &[Value]) -> Result<()> {
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        let mut child = self
            .command()
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(list.to_string().as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl apply: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Waits until objects are so, which is told and not asked for again and again: `condition=Ready`, `delete`,
    /// `jsonpath={.status.x}=7`.
    pub(crate) fn wait(&self, condition: &str, what: &[&str]) -> Result<()> {
        let (condition, bound) =
            (format!("--for={condition}"), format!("--timeout={}s", BOUND.as_secs()));
        self.run(&[&["wait", &condition, &bound], what].concat()).map(drop)
    }
}
