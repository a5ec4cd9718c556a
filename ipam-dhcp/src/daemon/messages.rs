//! What goes out for a client: messages to servers, and the question to the neighbours whether they have its address.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;

use linkspan_dhcp::client::Destination;
use linkspan_dhcp::wishes::Probe;
use linkspan_linux::ArpProbe;

use super::held::Held;
use super::{Daemon, Id, now};
use crate::about::about;
use crate::exchange::{self, Exchange, Listener};
use crate::interface::InterfaceError;

impl Daemon {
    pub(super) fn send(&mut self, id: Id, held: &mut Held, message: &[u8], to: Destination) {
        // Nobody answers a RELEASE. It goes as a frame: the pod's link is deleted right after, and a server's MAC that
        // has to be asked for first would come too late.
        let is_release = matches!(to, Destination::Unicast { .. }) && !held.client.listens();
        if is_release {
            self.counts.releases.add_one();
        } else if held.asked_at.is_none() {
            held.asked_at = Some(now());
        }
        let sent = match self.try_send(id, held, message, to, is_release) {
            Err(SendError::Interface(error)) if is_release && error.is_gone() => {
                send_from_here(message, to).map_err(SendError::Socket)
            }
            sent => sent,
        };
        if let Err(error) = sent {
            let error = anyhow::Error::new(error);
            about!(warn, held.holder, "a message was not sent: {error:#}");
        }
    }

    fn try_send(
        &mut self,
        id: Id,
        held: &mut Held,
        message: &[u8],
        to: Destination,
        by_frame: bool,
    ) -> Result<(), SendError> {
        let is_open = held.exchange.as_ref().is_some_and(|open| open.reaches(to, by_frame));
        if !is_open {
            // The client's port is one socket's at a time.
            held.exchange = None;
            self.make_link(held)?;
            self.last_number += 1;
            let number = self.last_number;
            let (inputs, counts) = (self.inputs.clone(), Arc::clone(&self.counts));
            let listener = Listener { id, number, inputs, counts };
            let interface = held.holder.interface(&self.home)?;
            held.exchange = Some(Exchange::open(&interface, to, by_frame, &self.closer, listener)?);
        }
        match &held.exchange {
            Some(exchange) => Ok(exchange.send(message, to)?),
            None => Ok(()),
        }
    }

    pub(super) fn probe(&mut self, id: Id, held: &mut Held, address: Ipv4Addr) {
        // Servers offer one address to several who ask at once, and give it to one: who asks for it as well is then told
        // by the server, and leaves the other alone.
        let rivals_count = held.client.wishes().probe == Probe::Thorough;
        let opened = self.make_link(held).and_then(|()| {
            let interface = held.holder.interface(&self.home)?;
            let (index, mac) = (interface.index(), interface.mac());
            let open = || ArpProbe::open(index, mac, address, rivals_count, &self.closer);
            Ok(interface.visit(open)?)
        });
        match opened {
            Ok(probe) => {
                let (inputs, how) = (self.inputs.clone(), held.client.wishes().probe);
                held.probe = Some(exchange::look_for(probe, address, how, id, inputs));
            }
            // The client goes on without an answer.
            Err(error) => {
                let error = anyhow::Error::new(error);
                about!(warn, held.holder, "{address} was not looked for: {error:#}");
            }
        }
    }
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// Sends a RELEASE from the host, by whatever way it has to the server: the pod's own link is gone.
fn send_from_here(message: &[u8], to: Destination) -> io::Result<()> {
    let Destination::Unicast { server, .. } = to else { return Ok(()) };
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.send_to(message, (server, 67)).map(drop)
}
