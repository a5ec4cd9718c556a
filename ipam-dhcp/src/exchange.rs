//! Messages on their way: a socket in the pod's namespace, open only while an answer is awaited, with the task that
//! listens to it; and the task that looks for an address among the neighbours.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use linkspan_dhcp::client::Destination;
use linkspan_dhcp::packet::{Ignored, Reply};
use linkspan_dhcp::wishes::Probe;
use linkspan_linux::{ArpProbe, Closer, DhcpSocket, Heard, LeaseSocket};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::daemon::{Id, Input};
use crate::interface::Interface;
use crate::metrics::Counts;

/// Ends a task with the value.
#[derive(Debug)]
pub(crate) struct Task(AbortHandle);

impl Task {
    fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A socket and who listens to it.
pub(crate) struct Exchange {
    socket: Arc<Socket>,
    /// Which of a client's sockets this is: what came by an earlier one is nobody's any more.
    pub(crate) number: u64,
    _listener: Task,
}

enum Socket {
    /// Where there is no address.
    Packet(DhcpSocket),
    /// From the address that there is.
    Udp(LeaseSocket),
}

/// Who listens, and to whom it is told.
pub(crate) struct Listener {
    pub(crate) id: Id,
    pub(crate) number: u64,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) counts: Arc<Counts>,
}

impl Exchange {
    /// Opens the socket by which this destination is reached.
    pub(crate) fn open(
        interface: &Interface<'_>,
        to: Destination,
        by_frame: bool,
        closer: &Closer,
        listener: Listener,
    ) -> io::Result<Self> {
        let mac = interface.mac();
        let packet = || DhcpSocket::open(interface.index(), mac, closer).map(Socket::Packet);
        let socket = interface.visit(|| match from(to).filter(|_| !by_frame) {
            None => packet(),
            // Something in the pod may have the client's port.
            Some(address) => {
                let udp = LeaseSocket::open(interface.name(), address, mac).map(Socket::Udp);
                udp.or_else(|_| packet())
            }
        })?;
        let socket = Arc::new(socket);
        let number = listener.number;
        let task = Task::spawn(listener.listen(Arc::clone(&socket)));
        Ok(Self { socket, number, _listener: task })
    }

    /// Whether this socket can send there.
    pub(crate) fn reaches(&self, to: Destination, by_frame: bool) -> bool {
        match *self.socket {
            Socket::Packet(_) => from(to).is_none() || by_frame,
            Socket::Udp(_) => from(to).is_some() && !by_frame,
        }
    }

    pub(crate) fn send(&self, message: &[u8], to: Destination) -> io::Result<()> {
        let (from, server, mac) = match to {
            Destination::Broadcast => (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, None),
            Destination::BroadcastFrom(from) => (from, Ipv4Addr::BROADCAST, None),
            Destination::Unicast { from, server, server_mac } => (from, server, server_mac),
        };
        match &*self.socket {
            Socket::Packet(socket) => socket.send(message, from, server, mac),
            Socket::Udp(socket) => socket.send(message, server),
        }
    }
}

/// The address that a message is sent from.
fn from(to: Destination) -> Option<Ipv4Addr> {
    match to {
        Destination::Broadcast => None,
        Destination::BroadcastFrom(from) | Destination::Unicast { from, .. } => Some(from),
    }
}

impl Listener {
    async fn listen(self, socket: Arc<Socket>) {
        let Self { id, number, inputs, counts } = self;
        loop {
            let heard = match &*socket {
                Socket::Packet(socket) => socket.receive().await,
                Socket::Udp(socket) => socket.receive().await,
            };
            let input = match heard {
                Ok(Heard::Malformed) => Err(Ignored::Malformed),
                Ok(Heard::Datagram { payload, from }) => Reply::parse(&payload, from)
                    .map(|reply| Input::Received { id, number, reply: Box::new(reply) }),
                // The link went down, or away.
                Err(_) => Ok(Input::Deaf { id, number }),
            };
            match input {
                Err(ignored) => counts.ignored(ignored),
                Ok(input) => {
                    let is_last = matches!(input, Input::Deaf { .. });
                    if inputs.send(input).await.is_err() || is_last {
                        return;
                    }
                }
            }
        }
    }
}

/// How often the neighbours are asked (RFC 5227, section 1.1, `PROBE_NUM`).
const QUESTIONS: u32 = 3;

/// Looks for an address among the neighbours: each that has it is told, and then that it is over.
pub(crate) fn look_for(
    probe: ArpProbe,
    address: Ipv4Addr,
    thoroughness: Probe,
    id: Id,
    inputs: mpsc::Sender<Input>,
) -> Task {
    // The RFC's times are for links of 1982; a thorough look has about half of them.
    let (pause, last) = match thoroughness {
        Probe::Thorough => (Duration::from_secs(1), Duration::from_secs(2)),
        Probe::Quick | Probe::Never => (Duration::from_millis(65), Duration::from_millis(70)),
    };
    Task::spawn(async move {
        let told = |taken_by| Input::Probed { id, address, taken_by };
        for question in 1..=QUESTIONS {
            // A link without a carrier has no neighbours.
            let _ = probe.ask();
            let pause = if question == QUESTIONS { last } else { pause };
            let claims = async {
                while let Ok(mac) = probe.claimed().await {
                    let _ = inputs.send(told(Some(mac))).await;
                }
                std::future::pending::<()>().await;
            };
            let _ = tokio::time::timeout(pause, claims).await;
        }
        let _ = inputs.send(told(None)).await;
    })
}
