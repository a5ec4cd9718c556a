//! What the driver has done in the guest: shell commands, and the ends and starts of the node's daemons. One order is
//! one connection: a line of JSON there, and the reply back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
pub(crate) enum Order {
    /// Runs a shell command.
    Shell(String),
    /// Kills these daemons.
    Kill(Vec<String>),
    /// Starts these daemons.
    Start(Vec<String>),
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Reply {
    pub(crate) status: i32,
    /// What a command wrote, or what went wrong.
    pub(crate) output: String,
}

/// The driver's end.
pub(crate) struct Agent {
    port: u16,
}

impl Agent {
    pub(crate) fn at(port: u16) -> Self {
        Self { port }
    }

    /// What a shell command in the guest writes, if it succeeds.
    pub(crate) fn shell(&self, command: &str) -> Result<String> {
        let reply = self.send(&Order::Shell(command.to_owned()))?;
        ensure!(
            reply.status == 0,
            "in the guest, `{command}` ended with {}: {}",
            reply.status,
            reply.output.trim()
        );
        Ok(reply.output)
    }

    /// Kills daemons of the node, all before the first is started again.
    pub(crate) fn restart(&self, daemons: &[&str]) -> Result<()> {
        self.kill(daemons)?;
        self.start(daemons)
    }

    pub(crate) fn kill(&self, daemons: &[&str]) -> Result<()> {
        self.done(&Order::Kill(daemons.iter().map(ToString::to_string).collect()))
    }

    pub(crate) fn start(&self, daemons: &[&str]) -> Result<()> {
        self.done(&Order::Start(daemons.iter().map(ToString::to_string).collect()))
    }

    fn done(&self, order: &Order) -> Result<()> {
        let reply = self.send(order)?;
        ensure!(reply.status == 0, "a daemon of the node can't be started: {}", reply.output);
        Ok(())
    }

    fn send(&self, order: &Order) -> Result<Reply> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_mins(3)))?;
        stream.write_all(&line(order)?)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        // QEMU takes a connection also while nobody in the guest does.
        serde_json::from_str(&text).context("the guest's agent does not answer")
    }
}

/// The guest's end of one connection.
pub(crate) fn serve(
    stream: &TcpStream,
    perform: impl FnOnce(Order) -> Result<Reply>,
) -> Result<()> {
    let mut text = String::new();
    BufReader::new(stream).read_line(&mut text)?;
    let reply = perform(serde_json::from_str(&text)?)
        .unwrap_or_else(|error| Reply { status: -1, output: format!("{error:#}") });
    let mut stream = stream;
    Ok(stream.write_all(&line(&reply)?)?)
}

fn line(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}
