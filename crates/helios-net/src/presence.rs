//! Clients that go away while their request runs.
//!
//! Nobody reads from a connection while its request runs, so its end is not noticed. A request that
//! may take long says what is to be done then: usually its statement is cancelled, as a client that
//! asked to cancel it would have it. The watchdog looks once a second at connections that have been
//! busy since its last look; others cost nothing.
//!
//! What the client has done is taken from the kernel's table of TCP connections, which needs no
//! access to the stream, that the request's task owns: a connection whose client has closed it is in
//! state CLOSE_WAIT, one that was reset is not there any more. Without that table (it is Linux')
//! requests run to their end.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Stop = Box<dyn Fn() + Send + Sync>;
type Busy = Box<dyn Fn() -> bool + Send + Sync>;

/// What to do when the client of one connection has gone.
#[derive(Clone, Default)]
pub(crate) struct Presence(Arc<Mutex<Stops>>);

#[derive(Default)]
struct Stops {
    /// For as long as the connection lives: meant while it neither reads nor writes.
    always: Option<(Stop, Busy)>,
    /// For single requests.
    requests: HashMap<u64, Stop>,
    next: u64,
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presence")
    }
}

/// A request that is being watched; until this is dropped.
pub struct Watch {
    presence: Presence,
    number: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.presence.stops().requests.remove(&self.number);
    }
}

impl Presence {
    fn stops(&self) -> MutexGuard<'_, Stops> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn always(
        &self,
        stop: impl Fn() + Send + Sync + 'static,
        busy: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        self.stops().always = Some((Box::new(stop), Box::new(busy)));
    }

    pub(crate) fn watch(&self, stop: impl Fn() + Send + Sync + 'static) -> Watch {
        let mut stops = self.stops();
        let number = stops.next;
        stops.next += 1;
        stops.requests.insert(number, Box::new(stop));
        drop(stops);
        Watch {
            presence: self.clone(),
            number,
        }
    }

    /// Whether there is something to stop; `waits` when the connection reads or writes.
    pub(crate) fn is_busy(&self, waits: bool) -> bool {
        let stops = self.stops();
        let always = stops.always.as_ref();
        !stops.requests.is_empty() || !waits && always.is_some_and(|(_, busy)| busy())
    }

    /// Stops what runs for the client.
    pub(crate) fn gone(&self) {
        let stops = self.stops();
        let always = stops.always.iter().map(|(stop, _)| stop);
        for stop in stops.requests.values().chain(always) {
            stop();
        }
    }
}

/// The states of the kernel's TCP connections by local port and peer. Listeners are among them, with
/// an unspecified peer.
pub(crate) struct Peers(HashMap<(u16, SocketAddr), u8>);

/// The client has closed its side.
const CLOSE_WAIT: u8 = 8;
const CLOSE: u8 = 7;

impl Peers {
    pub(crate) fn read() -> io::Result<Peers> {
        let mut peers = HashMap::new();
        for path in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
            match fs::read_to_string(path) {
                Ok(table) => peers.extend(table.lines().skip(1).filter_map(line)),
                // A machine without IPv6.
                Err(e) if e.kind() == io::ErrorKind::NotFound && !peers.is_empty() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Peers(peers))
    }

    pub(crate) fn has_gone(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        match self.0.get(&(local.port(), peer)) {
            // A table that does not even have the listener tells nothing.
            None => self.0.keys().any(|(port, _)| *port == local.port()),
            Some(state) => matches!(*state, CLOSE_WAIT | CLOSE),
        }
    }
}

/// `0: 0100007F:1538 0100007F:D2F4 01 …`: addresses as words of the machine's byte order.
fn line(text: &str) -> Option<((u16, SocketAddr), u8)> {
    let mut fields = text.split_ascii_whitespace().skip(1);
    let (local, peer, state) = (fields.next()?, fields.next()?, fields.next()?);
    let local = address(local)?;
    Some((
        (local.port(), address(peer)?),
        u8::from_str_radix(state, 16).ok()?,
    ))
}

fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = u32::from_str_radix(ip.get(8 * at..8 * at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let v4 = "   0: 0100007F:1538 0100007F:D2F4 08 00000000:00000000 00:00000000 00000000";
        let peer: SocketAddr = "127.0.0.1:54004".parse().unwrap();
        if cfg!(target_endian = "little") {
            assert_eq!(line(v4), Some(((5432, peer), CLOSE_WAIT)));
            let mapped = "1: 0000000000000000FFFF00000100007F:1538 0000000000000000FFFF00000100007F:D2F4 01 x";
            assert_eq!(line(mapped), Some(((5432, peer), 1)));
        }
        for broken in [
            "",
            "0: 0100007F 0100007F:D2F4 08",
            "0: 01:1 02:2 01",
            "0: ü:1 ü:2 01",
        ] {
            assert_eq!(line(broken), None);
        }
    }

    #[test]
    fn a_client_is_there_until_it_closes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(local).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert!(!Peers::read().unwrap().has_gone(local, peer));
        drop(client);
        assert!(Peers::read().unwrap().has_gone(local, peer));
        drop(server);
        assert!(Peers::read().unwrap().has_gone(local, peer));
        drop(listener);
        assert!(!Peers(HashMap::new()).has_gone(local, peer));
    }
}
